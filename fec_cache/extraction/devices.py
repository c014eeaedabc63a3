"""Several devices of one host: a process for each, all working on one cache.

They share the work as any extractors on one cache do: each claims the next shard that nobody has.
What a process that died had claimed is free again, and another one takes it.
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

from fec_cache import errors
from fec_cache.backbones.base import Backbone
from fec_cache.backbones.load import load_backbone
from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.views import write_views
from fec_cache.errors import BadOption, FecError, WorkerLost
from fec_cache.extraction.batches import StageSeconds
from fec_cache.extraction.extract import ExtractSummary, extract
from fec_cache.extraction.pieces import plan_pieces
from fec_cache.extraction.run import ExtractOptions, ExtractProgress, ProgressCallback
from fec_cache.faces.table import FaceTable
from fec_cache.inference.network import choose_device
from fec_cache.system.cores import usable_cores
from fec_cache.system.memory import free_memory_bytes

log = logging.getLogger(__name__)

_STAGES = ("read", "decode", "network", "write")
_FREE_SHARE = 0.25


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
    options: ExtractOptions


def device_names(text: str) -> tuple[str, ...]:
    """`0,1` -> ("cuda:0", "cuda:1"); other words are devices in torch's own: `cpu,cpu`.

    Raises:
        BadOption: a part is empty.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise BadOption(f"devices are {text!r}, but they must be like 0,1 or cuda:0,cuda:1.")
    return tuple(f"cuda:{part}" if part.isdecimal() else part for part in parts)


def check_devices(names: Sequence[str]) -> None:
    """See to it that devices are there, before anything costly is begun.

    GPUs are only counted: to use one here would take memory on it from the process to come.

    Raises:
        BadOption: one of them is unknown, or not on this machine.
    """
    for name in names:
        kind, _, number = name.partition(":")
        if kind != "cuda" or not number.isdecimal():
            choose_device(name)
        elif int(number) >= (found := torch.cuda.device_count()):
            raise BadOption(
                f"device {name!r} cannot be used here: CUDA devices on this machine: {found}. "
                "Try cpu."
            )


def extract_on_devices(
    faces: FaceTable,
    images_dir: Path,
    source: BackboneSource,
    caches: Sequence[FeatureCache],
    options: ExtractOptions,
    devices: Sequence[str],
    on_progress: ProgressCallback | None = None,
) -> ExtractSummary:
    """Bring caches up to a table of faces by one process for each device; see `extract`.

    Raises:
        WorkerLost: processes died and left shards undone; all sealed shards are kept.
        FecError: what the first process that failed has raised.
    """
    started = time.perf_counter()
    share = _share(options, len(devices))
    folders = tuple(cache.folder for cache in caches)
    crew = [
        _Process(_Job(faces, images_dir, source, folders, replace(share, device=device)))
        for device in devices
    ]
    try:
        _follow(crew, on_progress)
    finally:
        for process in crew:
            process.end()
    _judge(crew, faces, caches, options)
    for cache in caches:
        write_views(cache, faces.missing, faces.present)
    summary = _sum([process.summary for process in crew if process.summary], faces)
    summary.duration_s = time.perf_counter() - started
    return summary


def _share(options: ExtractOptions, num: int) -> ExtractOptions:
    """Threads and memory of the host, parted among the processes."""
    memory = options.memory_gb or _FREE_SHARE * free_memory_bytes() / 1e9
    workers = (options.num_workers or usable_cores()) // num
    return replace(options, num_workers=max(1, workers), memory_gb=memory / num)


class _Process:
    """One process, seen from the one that started it."""

    def __init__(self, job: _Job) -> None:
        self.device = job.options.device
        self.done = self.total = 0
        self.summary: ExtractSummary | None = None
        self.error: FecError | None = None
        context = multiprocessing.get_context("spawn")
        self.link, theirs = context.Pipe(duplex=False)
        self._process: SpawnProcess = context.Process(
            target=_work, args=(job, theirs), name=f"extract on {self.device}"
        )
        self._process.start()
        theirs.close()

    def hear(self) -> bool:
        """Take one message; False when there will be no more."""
        try:
            kind, told = self.link.recv()
        except (EOFError, OSError):
            return False
        if kind == "progress":
            self.done, self.total = told
        elif kind == "error":
            name, text = told
            self.error = getattr(errors, name, FecError)(text)
        else:
            seconds = told.pop("seconds")
            self.summary = ExtractSummary(**told, seconds=StageSeconds(**seconds))
        return True

    def end(self) -> None:
        """Leave no process behind."""
        if self.summary is None and self.error is None and self._process.is_alive():
            self._process.terminate()
        self._process.join()
        self.link.close()

    @property
    def exitcode(self) -> int | None:
        """The process's exit code; below zero the signal that killed it."""
        return self._process.exitcode


def _follow(crew: Sequence[_Process], on_progress: ProgressCallback | None) -> None:
    links = {process.link: process for process in crew}
    while links:
        ready = wait(list(links))
        for link, process in tuple(links.items()):
            if link in ready and not process.hear():
                del links[link]
        if on_progress is not None:
            # Each knows all the work of the round; together they do it once.
            total = max(process.total for process in crew)
            done = min(total, sum(process.done for process in crew))
            on_progress(ExtractProgress(done, total, StageSeconds()))


def _judge(
    crew: Sequence[_Process],
    faces: FaceTable,
    caches: Sequence[FeatureCache],
    options: ExtractOptions,
) -> None:
    for process in crew:
        if process.error is not None:
            raise process.error
    lost = [process for process in crew if process.summary is None]
    if not lost:
        return
    told = ", ".join(f"{process.device} (exit code {process.exitcode})" for process in lost)
    planned = plan_pieces(faces.unique(), caches, options.shard_faces)
    left = [piece for piece in planned if not piece.item.is_retry]
    if left:
        raise WorkerLost(
            f"The process on {told} died; shards not done: {len(left)}. Everything sealed is "
            "safe: run the same command again, and it computes only what is left."
        )
    log.warning("The process on %s died; the others have done its work", told)


def _sum(parts: Sequence[ExtractSummary], faces: FaceTable) -> ExtractSummary:
    """What all processes did together: a face was computed by one and is cached for the others."""
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
    for stage in _STAGES:
        summary.seconds.add(stage, sum(getattr(part.seconds, stage) for part in parts))
    return summary


def _work(job: _Job, link: Connection) -> None:
    """What each process does."""

    def on_progress(progress: ExtractProgress) -> None:
        """Pass it on."""
        link.send(("progress", (progress.faces_done, progress.faces_total)))

    try:
        caches = [FeatureCache.open(folder) for folder in job.folders]
        backbone = job.source.load()
        summary = extract(job.faces, job.images_dir, backbone, caches, job.options, on_progress)
    except FecError as error:
        link.send(("error", (type(error).__name__, str(error))))
        return
    told = {name: getattr(summary, name) for name in summary.__dataclass_fields__}
    told["seconds"] = {stage: getattr(summary.seconds, stage) for stage in _STAGES}
    link.send(("summary", told))
