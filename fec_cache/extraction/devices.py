"""Several devices of one machine: one process each, all working on the same caches.

They share the work like any extractors on one cache: each claims the next free shard. Claims of a
process that dies are free again, and another process takes them.
"""

import logging
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

import torch

import fec_cache.errors
from fec_cache.backbones.base import Backbone
from fec_cache.backbones.load import load_backbone
from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.views import write_views
from fec_cache.errors import BadOption, FecError, WorkerLost
from fec_cache.extraction.batches import STAGES, StageSeconds
from fec_cache.extraction.config import ExtractConfig
from fec_cache.extraction.extract import ExtractSummary, extract
from fec_cache.extraction.memory import FREE_SHARE
from fec_cache.extraction.pieces import plan_pieces
from fec_cache.extraction.run import ExtractProgress, ProgressCallback
from fec_cache.faces.table import FaceTable
from fec_cache.inference.network import choose_device
from fec_cache.system.cores import usable_cores
from fec_cache.system.memory import free_memory_bytes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BackboneSource:
    """What another process needs to load the same backbone."""

    name: str
    weights: str | None
    layers: tuple[str, ...]
    identity: str

    @classmethod
    def of(cls, backbone: Backbone, weights: str | None) -> "BackboneSource":
        """The source of a loaded backbone; `weights` as it was given to `load_backbone`."""
        return cls(backbone.name, weights, backbone.layers, backbone.weights.identity)

    def load(self) -> Backbone:
        """The backbone itself; see `load_backbone`."""
        return load_backbone(self.name, self.weights, self.layers, expected_identity=self.identity)


@dataclass(frozen=True)
class _Job:
    faces: FaceTable
    images_dir: Path
    source: BackboneSource
    folders: tuple[Path, ...]
    config: ExtractConfig

    def on(self, device: str) -> "_Job":
        """The same job on one device."""
        return replace(self, config=replace(self.config, device=device))


def check_devices(names: Sequence[str]) -> None:
    """Check that devices exist, before anything expensive begins.

    Raises:
        BadOption: one of them is unknown, or not on this machine.
    """
    # GPUs are only counted: using one here would take memory on it from its worker process.
    for name in names:
        kind, _, number = name.partition(":")
        if kind != "cuda" or not number.isdecimal():
            choose_device(name)
        elif int(number) >= (num_gpus := torch.cuda.device_count()):
            raise BadOption(
                f"device {name!r} cannot be used here: CUDA devices on this machine: {num_gpus}. "
                "Try cpu."
            )


def extract_on_devices(
    faces: FaceTable,
    images_dir: Path,
    source: BackboneSource,
    caches: Sequence[FeatureCache],
    config: ExtractConfig,
    devices: Sequence[str],
    on_progress: ProgressCallback | None = None,
) -> ExtractSummary:
    """Bring caches up to date with a table of faces, one process per device; see `extract`.

    Args:
        faces: the faces to be in the caches afterwards.
        images_dir: folder of the images.
        source: how each process loads the backbone.
        caches: one per layer, plain or mirrored.
        config: how to extract; threads and memory are shared by all processes.
        devices: one torch device name per process.
        on_progress: called when a process reports progress.

    Raises:
        WorkerLost: processes died and left shards undone; all sealed shards are kept.
        FecError: the error of the first process that failed.
    """
    started = time.perf_counter()
    folders = tuple(cache.folder for cache in caches)
    job = _Job(faces, images_dir, source, folders, _share(config, len(devices)))
    processes = [_Process(job.on(device)) for device in devices]
    try:
        _wait_for(processes, on_progress)
    finally:
        for process in processes:
            process.end()
    _check_results(processes, faces, caches, config)
    for cache in caches:
        write_views(cache, faces.missing, faces.present)
    summary = _sum([process.summary for process in processes if process.summary], faces)
    summary.duration_s = time.perf_counter() - started
    return summary


