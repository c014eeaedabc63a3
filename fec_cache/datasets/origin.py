"""Where a set's answers come from, and what those who gave them are called."""

import json
from dataclasses import dataclass
from pathlib import Path

from fec_cache.datasets.labelled.import_folder import MARKER as IMPORTED
from fec_cache.datasets.synthetic.dataset import MARKER as SYNTHETIC


@dataclass(frozen=True)
class Origin:
    """Who set faces apart: raters, simulated raters, or labels.

    Attributes:
        many: what they are called.
        one: one of them.
        crowd: all who might have been asked; empty where nobody was.
        majority: what they agree on, `the raters’ majority`.
        deed: a sentence on what they did, without its full stop.
        note: what a reader must know of it; empty for raters' own answers.
    """

    many: str
    one: str
    crowd: str
    majority: str
    deed: str
    note: str = ""

    @property
    def are_people(self) -> bool:
        """Whether one of them can be held against the others, and all against a crowd."""
        return bool(self.crowd)


RATERS = Origin(
    many="raters",
    one="rater",
    crowd="people",
    majority="the raters’ majority",
    deed="raters judged how alike two expressions look",
)
SIMULATED = Origin(
    many="simulated raters",
    one="simulated rater",
    crowd="simulated raters",
    majority="the simulated raters’ majority",
    deed="simulated raters judged how alike two drawn expressions are",
    note="The faces are drawn and the raters simulated: a synthetic set.",
)
LABELS = Origin(
    many="labels",
    one="label",
    crowd="",
    majority="the labels",
    deed="labels name expressions, and nobody judged how alike two of them look",
    note="The triplets were made from labels; they stand in for raters' answers.",
)


def origin_of(data_dir: Path) -> Origin:
    """Who answered a data folder's triplets, by the mark that the set's maker left."""
    for marker, origin in ((IMPORTED, LABELS), (SYNTHETIC, SIMULATED)):
        try:
            json.loads((data_dir / marker).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return origin
    return RATERS
