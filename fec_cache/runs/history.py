"""`history.csv` of a run: one line per epoch."""

import csv
import dataclasses
import io
import math
from collections.abc import Sequence
from pathlib import Path

from fec_cache.runs.files import HISTORY_NAME
from fec_cache.training.history import Epoch


def history_csv(history: Sequence[Epoch]) -> bytes:
    """The epochs as CSV, one column per field of `Epoch`."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [field.name for field in dataclasses.fields(Epoch)])
    writer.writeheader()
    writer.writerows(dataclasses.asdict(epoch) for epoch in history)
    return text.getvalue().encode()


def load_history(folder: Path) -> tuple[Epoch, ...]:
    """The epochs of a run; none if its history is missing or unreadable."""
    try:
        with (folder / HISTORY_NAME).open(encoding="utf-8", newline="") as file:
            return tuple(_epoch(row) for row in csv.DictReader(file, strict=True))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, csv.Error):
        return ()


def _epoch(row: dict[str, str]) -> Epoch:
    number = int(row.pop("epoch"))
    epoch = Epoch(number, **{name: float(value) for name, value in row.items()})
    if not math.isfinite(epoch.val_triplet_accuracy):
        raise ValueError(f"epoch {number} has no accuracy")
    return epoch
