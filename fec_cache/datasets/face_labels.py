"""Identity and expression of each face, for sets that record them.

`fec import-folder` writes `labels.csv`, `fec synthesize` writes `truth.csv`. FEC has neither.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from fec_cache.datasets.annotations import FaceRef

_TABLES = (("labels.csv", "expression"), ("truth.csv", "word"))


@dataclass(frozen=True, slots=True)
class FaceLabel:
    """Identity and expression word of a face; empty if unknown."""

    identity: str
    expression: str


def read_face_labels(data_dir: Path) -> dict[FaceRef, FaceLabel]:
    """Labels of a set's faces; empty if it has none or they cannot be read."""
    for name, column in _TABLES:
        try:
            with (data_dir / name).open(encoding="utf-8", newline="") as file:
                return {_face(row): _label(row, column) for row in csv.DictReader(file)}
        except (OSError, ValueError, KeyError, TypeError, csv.Error):
            continue
    return {}


def _face(row: dict[str, str]) -> FaceRef:
    left, right, top, bottom = (float(row[side]) for side in ("left", "right", "top", "bottom"))
    return FaceRef(row["image"], left, right, top, bottom)


def _label(row: dict[str, str], column: str) -> FaceLabel:
    return FaceLabel(row["identity"].strip(), row[column].strip())
