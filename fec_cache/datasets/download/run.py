"""FEC's URLs -> images: one run over the pending URLs of the ledger."""

import asyncio
import ssl
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpcore

from fec_cache.datasets.boxes import Box
from fec_cache.datasets.download.config import DownloadConfig, FetchFailed
from fec_cache.datasets.download.content import Examine, is_quick
from fec_cache.datasets.download.disk_space import SpaceGuard
from fec_cache.datasets.download.http.addresses import PinnedBackend
from fec_cache.datasets.download.http.connections import HostConnections
from fec_cache.datasets.download.http.fetch import Fetcher
from fec_cache.datasets.download.ledger import DownloadLedger, UrlOutcome
from fec_cache.datasets.download.recorder import OnProgress, Progress, Recorder
from fec_cache.datasets.download.retries import DEAD_AFTER, RetryPolicy
from fec_cache.datasets.download.schedule import Schedule
from fec_cache.datasets.download.store import PictureStore, StoredPicture
from fec_cache.errors import NetworkDown
from fec_cache.system.cores import usable_cores
from fec_cache.system.wording import counted

_MOST_DOWN = 20


@dataclass(frozen=True)
class NetworkAccess:
    """How servers are reached; tests replace both parts."""

    backend: httpcore.AsyncNetworkBackend | None = None
    context: ssl.SSLContext | None = None


def download(
    ledger: DownloadLedger,
    urls: Iterable[tuple[int, str]],
    data_dir: Path,
    config: DownloadConfig,
    examine: Examine,
    on_progress: OnProgress | None = None,
    network: NetworkAccess | None = None,
) -> Progress:
    """Fetch pending URLs until none is left, a limit is reached, or the user interrupts.

    However the run ends, every finished URL is in the ledger; a kill loses only those in flight.

    Args:
        ledger: open for writing.
        urls: number and host of the pending URLs.
        data_dir: the folder of `images/`.
        config: limits and behaviour towards servers.
        examine: decodes pictures; called from several threads.
        on_progress: called after each write to the ledger.
        network: how to reach servers; the real one by default.

    Returns:
        The final counts of the run.

    Raises:
        StorageFailed: pictures or the ledger cannot be written.
        NetworkDown: none of many hosts can be reached.
    """
    store = PictureStore(data_dir, config.keep, examine)
    store.open()
    run = _Run(ledger, store, data_dir, config, Progress(), on_progress)
    run.plan(urls)
    try:
        return asyncio.run(run.work(network or NetworkAccess()))
    finally:
        store.close()


