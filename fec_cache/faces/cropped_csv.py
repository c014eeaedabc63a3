"""CSV files of cropped faces: the same rows, with crops as images and boxes inside the crops."""

import csv
import os
from pathlib import Path

from fec_cache.datasets.annotations import FaceRef, Triplet, iter_rows
from fec_cache.datasets.download.ledger import DownloadLedger
from fec_cache.datasets.image_paths import crop_path
from fec_cache.faces.recrop import crop_window


def write_cropped_csv(ledger: DownloadLedger, source: Path, target: Path) -> None:
    """Rewrite a CSV file for the crops of its faces.

    A face without a downloaded picture keeps its URL, so that it still counts as missing.

    Args:
        ledger: of the downloads; has the size of each picture.
        source: annotations whose boxes are fractions of whole pictures.
        target: replaced at the end, in one step.

    Raises:
        OSError: `target` could not be written.
    """
    sizes = ledger.sizes()
    cells: dict[int, tuple[object, ...]] = {}
    kept_alive: list[FaceRef] = []
    partial = target.with_name(f".{target.name}.partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        for row in iter_rows(source):
            if not isinstance(row, Triplet):
                continue
            line: list[object] = []
            for face in row.faces:
                if id(face) not in cells:
                    kept_alive.append(face)  # the id of a deleted object can be reused
                    cells[id(face)] = _cells_of(face, sizes.get(face.image))
                line += cells[id(face)]
            answers = zip(row.raters, row.answers, strict=True)
            writer.writerow([*line, row.type, *(cell for pair in answers for cell in pair)])
    os.replace(partial, target)  # noqa: PTH105 - its error names both files


def _cells_of(face: FaceRef, size: tuple[int, int] | None) -> tuple[object, ...]:
    if size is None:
        return face.image, *map(repr, face.box)
    window = crop_window(face.box, size)
    return crop_path(face.image, face.box), *map(repr, window.box)
