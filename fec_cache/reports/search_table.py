"""What a running search shows: a live table on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from fec_cache.cli.console import Console
from fec_cache.search.progress import ProgressCallback, SearchProgress
from fec_cache.search.results import Ranked, rank
from fec_cache.search.space import unread_options
from fec_cache.system.wording import counted, duration, percent

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.console import RenderableType

NUM_SHOWN = 10
_PLAIN_EVERY_S = 5.0
_REFRESH_PER_S = 4.0


@contextmanager
def shown_search(console: Console) -> Iterator[ProgressCallback]:
    """Show the progress of a search while it runs; failed points are told as they come.

    Yields:
        What the search is to tell its progress to.
    """
    if console.verbosity < 0 or console.as_json:
        yield _failures_told(console, lambda progress: None)
    elif sys.stderr.isatty():
        from rich.console import Console as RichConsole

        with live_table(RichConsole(stderr=True)) as show:
            yield _failures_told(console, show)
    else:
        yield _failures_told(console, PlainSearch())


@contextmanager
def live_table(terminal: "RichConsole") -> Iterator[ProgressCallback]:
    """The best ten settings so far, rate and time left, redrawn in place."""
    from rich.live import Live

    started = time.monotonic()
    ranked: tuple[Ranked, ...] = ()
    with Live(console=terminal, refresh_per_second=_REFRESH_PER_S, transient=True) as live:

        def show(progress: SearchProgress) -> None:
            """Draw the table anew."""
            nonlocal ranked
            if progress.new or not ranked:
                ranked = rank(progress.outcomes)
            live.update(_drawn(ranked, headline(progress, time.monotonic() - started)))

        yield show


class PlainSearch:
    """A line every few seconds, and one at the end."""

    def __init__(self) -> None:
        self._started = self._told = time.monotonic()

    def __call__(self, progress: SearchProgress) -> None:
        """Tell the line if it is time."""
        now = time.monotonic()
        is_end = bool(progress.new) and progress.num_done == progress.num_points
        if now - self._told < _PLAIN_EVERY_S and not is_end:
            return
        self._told = now
        best = rank(progress.outcomes)[:1]
        tail = f"; best so far {percent(best[0].val_triplet_accuracy)}" if best else ""
        click.echo(f"Searching: {headline(progress, now - self._started)}{tail}", err=True)


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
    """`0.82 points/s`, or seconds a point where that is more telling."""
    rate = num_points / max(elapsed_s, 1e-9)
    return f"{rate:.2f} points/s" if rate >= 0.1 else f"{1 / rate:.0f} s a point"


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
    """Whether the heads that read an option have several values of it."""
    return len({str(s.get(name)) for s in settings if not _is_unread(name, s)}) > 1


def _is_unread(name: str, settings: Mapping[str, object]) -> bool:
    return name in unread_options(str(settings.get("head")))


def _drawn(ranked: Sequence[Ranked], line: str) -> "RenderableType":
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    columns, rows = table_of(ranked, NUM_SHOWN)
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns if rows else ():
        drawn.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        drawn.add_row(*row)
    return Group(Text(line), drawn) if rows else Text(line)


def _failures_told(console: Console, show: Callable[[SearchProgress], None]) -> ProgressCallback:
    def tell(progress: SearchProgress) -> None:
        """Warn of each point that failed, then show the rest."""
        for outcome in progress.new:
            if outcome.is_failed:
                console.warn(f"point {outcome.key} failed: {outcome.error}")
        show(progress)

    return tell


def _epochs(entry: Ranked) -> str:
    epochs = max(outcome.epochs for outcome in entry.outcomes)
    return str(epochs) if entry.status == "done" else f"{epochs} {entry.status}"


def value_in_words(value: object, digits: int = 4) -> str:
    """A setting's value for people; numbers with so many digits that count."""
    if isinstance(value, list):
        return "-".join(map(str, value)) or "none"
    if value is None:
        return "default"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)
