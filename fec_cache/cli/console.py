"""What a command prints: results to standard output, progress and warnings to standard error."""

import json
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import click

from fec_cache.system.reporter import Parts, Snapshot, Step, Table
from fec_cache.system.wording import duration

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.table import Table as RichTable

_PLAIN_EVERY_S = 5.0
_REFRESH_PER_S = 4.0
# Wide enough for any name: one that rich cuts off cannot be copied to --run.
_TABLE_WIDTH = 10_000


@dataclass(frozen=True)
class Console:
    """The `Reporter` of the command line, which also prints results.

    Results and messages go to standard output; --json and -q drop the messages. Progress and
    warnings go to standard error; with --json the result repeats the warnings. `verbosity` is -1
    for results and errors only, 0 for progress as well, 1 for details as well.
    """

    as_json: bool = False
    verbosity: int = 0
    warnings: list[str] = field(default_factory=list)

    def message(self, text: str) -> None:
        """Print a line for people; nothing with --json or -q."""
        if not self.as_json and self.verbosity >= 0:
            click.echo(text)

    def warning(self, text: str) -> None:
        """Print a line on standard error, and keep it for the result of --json."""
        self.warnings.append(text)
        if self.verbosity >= 0:
            click.echo(f"Note: {text}", err=True)

    def show(self, parts: Parts) -> None:
        """Print paragraphs and tables for people; nothing with --json or -q."""
        self.message(_as_text(parts))

    def result(self, parts: str | Parts, fields: Mapping[str, Any]) -> None:
        """Print the result: text for people, or the fields as one JSON object for machines."""
        if self.as_json:
            whole = {**fields, "warnings": [*self.warnings, *fields.get("warnings", ())]}
            whole["warnings"] = list(dict.fromkeys(whole["warnings"]))
            click.echo(json.dumps(_without_nan(whole), default=str, allow_nan=False))
        else:
            click.echo(parts if isinstance(parts, str) else _as_text(parts))

    @contextmanager
    def progress(self, label: str, unit: str) -> Iterator[Step]:
        """Show progress: a bar on a terminal, a plain line every few seconds elsewhere.

        Yields:
            A function of the number done, the total, and a detail to show.
        """
        if self.verbosity < 0 or self.as_json:
            yield lambda done, total, detail: None
        elif sys.stderr.isatty():
            with _rich_steps(label, unit) as step:
                yield step
        else:
            yield _PlainSteps(label, unit)

    @contextmanager
    def live(self, label: str) -> Iterator[Callable[[Snapshot], None]]:
        """Show snapshots: a table redrawn in place on a terminal, plain lines elsewhere."""
        if self.verbosity < 0 or self.as_json:
            yield lambda snapshot: None
        elif sys.stderr.isatty():
            from rich.console import Console as RichConsole

            with live_table(RichConsole(stderr=True)) as show:
                yield show
        else:
            yield PlainSnapshots(label)


def _as_text(parts: Parts) -> str:
    return "\n".join(part if isinstance(part, str) else draw_table(part) for part in parts)


def draw_table(table: Table) -> str:
    """A table as text, its title above it."""
    from io import StringIO

    from rich.console import Console as RichConsole

    text = StringIO()
    drawn = _rich_table(table, first="left")
    RichConsole(file=text, width=_TABLE_WIDTH, color_system=None, markup=False).print(drawn)
    return "\n".join([table.title, *(line.rstrip() for line in text.getvalue().splitlines())])


def _rich_table(table: Table, first: Literal["left", "right"]) -> "RichTable":
    from rich import box
    from rich.table import Table as RichTable

    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(table.columns):
        drawn.add_column(name, justify="right" if number else first, no_wrap=True)
    for row in table.rows:
        drawn.add_row(*row)
    return drawn


@contextmanager
def live_table(terminal: "RichConsole") -> Iterator[Callable[[Snapshot], None]]:
    """Redraw the headline and the table of the newest snapshot in place."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    with Live(console=terminal, refresh_per_second=_REFRESH_PER_S, transient=True) as live:

        def show(snapshot: Snapshot) -> None:
            """Show another snapshot."""
            line, table = Text(snapshot.headline), snapshot.table
            live.update(Group(line, _rich_table(table, "right")) if table.rows else line)

        yield show


class PlainSnapshots:
    """Snapshots without a terminal: a line every few seconds, and the last one."""

    def __init__(self, label: str) -> None:
        self._label, self._shown_at = label, time.monotonic()

    def __call__(self, snapshot: Snapshot) -> None:
        """Print the headline if it is time."""
        now = time.monotonic()
        if now - self._shown_at < _PLAIN_EVERY_S and not snapshot.is_end:
            return
        self._shown_at = now
        click.echo(f"{self._label}: {snapshot.headline}{snapshot.detail}", err=True)


def set_up_logging(verbosity: int) -> None:
    """Log the package's warnings to standard error; from verbosity 1 also its details."""
    level = {-1: logging.ERROR, 0: logging.WARNING}.get(verbosity, logging.INFO)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logger = logging.getLogger("fec_cache")
    logger.handlers[:] = [handler]
    logger.setLevel(level)


class _PlainSteps:
    """Progress without a terminal: a line every few seconds, and the last one."""

    def __init__(self, label: str, unit: str) -> None:
        self._label, self._unit = label, unit
        self._started = self._shown_at = time.monotonic()

    def __call__(self, done: int, total: int, detail: str = "") -> None:
        now = time.monotonic()
        is_end = done >= total and self._shown_at > self._started
        if now - self._shown_at < _PLAIN_EVERY_S and not is_end:
            return
        self._shown_at = now
        elapsed = max(now - self._started, 1e-9)
        left = duration((total - done) * elapsed / max(done, 1))
        tail = f", {detail}" if detail else ""
        click.echo(
            f"{self._label}: {done}/{total} {self._unit}, {_rate(done, elapsed)}, "
            f"{left} left{tail}",
            err=True,
        )


def _rate(done: int, elapsed: float) -> str:
    rate = done / elapsed
    return f"{rate:.0f}/s" if rate >= 1 else f"{elapsed / max(done, 1):.1f} s each"


@contextmanager
def _rich_steps(label: str, unit: str) -> Iterator[Step]:
    from rich.console import Console as RichConsole
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with Progress(*columns, console=RichConsole(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None, rate="", detail="")
        started = time.monotonic()

        def step(done: int, total: int, detail: str = "") -> None:
            """Move the bar."""
            rate = f"{unit}, {_rate(done, max(time.monotonic() - started, 1e-9))}"
            bar.update(task, completed=done, total=total, rate=rate, detail=detail)

        yield step


def _without_nan(value: Any) -> Any:
    """A value for JSON, which has no NaN: undefined numbers become null."""
    if isinstance(value, Mapping):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
