"""What a command says: results on standard output, progress and warnings on standard error."""

import dataclasses
import json
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from fec_cache.system.wording import duration

_PLAIN_EVERY_S = 5.0
_TABLE_WIDTH = 10_000  # a name that is cut off cannot be typed after --run
Step = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Console:
    """How much is said and in which form.

    `verbosity` -1 says only results and errors, 0 progress too, 1 details too.
    """

    as_json: bool = False
    verbosity: int = 0

    def say(self, text: str) -> None:
        """A line for people; nothing under --json or -q."""
        if not self.as_json and self.verbosity >= 0:
            click.echo(text)

    def result(self, text: str, fields: Mapping[str, Any]) -> None:
        """The result: text for people, or the fields as one JSON object for machines."""
        if self.as_json:
            click.echo(json.dumps(_without_nan(fields), default=str, allow_nan=False))
        else:
            click.echo(text)

    def warn(self, text: str) -> None:
        """A line that a person ought to see, on standard error."""
        if self.verbosity >= 0:
            click.echo(f"Note: {text}", err=True)

    def quietly(self) -> "Console":
        """The same for work whose lines were said before: only errors are heard of it."""
        return dataclasses.replace(self, verbosity=-1)

    @contextmanager
    def progress(self, label: str, unit: str) -> Iterator[Step]:
        """Progress of long work: a bar on a terminal, a plain line now and then elsewhere.

        Yields:
            A function that is told what is done, what is to do, and a detail to show.
        """
        if self.verbosity < 0 or self.as_json:
            yield lambda done, total, detail="": None  # type: ignore[misc]
        elif sys.stderr.isatty():
            with _rich_steps(label, unit) as step:
                yield step
        else:
            yield _PlainSteps(label, unit)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as text; the first column is left-aligned, the others right."""
    from io import StringIO

    from rich import box
    from rich.console import Console as RichConsole
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(columns):
        drawn.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*row)
    text = StringIO()
    RichConsole(file=text, width=_TABLE_WIDTH, color_system=None, markup=False).print(drawn)
    return "\n".join([title, *(line.rstrip() for line in text.getvalue().splitlines())])


def set_up_logging(verbosity: int) -> None:
    """Show the package's warnings on standard error, details too from verbosity 1."""
    level = {-1: logging.ERROR, 0: logging.WARNING}.get(verbosity, logging.INFO)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logger = logging.getLogger("fec_cache")
    logger.handlers[:] = [handler]
    logger.setLevel(level)


class _PlainSteps:
    """Progress where there is no terminal: a line every few seconds, and the last one."""

    def __init__(self, label: str, unit: str) -> None:
        self._label, self._unit = label, unit
        self._started = self._told = time.monotonic()

    def __call__(self, done: int, total: int, detail: str = "") -> None:
        now = time.monotonic()
        is_end = done >= total and self._told > self._started
        if now - self._told < _PLAIN_EVERY_S and not is_end:
            return
        self._told = now
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
    """JSON has no NaN: what is not defined becomes null."""
    if isinstance(value, Mapping):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
