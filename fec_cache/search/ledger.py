"""Outcomes of a search on disk: one sealed file for points that finished together.

A file is written atomically and carries the sha256 of its content, so a kill loses at most what is
in training, and an altered file is never used. Files are independent of each other: if two hold the
same point, the one that was trained further counts.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fec_cache.errors import StorageFailed
from fec_cache.system.atomic import remove_leftovers, write_atomically

POINTS_NAME = "points"
RUNGS_NAME = "rungs"
PLANS_NAME = "plans"
DAMAGED_NAME = "damaged"
DONE, PRUNED, FAILED = "done", "pruned", "failed"
_BY_KNOWLEDGE = (FAILED, PRUNED, DONE)
# A temporary file of this age belongs to a killed run, not to one that is writing now.
_LEFTOVER_AGE_S = 3600.0
Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class Outcome:
    """Result of one point.

    `status` is `done`, `pruned` (stopped after `epochs`; its figures are those of the best epoch
    until then) or `failed`; then `error` says why there are no figures.
    """

    key: str
    settings: dict[str, object]
    status: str = DONE
    val_triplet_accuracy: float = math.nan
    val_loss: float = math.nan
    best_epoch: int = 0
    epochs: int = 0
    duration_s: float = 0.0
    error: str = ""

    def __post_init__(self) -> None:
        """Check every field: outcomes are read back from files.

        Raises:
            ValueError: a field has the wrong type, or the accuracy is not in [0, 1].
        """
        numbers = (self.val_triplet_accuracy, self.val_loss, self.duration_s)
        is_typed = (
            all(isinstance(text, str) for text in (self.key, self.status, self.error))
            and isinstance(self.settings, dict)
            and all(type(number) in (int, float) for number in numbers)
            and all(type(count) is int for count in (self.best_epoch, self.epochs))
        )
        if not is_typed or self.status not in _BY_KNOWLEDGE:
            raise ValueError(f"not an outcome: {self.key!r}")
        if self.status != FAILED and not 0.0 <= self.val_triplet_accuracy <= 1.0:
            raise ValueError(f"accuracy {self.val_triplet_accuracy}")

    @property
    def is_failed(self) -> bool:
        """Whether the point has no figures."""
        return self.status == FAILED


@dataclass(frozen=True)
class Rung:
    """One cut of a pruner.

    `ended` are the points that stop here, pruned or failed; `survivors` the keys of the others.
    """

    survivors: tuple[str, ...]
    ended: tuple[Outcome, ...]


@dataclass
class Ledger:
    """The points of one search, in a folder. `damaged` names the files that were set aside."""

    folder: Path
    damaged: list[str] = field(default_factory=list)

    def outcomes(self) -> dict[str, Outcome]:
        """Every known point by its key; damaged files are set aside and ignored."""
        outcomes: dict[str, Outcome] = {}
        for outcome in (*self._points(), *self._ended()):
            known = outcomes.get(outcome.key)
            if known is None or _knowledge(outcome) > _knowledge(known):
                outcomes[outcome.key] = outcome
        return outcomes

    def record(self, outcomes: Sequence[Outcome]) -> None:
        """Add points that were trained together, all of them or none.

        Raises:
            StorageFailed: the file cannot be written.
        """
        # Named by its points: recording the same outcomes again replaces the same file.
        name = _digest([[outcome.key, outcome.status] for outcome in outcomes])[:16]
        self._write(POINTS_NAME, name, [asdict(outcome) for outcome in outcomes])

    def rung(self, name: str) -> Rung | None:
        """A recorded cut, by the name of its bracket and its number; None if there is none."""
        path = self.folder / RUNGS_NAME / f"{name}.json"
        return self._read(path, _rung_of) if path.exists() else None

    def record_rung(self, name: str, rung: Rung) -> None:
        """Record a cut before acting on it, so that a resumed search makes the same one.

        Raises:
            StorageFailed: the file cannot be written.
        """
        self._write(RUNGS_NAME, name, asdict(rung))

    def plan(self, name: str) -> dict[str, Any] | None:
        """How an earlier run of the same search distributed its points; None if there was none."""
        path = self.folder / PLANS_NAME / f"{name}.json"
        return self._read(path, dict) if path.exists() else None

    def record_plan(self, name: str, plan: Mapping[str, Any]) -> None:
        """Record how points are distributed, so that a resumed search does the same.

        Raises:
            StorageFailed: the file cannot be written.
        """
        self._write(PLANS_NAME, name, dict(plan))

    def clean(self) -> None:
        """Remove temporary files of killed runs."""
        for name in (POINTS_NAME, RUNGS_NAME, PLANS_NAME, "."):
            remove_leftovers(self.folder / name, _LEFTOVER_AGE_S)

    def _points(self) -> Iterator[Outcome]:
        for path in sorted((self.folder / POINTS_NAME).glob("*.json")):
            yield from self._read(path, _outcomes_of) or ()

    def _ended(self) -> Iterator[Outcome]:
        for path in sorted((self.folder / RUNGS_NAME).glob("*.json")):
            rung = self._read(path, _rung_of)
            yield from rung.ended if rung else ()

    def _write(self, kind: str, name: str, content: object) -> None:
        sealed = {"sha256": _digest(content), "content": content}
        path = self.folder / kind / f"{name}.json"
        write_atomically(path, (json.dumps(sealed, indent=1) + "\n").encode())

    def _read(self, path: Path, parse: Callable[[Any], Parsed]) -> Parsed | None:
        try:
            sealed = json.loads(path.read_bytes())
            if sealed["sha256"] != _digest(sealed["content"]):
                raise ValueError("altered")
            return parse(sealed["content"])
        except (OSError, ValueError, TypeError, KeyError, IndexError, RecursionError):
            self._set_aside(path)
            return None

    def _set_aside(self, path: Path) -> None:
        kept = self.folder / DAMAGED_NAME / path.name
        self.damaged.append(f"{path.parent.name}/{path.name}")
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            path.replace(kept)
        except OSError as error:
            raise StorageFailed(
                f"{path} is damaged and cannot be moved to {kept.parent} ({error.strerror}). "
                "Delete it; its points are then trained again."
            ) from error


def _outcomes_of(content: Sequence[Mapping[str, Any]]) -> tuple[Outcome, ...]:
    return tuple(Outcome(**fields) for fields in content)


def _rung_of(content: Mapping[str, Any]) -> Rung:
    return Rung(tuple(map(str, content["survivors"])), _outcomes_of(content["ended"]))


def _knowledge(outcome: Outcome) -> tuple[int, int]:
    return _BY_KNOWLEDGE.index(outcome.status), outcome.epochs


def _digest(content: object) -> str:
    # Not system.sealed_json: its spelling without spaces would invalidate every ledger on disk.
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
