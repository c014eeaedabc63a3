"""Where a set's answers come from: raters, simulated raters or labels, and how to name them."""

import json
from dataclasses import dataclass
from pathlib import Path

from fec_cache.datasets.labelled.import_folder import MARKER as IMPORTED
from fec_cache.datasets.synthetic.dataset import MARKER as SYNTHETIC


@dataclass(frozen=True)
class Origin:
    """The source of the odd faces: raters, simulated raters, or labels.

    Attributes:
        many: the plural noun.
        one: the singular noun.
        crowd: the population that the raters were drawn from; empty for labels.
        majority: the phrase for their joint answer, `the raters’ majority`.
        deed: a sentence on what they did, without its full stop.
        note: a caveat for readers; empty for answers by human raters.
    """

    many: str
    one: str
    crowd: str
    majority: str
    deed: str
    note: str = ""

    @property
    def are_people(self) -> bool:
        """Whether they are several raters, so that one can be compared with the others."""
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
    # Each triplet has one answer, so there is neither a rater nor a ceiling to compare with.
    crowd="",
    majority="the labels",
    deed="labels say which expression a face shows; similarity was not judged",
    note="The triplets were made from labels; they stand in for raters' answers.",
)


def origin_of(data_dir: Path) -> Origin:
    """Origin of a data folder's answers, from the marker file of the command that made the set."""
    for marker, origin in ((IMPORTED, LABELS), (SYNTHETIC, SIMULATED)):
        try:
            json.loads((data_dir / marker).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return origin
    return RATERS
