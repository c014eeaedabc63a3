"""Outcomes on their way into the ledger: gathered for a moment, written in one transaction.

Who hands an outcome over waits until it is written. So a URL counts as in flight until the ledger
has it, and a kill never loses more than what is in flight.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from fec_cache.datasets.download.disk_space import SpaceGuard
from fec_cache.datasets.download.ledger import Ledger, Outcome
from fec_cache.datasets.download.store import PictureStore

_GATHER_S = 0.005


@dataclass
class Progress:
    """How far a run is; `stopped` says why it ended early, `parked` which hosts it left alone."""

    total: int = 0
    ok: int = 0
    failed: int = 0
    adopted: int = 0
    received_bytes: int = 0
    stopped: str = ""
    parked: dict[str, int] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """URLs that reached their state in this run."""
        return self.ok + self.failed


OnProgress = Callable[[Progress], None]


class Recorder:
    """Writes outcomes, deletes unmasked placeholders, keeps the count.

    Args:
        ledger: open for writing.
        store: where the pictures lie.
        placeholder_urls: see `DownloadConfig`.
        space: told what was stored; says when to stop.
        progress: kept up to date.
        on_progress: told after each transaction.
    """

    def __init__(
        self,
        ledger: Ledger,
        store: PictureStore,
        placeholder_urls: int,
        space: SpaceGuard,
        progress: Progress,
        on_progress: OnProgress | None,
    ) -> None:
        self._ledger, self._store, self._space = ledger, store, space
        self._placeholder_urls = placeholder_urls
        self._progress, self._on_progress = progress, on_progress
        self._waiting: list[tuple[tuple[Outcome, ...], asyncio.Future[None]]] = []

    async def add(self, *outcomes: Outcome) -> None:
        """Write outcomes down; returns when they are.

        Raises:
            StorageFailed, LedgerDamaged: they could not be written.
        """
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        self._waiting.append((outcomes, written))
        if len(self._waiting) == 1:
            loop.call_later(_GATHER_S, self._flush)
        await written

    def flush(self) -> None:
        """Write down what still waits, at the end of a run that was broken off."""
        batch, self._waiting = self._waiting, []
        if batch:
            self._write([outcome for outcomes, _ in batch for outcome in outcomes])

    def _flush(self) -> None:
        batch, self._waiting = self._waiting, []
        try:
            if batch:
                self._write([outcome for outcomes, _ in batch for outcome in outcomes])
        except Exception as error:
            for _, written in batch:
                if not written.done():
                    written.set_exception(error)
            return
        for _, written in batch:
            if not written.done():
                written.set_result(None)

    def _write(self, outcomes: list[Outcome]) -> None:
        progress = self._progress
        unmasked = self._ledger.record(outcomes, self._placeholder_urls)
        for number, url in unmasked:
            self._store.remove(url, self._ledger.boxes(number))
        num_ok = sum(not outcome.kind for outcome in outcomes)
        # Some of the unmasked may have counted as ok in an earlier run.
        num_turned = min(len(unmasked), progress.ok + num_ok)
        progress.ok += num_ok - num_turned
        progress.failed += len(outcomes) - num_ok + num_turned
        self._space.add(sum(outcome.stored_bytes or 0 for outcome in outcomes))
        progress.stopped = progress.stopped or self._space.why_stop()
        if self._on_progress is not None:
            self._on_progress(progress)
