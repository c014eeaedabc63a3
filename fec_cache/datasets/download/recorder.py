"""Results of URLs -> ledger: collected for a few milliseconds, written in one transaction.

Each worker waits until its result is written. So a URL counts as in flight until it is in the
ledger, and a killed run loses only the URLs in flight.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from fec_cache.datasets.download.disk_space import SpaceGuard
from fec_cache.datasets.download.ledger import DownloadLedger, UrlOutcome
from fec_cache.datasets.download.store import PictureStore

_COLLECT_S = 0.005


@dataclass
class Progress:
    """Progress of a run.

    Attributes:
        total: URLs to fetch.
        ok: URLs that ended as ok.
        failed: URLs that failed.
        adopted: pictures that were already on the disk.
        received_bytes: bytes of all pictures that servers sent.
        stopped: why the run ended early; empty if it did not.
        parked: number of URLs left for a later run, by host that asked for a long pause.
    """

    total: int = 0
    ok: int = 0
    failed: int = 0
    adopted: int = 0
    received_bytes: int = 0
    stopped: str = ""
    parked: dict[str, int] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """URLs that are ok or failed after this run."""
        return self.ok + self.failed


OnProgress = Callable[[Progress], None]


class Recorder:
    """Writes results, deletes pictures that prove to be placeholders, and counts.

    Args:
        ledger: open for writing.
        store: the stored pictures.
        placeholder_urls: see `DownloadConfig`.
        space: counts stored bytes and says when to stop.
        progress: updated after each transaction.
        on_progress: called after each transaction.
    """

    def __init__(
        self,
        ledger: DownloadLedger,
        store: PictureStore,
        placeholder_urls: int,
        space: SpaceGuard,
        progress: Progress,
        on_progress: OnProgress | None,
    ) -> None:
        self._ledger, self._store, self._space = ledger, store, space
        self._placeholder_urls = placeholder_urls
        self._progress, self._on_progress = progress, on_progress
        self._waiting: list[tuple[tuple[UrlOutcome, ...], asyncio.Future[None]]] = []

    async def add(self, *outcomes: UrlOutcome) -> None:
        """Write results; returns once they are in the ledger.

        Raises:
            StorageFailed, LedgerDamaged: the ledger could not be written.
        """
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        self._waiting.append((outcomes, written))
        if len(self._waiting) == 1:
            loop.call_later(_COLLECT_S, self._flush)
        await written

    def flush(self) -> None:
        """Write the results that still wait, at the end of an interrupted run."""
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

    def _write(self, outcomes: list[UrlOutcome]) -> None:
        progress = self._progress
        unmasked = self._ledger.record(outcomes, self._placeholder_urls)
        for number, url in unmasked:
            self._store.remove(url, self._ledger.boxes(number))
        num_ok = sum(not outcome.kind for outcome in outcomes)
        # Some of these placeholders may have counted as ok in an earlier run.
        num_reversed = min(len(unmasked), progress.ok + num_ok)
        progress.ok += num_ok - num_reversed
        progress.failed += len(outcomes) - num_ok + num_reversed
        self._space.add(sum(outcome.stored_bytes or 0 for outcome in outcomes))
        progress.stopped = progress.stopped or self._space.why_stop()
        if self._on_progress is not None:
            self._on_progress(progress)
