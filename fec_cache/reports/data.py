"""`ReportData`: everything that a report page is made of, gathered before anything is drawn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fec_cache.datasets.origin import RATERS, Origin
from fec_cache.evaluation.baseline import Baseline
from fec_cache.evaluation.face_map import FaceMap
from fec_cache.evaluation.figures import Evaluation
from fec_cache.evaluation.seed_group import SeedGroup
from fec_cache.pairs.build import TripletTable
from fec_cache.runs.config import RunConfig
from fec_cache.training.history import Epoch

# Tells a page of ours from any other file: `fec report` overwrites only a file with this line.
MARKER = '<meta name="generator" content="fec report">'
Picture = Callable[[int], npt.NDArray[np.uint8] | None]


@dataclass(frozen=True)
class ReportData:
    """What a report is made of; missing parts are None or empty.

    Attributes:
        name: of the run.
        config: of the run.
        history: one entry per epoch of training.
        evaluation: on the test split.
        table: the T triplets of the test split.
        baseline: the original recipe, or the runs that were named in its place, compared with
            this run, or with all of `seeds`.
        results: the rows of a search's `results.csv`, best first.
        picture: gives the face crop [S, S, 3] uint8 RGB of a row of the feature matrix, or None.
        notes: warnings, shown at the top.
        face_map: positions of the test faces.
        words: expression by row, where it is known.
        extraction: pairs of name and text: how many faces were extracted, and how many failed.
        seeds: all runs of the same recipe, if there are several.
        origin: who set the odd faces apart.
    """

    name: str
    config: RunConfig
    history: tuple[Epoch, ...]
    evaluation: Evaluation | None
    table: TripletTable | None
    baseline: Baseline | None
    results: tuple[dict[str, str], ...]
    picture: Picture
    notes: tuple[str, ...]
    face_map: FaceMap | None = None
    words: Mapping[int, str] = field(default_factory=dict)
    extraction: tuple[tuple[str, str], ...] = ()
    seeds: SeedGroup | None = None
    origin: Origin = RATERS

    @property
    def kept(self) -> Epoch | None:
        """The epoch whose weights were kept: the first of the best; None without a history."""
        return max(self.history, key=lambda epoch: epoch.val_triplet_accuracy, default=None)