def _share(config: ExtractConfig, num_processes: int) -> ExtractConfig:
    """The config of one process: threads and memory of the machine are divided equally."""
    memory_gb = config.memory_gb or FREE_SHARE * free_memory_bytes() / 1e9
    num_workers = max(1, (config.num_workers or usable_cores()) // num_processes)
    return replace(config, num_workers=num_workers, memory_gb=memory_gb / num_processes)


class _Process:
    """A worker process, seen from the process that started it."""

    def __init__(self, job: _Job) -> None:
        self.device = job.config.device
        self.done = self.total = 0
        self.summary: ExtractSummary | None = None
        self.error: FecError | None = None
        # Not forked: CUDA cannot be used in a forked process once its parent has used it.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe(duplex=False)
        self._process: SpawnProcess = context.Process(
            target=_work, args=(job, theirs), name=f"extract on {self.device}"
        )
        self._process.start()
        theirs.close()

    def receive(self) -> bool:
        """Take one message; False when there will be no more."""
        try:
            kind, content = self.connection.recv()
        except (EOFError, OSError):
            return False
        if kind == "progress":
            self.done, self.total = content
        elif kind == "error":
            name, text = content
            self.error = getattr(fec_cache.errors, name, FecError)(text)
        else:
            seconds = content.pop("seconds")
            self.summary = ExtractSummary(**content, seconds=StageSeconds(**seconds))
        return True

    def end(self) -> None:
        """Wait for the process; kill it if it has not finished."""
        if self.summary is None and self.error is None and self._process.is_alive():
            self._process.terminate()
        self._process.join()
        self.connection.close()

    @property
    def exitcode(self) -> int | None:
        """Exit code of the process; if negative, the signal that killed it."""
        return self._process.exitcode


def _wait_for(processes: Sequence[_Process], on_progress: ProgressCallback | None) -> None:
    running = {process.connection: process for process in processes}
    while running:
        ready = wait(list(running))
        for connection, process in tuple(running.items()):
            if connection in ready and not process.receive():
                del running[connection]
        if on_progress is not None:
            # Each process reports the total of the whole round, of which it does a part.
            total = max(process.total for process in processes)
            done = min(total, sum(process.done for process in processes))
            on_progress(ExtractProgress(done, total, StageSeconds()))


def _check_results(
    processes: Sequence[_Process],
    faces: FaceTable,
    caches: Sequence[FeatureCache],
    config: ExtractConfig,
) -> None:
    """Raise the error of a failed process, or `WorkerLost` if dead ones left work undone."""
    for process in processes:
        if process.error is not None:
            raise process.error
    lost = [process for process in processes if process.summary is None]
    if not lost:
        return
    devices = ", ".join(f"{process.device} (exit code {process.exitcode})" for process in lost)
    planned = plan_pieces(faces.unique(), caches, config.shard_faces)
    left = [piece for piece in planned if not piece.item.is_retry]
    if left:
        raise WorkerLost(
            f"The process on {devices} died; shards not done: {len(left)}. All finished shards are "
            "safe: run the same command again to compute the rest."
        )
    log.warning("The process on %s died; the others did its work", devices)


def _sum(parts: Sequence[ExtractSummary], faces: FaceTable) -> ExtractSummary:
    """What all processes did together."""
    # A face computed by one process is counted as cached by the others: only sums of computed
    # faces can be trusted.
    computed = sum(part.num_computed for part in parts)
    failed = max(part.num_failed for part in parts)
    cosines = [part.smallest_cosine for part in parts if part.smallest_cosine is not None]
    summary = replace(
        parts[0],
        num_computed=computed,
        num_failed=failed,
        num_cached=len(faces.present) - computed - failed,
        num_faint=sum(part.num_faint for part in parts),
        num_damaged_shards=sum(part.num_damaged_shards for part in parts),
        smallest_cosine=min(cosines, default=None),
        seconds=StageSeconds(),
    )
    for stage in STAGES:
        summary.seconds.add(stage, sum(getattr(part.seconds, stage) for part in parts))
    return summary


def _work(job: _Job, connection: Connection) -> None:
    """Run one worker process: extract on its device, then send a summary or an error."""

    def on_progress(progress: ExtractProgress) -> None:
        """Send it to the parent process."""
        connection.send(("progress", (progress.faces_done, progress.faces_total)))

    try:
        caches = [FeatureCache.open(folder) for folder in job.folders]
        backbone = job.source.load()
        summary = extract(job.faces, job.images_dir, backbone, caches, job.config, on_progress)
    except FecError as error:
        connection.send(("error", (type(error).__name__, str(error))))
        return
    fields = {name: getattr(summary, name) for name in summary.__dataclass_fields__}
    # Its lock cannot be pickled.
    fields["seconds"] = {stage: getattr(summary.seconds, stage) for stage in STAGES}
    connection.send(("summary", fields))
