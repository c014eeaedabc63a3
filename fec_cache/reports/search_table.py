"""A search as text: its progress, and a table of its best settings."""

import time
from collections.abc import Mapping, Sequence

from fec_cache.search.progress import SearchProgress
from fec_cache.search.results import Ranked, rank
from fec_cache.search.space import unread_options
from fec_cache.system.reporter import Snapshot, Table
from fec_cache.system.wording import counted, duration, percent

NUM_SHOWN = 10


class SearchBoard:
    """Turns the progress of a search into snapshots: best settings so far, rate and time left."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._ranked: tuple[Ranked, ...] = ()

    def snapshot(self, progress: SearchProgress) -> Snapshot:
        """The current state of the search, shown in place of the last one."""
        if progress.new or not self._ranked:
            self._ranked = tuple(rank(progress.outcomes))
        best = self._ranked[:1]
        tail = f"; best so far {percent(best[0].val_triplet_accuracy)}" if best else ""
        line = headline(progress, time.monotonic() - self._started)
        is_end = bool(progress.new) and progress.num_done == progress.num_points
        return Snapshot(line, Table("", *table_of(self._ranked, NUM_SHOWN)), tail, is_end)


def headline(progress: SearchProgress, elapsed_s: float) -> str:
    """Points, rate, time left and what is in training, in one line."""
    parts = [f"{progress.num_done}/{counted(progress.num_points, 'point')}"]
    num_new = progress.num_done - progress.num_known
    if num_new and elapsed_s > 0:
        parts.append(rate_in_words(num_new, elapsed_s))
    if progress.num_done < progress.num_points and 0.0 < progress.work <= 1.0:
        left = duration(elapsed_s * (1.0 - progress.work) / progress.work)
        parts.append(f"{left} left")
    if progress.in_hand and progress.num_done < progress.num_points:
        parts.append(progress.in_hand)
    return ", ".join(parts)


def rate_in_words(num_points: int, elapsed_s: float) -> str:
    """`0.82 points/s`, or `12 s per point` below 0.1 points/s."""
    rate = num_points / max(elapsed_s, 1e-9)
    return f"{rate:.2f} points/s" if rate >= 0.1 else f"{1 / rate:.0f} s per point"


def table_of(ranked: Sequence[Ranked], num_shown: int) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the best settings: what differs between them, and their figures."""
    settings = [entry.settings for entry in ranked]
    first = settings[0] if settings else {}
    names = [n for n in first if n != "seed" and _differs(n, settings)]
    rows = [
        [
            str(place),
            *(
                "-" if _is_unread(n, entry.settings) else value_in_words(entry.settings[n])
                for n in names
            ),
            percent(entry.val_triplet_accuracy),
            percent(entry.stderr),
            str(entry.num_seeds),
            _epochs(entry),
            duration(entry.duration_s),
        ]
        for place, entry in enumerate(ranked[:num_shown], start=1)
    ]
    columns = ["rank", *names, "val accuracy", "std. error", "seeds", "epochs", "time"]
    return columns, rows


def _differs(name: str, settings: Sequence[Mapping[str, object]]) -> bool:
    """Whether an option has several values among the heads that read it."""
    return len({str(s.get(name)) for s in settings if not _is_unread(name, s)}) > 1


def _is_unread(name: str, settings: Mapping[str, object]) -> bool:
    return name in unread_options(str(settings.get("head")))


def _epochs(entry: Ranked) -> str:
    epochs = max(outcome.epochs for outcome in entry.outcomes)
    return str(epochs) if entry.status == "done" else f"{epochs} {entry.status}"


def value_in_words(value: object, digits: int = 4) -> str:
    """A setting's value as text; floats are rounded to `digits` significant digits."""
    if isinstance(value, list):
        return "-".join(map(str, value)) or "none"
    if value is None:
        return "default"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)
