"""What a search has found so far: one small file a point, so that a kill loses one point."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from fec_cache.features.storage import remove_leftovers, write_atomically

POINTS_NAME = "points"
_OLD_S = 3600.0


@dataclass(frozen=True)
class Outcome:
    """How one point came out; `error` says why it has no figures."""

    key: str
    settings: dict[str, object]
    val_triplet_accuracy: float = math.nan
    val_loss: float = math.nan
    best_epoch: int = 0
    duration_s: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Ledger:
    """The points of one search, in a folder."""

    folder: Path

    def outcomes(self) -> dict[str, Outcome]:
        """Every finished point by its key; a file that cannot be read counts as not done."""
        found: dict[str, Outcome] = {}
        for path in sorted((self.folder / POINTS_NAME).glob("*.json")):
            try:
                outcome = Outcome(**json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError):
                continue
            found[outcome.key] = outcome
        return found

    def record(self, outcome: Outcome) -> None:
        """Add one point.

        Raises:
            StorageFailed: the disk would not take it.
        """
        path = self.folder / POINTS_NAME / f"{outcome.key}.json"
        write_atomically(path, (json.dumps(asdict(outcome), indent=1) + "\n").encode())

    def clean(self) -> None:
        """Remove what a killed run left half written."""
        remove_leftovers(self.folder / POINTS_NAME, _OLD_S)
        remove_leftovers(self.folder, _OLD_S)
