"""`EvaluateOutcome`: the figures of a head, with all that a reader needs to judge them."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fec_cache.datasets.origin import Origin
from fec_cache.datasets.survivors import Survivors
from fec_cache.evaluation.baseline import Baseline
from fec_cache.evaluation.figures import Evaluation
from fec_cache.evaluation.overlap import Overlap
from fec_cache.pairs.labelled import Labelled
from fec_cache.runs.config import RunConfig


@dataclass(frozen=True)
class EvaluateOutcome:
    """A head's figures on the test split, and what they are compared with.

    `overlap` is the part of the test split that was seen in training; `baseline` the original
    recipe on the same triplets, if there is a run of it; `origin` says who set odd faces apart.
    """

    folder: Path
    config: RunConfig
    labelled: Labelled
    evaluation: Evaluation
    overlap: Overlap
    origin: Origin
    baseline: Baseline | None = None
    survivors: Survivors | None = None

    def to_dict(self) -> dict[str, Any]:
        """For --json and `evaluation.json`."""
        counts = self.labelled.counts
        return {
            "run": str(self.folder),
            "features": self.config.features,
            "origin": self.origin.note,
            "answers_from": self.origin.many,
            "num_overlap": self.overlap.num_faces,
            "num_overlapping_people": len(self.overlap.people),
            "num_triplets": len(self.labelled.table),
            "rows": counts.in_words(),
            "row_counts": asdict(counts),
            "trained_with_min_agreement": self.config.pairs.min_agreement,
            "test_digest": self.labelled.digest,
            "survivors": self.survivors.to_dict() if self.survivors else None,
            **self.evaluation.to_dict(),
            "baseline": self.baseline.to_dict() if self.baseline else None,
        }