class _Run:
    def __init__(
        self,
        ledger: DownloadLedger,
        store: PictureStore,
        data_dir: Path,
        config: DownloadConfig,
        progress: Progress,
        on_progress: OnProgress | None,
    ) -> None:
        self._ledger, self._store, self._config = ledger, store, config
        self._schedule = Schedule(config.per_host)
        self._progress = progress
        space = SpaceGuard(ledger, data_dir, config)
        self._recorder = Recorder(
            ledger, store, config.placeholder_urls, space, progress, on_progress
        )
        self._policy = RetryPolicy(config)
        # Only URLs between two tries are in here.
        self._tries: dict[int, int] = {}
        self._num_running = 0
        self._num_down = 0
        self._sleepers: list[asyncio.Future[None]] = []
        self._threads = ThreadPoolExecutor(usable_cores(), "check")

    def plan(self, urls: Iterable[tuple[int, str]]) -> None:
        """Add the URLs to fetch."""
        self._schedule.add(urls)
        self._progress.total = self._schedule.num_left

    async def work(self, network: NetworkAccess) -> Progress:
        """Run all workers until they are done."""
        backend = network.backend or PinnedBackend(self._config.allow_private)
        self._transport = HostConnections(backend, self._config.connect_s, network.context)
        self._fetcher = Fetcher(self._transport, self._config)
        workers = [asyncio.create_task(self._worker()) for _ in range(self._config.concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await self._transport.aclose()
            self._threads.shutdown()
            self._recorder.flush()
        return self._progress

    async def _worker(self) -> None:
        while (item := await self._next()) is not None:
            number, host = item
            self._num_running += 1
            try:
                await self._process(number, host)
            finally:
                self._num_running -= 1
                # Without this, a run over FEC's many small hosts would hold a socket for each.
                if self._schedule.release(host, time.monotonic()):
                    await self._transport.forget(host)
                self._wake()

    async def _next(self) -> tuple[int, str] | None:
        """The next URL; None when there will be none."""
        while not self._progress.stopped:
            now = time.monotonic()
            item = self._schedule.take(now)
            if item is not None:
                self._wake()  # there may be a URL for the next sleeper, too
                return item
            if not (self._schedule.num_left or self._num_running):
                break
            await self._sleep(self._schedule.next_time(), now)
        while self._sleepers:
            self._wake()
        return None

    async def _sleep(self, until: float | None, now: float) -> None:
        loop = asyncio.get_running_loop()
        sleeper: asyncio.Future[None] = loop.create_future()
        self._sleepers.append(sleeper)
        timer = None if until is None else loop.call_later(max(until - now, 0.001), _end, sleeper)
        try:
            await sleeper
        finally:
            if timer is not None:
                timer.cancel()
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)

    def _wake(self) -> None:
        while self._sleepers:
            sleeper = self._sleepers.pop()
            if not sleeper.done():
                sleeper.set_result(None)
                return

    async def _process(self, number: int, host: str) -> None:
        """Bring one URL to its state, or back into the schedule."""
        url = self._ledger.url(number)
        boxes = self._ledger.boxes(number) if self._config.keep == "crop" else []
        tries = self._tries.pop(number, 0)
        if self._store.has_original(url):
            adopt = partial(self._store.adopt, url, boxes)
            adopted = await asyncio.get_running_loop().run_in_executor(self._threads, adopt)
            if adopted is not None:
                self._progress.adopted += 1
                await self._recorder.add(_good(number, adopted, None, tries))
                return
        try:
            kept, status = await self._fetch(url, boxes)
        except FetchFailed as failure:
            await self._failed(number, host, failure, tries + 1)
        else:
            self._policy.succeeded(host)
            await self._recorder.add(_good(number, kept, status, tries + 1))

    async def _fetch(self, url: str, boxes: Sequence[Box]) -> tuple[StoredPicture, int]:
        fetched = await self._fetcher.fetch(url)
        self._progress.received_bytes += len(fetched.content)
        keep = partial(self._store.keep, url, fetched.content, boxes)
        # See `is_quick`: another thread would cost more time than it saves.
        if is_quick(fetched.content) and not boxes:
            return keep(), fetched.status
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, keep), fetched.status

    async def _failed(self, number: int, host: str, failure: FetchFailed, tries: int) -> None:
        decision = self._policy.decide(host, failure, tries)
        now = time.monotonic()
        if decision.hold_s:
            self._schedule.hold(host, now + decision.hold_s)
        if decision.action == "retry":
            self._tries[number] = tries
            self._schedule.retry(number, host, now + decision.wait_s)
        elif decision.action == "park":
            dropped = self._schedule.drop(host)
            self._progress.parked[host] = self._progress.parked.get(host, 0) + len(dropped) + 1
        else:
            outcomes = [_bad(number, failure, tries)]
            if decision.action == "down":
                detail = f"{host} did not answer {DEAD_AFTER} times in a row: {failure.detail}"
                down = FetchFailed("host-down", detail)
                outcomes += [_bad(other, down, 0) for other in self._schedule.drop(host)]
                self._check_network(failure)
            await self._recorder.add(*outcomes)

    def _check_network(self, failure: FetchFailed) -> None:
        self._num_down += 1
        # Once a URL is ok, the network works, and hosts that are down are their own problem.
        if self._num_down >= _MOST_DOWN and not self._progress.ok:
            raise NetworkDown(
                f"None of {counted(self._num_down, 'host')} could be reached; last error: "
                f"{failure.detail}. Check the network connection and run the same command again."
            )


def _end(sleeper: "asyncio.Future[None]") -> None:
    if not sleeper.done():
        sleeper.set_result(None)


def _good(number: int, kept: StoredPicture, status: int | None, tries: int) -> UrlOutcome:
    return UrlOutcome(
        number,
        status=status,
        tries=tries,
        sha256=kept.sha256,
        size_bytes=kept.size_bytes,
        stored_bytes=kept.stored_bytes,
        width=kept.width,
        height=kept.height,
    )


def _bad(number: int, failure: FetchFailed, tries: int) -> UrlOutcome:
    return UrlOutcome(number, failure.kind, failure.status, tries, failure.detail[:500])
