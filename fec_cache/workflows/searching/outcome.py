"""The outcome of a search, for people and for --json."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fec_cache.reports.search_table import rate_in_words, table_of
from fec_cache.runs.files import RESULTS_NAME
from fec_cache.search.ledger import Outcome
from fec_cache.search.results import Ranked
from fec_cache.system.reporter import Parts, Table
from fec_cache.system.wording import counted, duration, percent


@dataclass(frozen=True)
class SearchOutcome:
    """The results of a search: the winner, settings by rank, failed points, the best head's folder.

    `num_open` points were left by a timeout; `num_trained` were trained by this call, in
    `duration_s` seconds.
    """

    folder: Path
    winner: Ranked
    ranked: tuple[Ranked, ...]
    failed: tuple[Outcome, ...]
    num_points: int
    num_open: int
    num_trained: int
    duration_s: float
    rule: str

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "run": str(self.folder),
            "points": self.num_points,
            "open": self.num_open,
            "trained": self.num_trained,
            "duration_s": self.duration_s,
            "failed": [asdict(outcome) for outcome in self.failed],
            "choose": self.rule,
            "winner": {**_fields(self.winner), "saved_seed": self.winner.first.settings["seed"]},
            "ranked": [_fields(entry) for entry in self.ranked],
        }

    def parts(self, num_shown: int) -> Parts:
        """For people: a table of the best settings, with a column for each option that varies."""
        columns, rows = table_of(self.ranked, num_shown)
        title = (
            f"{counted(self.num_points, 'point')}, best {len(rows)} of "
            f"{counted(len(self.ranked), 'setting')}"
        )
        lines: list[str | Table] = [Table(title, columns, rows)]
        if self.num_trained:
            rate = rate_in_words(self.num_trained, self.duration_s)
            lines.append(
                f"{counted(self.num_trained, 'point')} trained in {duration(self.duration_s)}: "
                f"{rate}"
            )
        if self.failed:
            lines.append(
                f"{counted(len(self.failed), 'point')} failed; see {self.folder / RESULTS_NAME}. "
                "Try them again with --retry-failed."
            )
        if self.num_open:
            lines.append(
                f"{counted(self.num_open, 'point')} left open: the time limit was reached. Run "
                "the same command again to continue."
            )
        return [*lines, self._winner_in_words(), f"Best head: {self.folder}"]

    def _winner_in_words(self) -> str:
        place = self.ranked.index(self.winner) + 1
        why = "best"
        if place > 1:
            why = f"smallest within one standard error of the best (rank {place})"
        first = self.winner.first
        seed = f"seed {first.settings['seed']}"
        if self.winner.num_seeds > 1:
            seed += f", the first (not the best) of {counted(self.winner.num_seeds, 'seed')}"
        accuracy = percent(first.val_triplet_accuracy)
        return f"Saved: the head of the {why} setting, {seed}: {accuracy}"


def _fields(entry: Ranked) -> dict[str, Any]:
    return {
        **entry.settings,
        "status": entry.status,
        "val_triplet_accuracy": entry.val_triplet_accuracy,
        "stderr": entry.stderr,
        "seeds": entry.num_seeds,
    }
