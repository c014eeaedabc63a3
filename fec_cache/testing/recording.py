"""A `Reporter` that keeps what it is sent, for tests of workflows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fec_cache.system.reporter import Parts, Snapshot, Step


@dataclass(frozen=True)
class RecordingReporter:
    """Keeps messages, warnings, results, steps and snapshots in lists.

    Example:
        >>> reporter = RecordingReporter()
        >>> reporter.warning("mind the gap")
        >>> reporter.warnings
        ['mind the gap']
    """

    messages: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    results: list[Parts] = field(default_factory=list)
    steps: list[tuple[str, int, int, str]] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)

    def message(self, text: str) -> None:
        """Keep a line."""
        self.messages.append(text)

    def warning(self, text: str) -> None:
        """Keep a warning."""
        self.warnings.append(text)

    def show(self, parts: Parts) -> None:
        """Keep a result."""
        self.results.append(parts)

    @contextmanager
    def progress(self, label: str, unit: str) -> Iterator[Step]:
        """Keep each step with its label."""
        yield lambda done, total, detail: self.steps.append((label, done, total, detail))

    @contextmanager
    def live(self, label: str) -> Iterator[Callable[[Snapshot], None]]:
        """Keep each snapshot."""
        yield self.snapshots.append
