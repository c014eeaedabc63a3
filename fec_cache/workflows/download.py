"""FEC's images as one call: CSV files -> ledger -> images, and what is missing."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from fec_cache.datasets.annotations import write_rejected
from fec_cache.datasets.download.config import DownloadConfig
from fec_cache.datasets.download.disk_space import SpaceGuard
from fec_cache.datasets.download.ledger import DownloadLedger
from fec_cache.datasets.download.plan import (
    Source,
    count_in_state,
    enter_source,
    find_sources,
    reopen_failed,
    reopen_urls,
    urls_in_state,
)
from fec_cache.datasets.download.recorder import Progress
from fec_cache.datasets.download.status import DownloadStatus, status_of
from fec_cache.datasets.download.store import PictureStore
from fec_cache.datasets.image_paths import CROPPED_NAME, SURVIVORS_NAME
from fec_cache.errors import AlreadyRunning, MissingData, StorageFailed
from fec_cache.faces.cropped_csv import write_cropped_csv
from fec_cache.faces.examine import examine
from fec_cache.system.atomic import write_atomically
from fec_cache.system.extras import require
from fec_cache.system.reporter import Parts, Reporter, Table
from fec_cache.system.wording import counted, data_size
from fec_cache.system.workspace import Workspace

if TYPE_CHECKING:
    from fec_cache.datasets.download.run import NetworkAccess

LOCK_NAME = ".download.lock"
_MOST_HOSTS = 20
_DETAIL = 60


@dataclass(frozen=True)
class StatusOutcome:
    """What is stored and what is missing; `progress` is that of the run just made, if any."""

    data_dir: Path
    status: DownloadStatus
    progress: Progress | None = None

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        status = self.status
        fields: dict[str, Any] = {
            "data": str(self.data_dir),
            "urls": status.states,
            "stored_bytes": status.stored_bytes,
            "hosts": [asdict(host) for host in status.hosts],
            "failures": [asdict(kind) for kind in status.kinds],
            "triplets": [asdict(group) for group in status.triplets],
            "survivors": status.survivors,
        }
        if self.progress is not None:
            fields["run"] = asdict(self.progress)
        return fields

    def parts(self) -> Parts:
        """For people: the run, then tables by host, by failure and by triplet type."""
        status = self.status
        states = status.states
        parts: list[str | Table | None] = [
            _run_in_words(self.progress) if self.progress else None,
            f"{counted(sum(states.values()), 'URL')}: {states['ok']} ok "
            f"({data_size(status.stored_bytes, on_disk=True)}), {states['failed']} failed, "
            f"{states['pending']} pending",
            self._hosts(),
            self._failures(),
            self._triplets(),
            f"Survivors: {counted(status.survivors['images'], 'distinct image')}, set "
            f"{status.survivors['survivors'][:16]} ({self.data_dir / SURVIVORS_NAME})",
        ]
        return [part for part in parts if part is not None]

    def _hosts(self) -> Table:
        hosts = self.status.hosts
        rows = [
            [h.host[:_DETAIL] or "(none)", str(h.ok), str(h.failed), str(h.pending)] for h in hosts
        ]
        if len(rows) > _MOST_HOSTS:
            others = hosts[_MOST_HOSTS:]
            sums = [sum(getattr(h, name) for h in others) for name in ("ok", "failed", "pending")]
            rows = [*rows[:_MOST_HOSTS], [counted(len(others), "other host"), *map(str, sums)]]
        return Table("By host", ["host", "ok", "failed", "pending"], rows)

    def _failures(self) -> Table | None:
        if not self.status.kinds:
            return None
        rows = [
            [k.kind, str(k.number), "yes" if k.is_transient else "no", k.example[:_DETAIL]]
            for k in self.status.kinds
        ]
        return Table("Failures", ["kind", "URLs", "tried again", "for example"], rows)

    def _triplets(self) -> Table:
        rows = [
            [f"{t.split} {t.type.removesuffix('_TRIPLET').lower()}", str(t.usable), str(t.number)]
            for t in self.status.triplets
        ]
        return Table("Triplets with all three images", ["triplets", "usable", "in all"], rows)


def download(
    workspace: Workspace,
    csv_paths: Sequence[Path],
    config: DownloadConfig,
    reporter: Reporter,
    network: "NetworkAccess | None" = None,
) -> StatusOutcome:
    """Fetch every URL of the CSV files that is not stored yet.

    Raises:
        MissingExtra: httpx is not installed.
        AlreadyRunning: another process downloads into the same folder.
        MissingData, BadAnnotations: there is no usable CSV file.
        LedgerDamaged, StorageFailed, NetworkDown: see the stages; finished pictures stay.
    """
    require("httpx", "download")
    data_dir = workspace.data_dir
    paths = find_sources(data_dir, csv_paths)
    data_dir.mkdir(parents=True, exist_ok=True)
    # No waiting: a second run would only fetch the same URLs after the first.
    lock = FileLock(data_dir / LOCK_NAME, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise AlreadyRunning(
            f"Another fec download is running in {data_dir}. Wait for it, or see its progress "
            f"with: fec download --status --data {data_dir}"
        ) from error
    try:
        ledger = DownloadLedger(data_dir)
        try:
            return _download(ledger, data_dir, paths, config, reporter, network)
        finally:
            ledger.close()
    finally:
        lock.release()


def download_status(workspace: Workspace) -> StatusOutcome:
    """The counts of the ledger, also while a download runs.

    Raises:
        MissingData: nothing was ever downloaded.
        LedgerDamaged: the ledger cannot be read.
    """
    ledger = DownloadLedger(workspace.data_dir, read_only=True)
    try:
        return StatusOutcome(workspace.data_dir, status_of(ledger))
    finally:
        ledger.close()


def _download(
    ledger: DownloadLedger,
    data_dir: Path,
    paths: dict[str, Path],
    config: DownloadConfig,
    reporter: Reporter,
    network: "NetworkAccess | None",
) -> StatusOutcome:
    # Imported here, so that --status works without httpx.
    from fec_cache.datasets.download.run import download as fetch_all

    sources = [_enter(ledger, split, path, data_dir, reporter) for split, path in paths.items()]
    reopen_failed(ledger, sources, config.retry_failed)
    _recheck(ledger, sources, data_dir, config, reporter)
    if not ledger.number("SELECT count(*) FROM urls"):
        names = " and ".join(str(path) for path in paths.values())
        raise MissingData(f"No URL in {names}: all pictures are local files.")
    SpaceGuard(ledger, data_dir, config).check(count_in_state(ledger, sources, "pending"))
    pending = urls_in_state(ledger, sources, "pending")
    try:
        with reporter.progress("Downloading", "URLs") as step:

            def on_progress(progress: Progress) -> None:
                """Move the bar."""
                detail = f"{progress.ok} ok, {progress.failed} failed"
                step(progress.done, progress.total, detail)

            progress = fetch_all(ledger, pending, data_dir, config, examine, on_progress, network)
    # Also after an interrupt: survivors.json must name what is stored.
    finally:
        status = _conclude(ledger, sources, data_dir, config)
    return StatusOutcome(data_dir, status, progress)


def _enter(
    ledger: DownloadLedger, split: str, path: Path, data_dir: Path, reporter: Reporter
) -> Source:
    source = enter_source(ledger, split, path)
    if source.rejected is not None:
        rejected_path = data_dir / f"rejected-{split}.csv"
        write_rejected(rejected_path, source.rejected)
        if source.rejected:
            reporter.warning(
                f"{source.num_rejected} of {counted(source.num_rows, 'row')} of {path} cannot be "
                f"used; see {rejected_path}"
            )
    return source


def _recheck(
    ledger: DownloadLedger,
    sources: Sequence[Source],
    data_dir: Path,
    config: DownloadConfig,
    reporter: Reporter,
) -> None:
    """Reopen URLs whose files are missing or no longer as they were written."""
    store = PictureStore(data_dir, config.keep, examine)
    lost = []
    numbers = (number for number, _ in urls_in_state(ledger, sources, "ok"))
    for number, url, stored in ledger.stored(numbers):
        boxes = ledger.boxes(number) if config.keep == "crop" else []
        if not store.is_whole(url, boxes, stored):
            lost.append(number)
    if lost:
        reporter.warning(
            f"{counted(len(lost), 'picture')} missing or changed on disk: fetched again."
        )
        reopen_urls(ledger, lost)
    for number, url in ledger.placeholders():
        store.remove(url, ledger.boxes(number))


def _conclude(
    ledger: DownloadLedger, sources: Sequence[Source], data_dir: Path, config: DownloadConfig
) -> DownloadStatus:
    """Record which set of pictures is stored, at the end of every run however it ended."""
    status = status_of(ledger)
    content = (json.dumps(status.survivors, indent=1) + "\n").encode()
    try:
        write_atomically(data_dir / SURVIVORS_NAME, content)
        if config.keep == "crop":
            folder = data_dir / CROPPED_NAME
            folder.mkdir(exist_ok=True)
            for source in sources:
                write_cropped_csv(ledger, source.path, folder / f"{source.split}.csv")
            write_atomically(folder / SURVIVORS_NAME, content)
    except OSError as error:
        raise StorageFailed(
            f"{error.filename or data_dir} could not be written: {error.strerror or error}. Make "
            "room and run the same command again."
        ) from error
    return status


def _run_in_words(progress: Progress) -> str:
    lines = [
        f"This run: {progress.ok} ok, {progress.failed} failed of {progress.total}; "
        f"{data_size(progress.received_bytes, on_disk=True)} received"
    ]
    if progress.adopted:
        adopted = counted(progress.adopted, "picture")
        lines.append(f"{adopted} found on the disk and recorded without a download")
    if progress.stopped:
        lines.append(f"Stopped: {progress.stopped}. The remaining URLs stay pending.")
    for host, number in progress.parked.items():
        lines.append(
            f"{host} asked for a longer pause: {counted(number, 'URL')} left pending, run again "
            "later"
        )
    return "\n".join(lines)
