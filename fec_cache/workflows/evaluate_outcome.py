"""What an evaluation found, for machines and for people."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fec_cache.datasets.origin import Origin
from fec_cache.datasets.survivors import Survivors
from fec_cache.evaluation.figures import Evaluation
from fec_cache.reports.evaluation_tables import evaluation_lines
from fec_cache.runs.config import RunConfig
from fec_cache.workflows.baseline import Baseline
from fec_cache.workflows.labelled import Labelled
from fec_cache.workflows.overlap import Overlap


@dataclass(frozen=True)
class EvaluateOutcome:
    """A head's figures on the test split, and what they are held against.

    `overlap` is what of the test split was seen in training; `baseline` the original recipe on the
    same triplets, where a run of it is at hand; `origin` tells who set the faces apart.
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

    def in_words(self) -> str:
        """For people: tables of triplets and pairs, and what a reader must know beside them."""
        lines = evaluation_lines(
            f"{self.folder.name} on {self.config.features}",
            self.evaluation,
            self.baseline,
            self.origin,
        )
        lines += self.overlap.in_words()
        lines += [self.survivors.in_words()] if self.survivors else []
        return "\n".join([*lines, *([self.origin.note] if self.origin.note else [])])
