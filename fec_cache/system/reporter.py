"""What long-running work reports: messages, warnings, progress, tables.

A workflow tells a `Reporter` and knows nothing of terminals. The command line, a notebook or a web
page each bring their own.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

# done, total, and a detail to show beside them
Step = Callable[[int, int, str], None]

log = logging.getLogger("fec_cache")


@dataclass(frozen=True)
class Table:
    """A table before it is drawn: the first column is left-aligned, the others right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


# A text for people, in parts: paragraphs and tables.
Parts = Sequence[str | Table]


@dataclass(frozen=True)
class Snapshot:
    """How far a search-like job is: one line, and a table that is redrawn in place.

    `detail` is added to the line where no table can be shown; `is_end` marks the last snapshot.
    """

    headline: str
    table: Table
    detail: str = ""
    is_end: bool = False


class Reporter(Protocol):
    """Where a workflow sends what a person may want to know while it runs.

    Example:
        >>> from fec_cache import SILENT, SyntheticConfig, synthesize
        >>> outcome = synthesize("drawn", SyntheticConfig(faces=30, triplets=20), reporter=SILENT)
    """

    def message(self, text: str) -> None:
        """Show a line of ordinary information."""

    def warning(self, text: str) -> None:
        """Show a line that a person ought to see."""

    def show(self, parts: Parts) -> None:
        """Show an intermediate result: paragraphs and tables."""

    def progress(self, label: str, unit: str) -> AbstractContextManager[Step]:
        """Show the progress of long work.

        Args:
            label: what is being done, as in `Extracting`.
            unit: what is counted, as in `faces`.

        Returns:
            A context manager that gives a function of done, total and a detail.
        """

    def live(self, label: str) -> AbstractContextManager[Callable[[Snapshot], None]]:
        """Show a table that changes while the work runs; the function given takes snapshots."""


class SilentReporter:
    """Says nothing at all."""

    def message(self, text: str) -> None:
        """Ignore the line."""

    def warning(self, text: str) -> None:
        """Ignore the line."""

    def show(self, parts: Parts) -> None:
        """Ignore the result."""

    @contextmanager
    def progress(self, label: str, unit: str) -> Iterator[Step]:
        """Ignore the progress."""
        yield lambda done, total, detail: None

    @contextmanager
    def live(self, label: str) -> Iterator[Callable[[Snapshot], None]]:
        """Ignore the snapshots."""
        yield lambda snapshot: None


class LoggingReporter(SilentReporter):
    """Sends messages and warnings to the logger `fec_cache`: what Python callers get by default.

    Example:
        >>> import logging
        >>> logging.basicConfig()
        >>> LoggingReporter().message("shown from level INFO on")
    """

    def message(self, text: str) -> None:
        """Log the line at level INFO."""
        log.info("%s", text)

    def warning(self, text: str) -> None:
        """Log the line at level WARNING."""
        log.warning("%s", text)


SILENT = SilentReporter()
LOGGING = LoggingReporter()
