"""One extraction in progress: its pieces of work, one after the other, through the pipeline."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from fec_cache.backbones.base import Backbone
from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.manifest import FailedFace
from fec_cache.cache.plan import SHARD_FACES, WorkItem
from fec_cache.cache.provenance import record_run
from fec_cache.extraction.batches import Batch, Decoder, StageSeconds, usable_cores
from fec_cache.extraction.memory import plan_memory
from fec_cache.extraction.pieces import Piece
from fec_cache.extraction.pipeline import Pipeline
from fec_cache.extraction.recipes import to_store
from fec_cache.extraction.workers import PipelineOptions, Result
from fec_cache.faces.table import Face
from fec_cache.inference.compilation import EAGER, Compiler
from fec_cache.inference.gpu_jpegs import jpeg_decoder
from fec_cache.inference.network import Features, Network, choose_device
from fec_cache.inference.precision import check_features
from fec_cache.system.checks import check_choice, check_range

log = logging.getLogger(__name__)

COMPILE = ("auto", "on", "off")
_CPU_BATCH, _BATCH = 16, 128
# Two passes at a time: one copies while the other computes.
_GPU_LANES = 2
_MOST_GPU_DECODERS = 32
_FAINT = 1e-2
# After so many faces the rate is known well enough to say how long the rest will take.
_KNOWN_RATE = 256


@dataclass(frozen=True)
class ExtractOptions:
    """How to extract; none of it changes what a feature means.

    `batch_size` None takes 16 faces on a CPU, whose caches larger batches leave, else 128.
    `num_workers` 0 is one thread per core; on a CPU they run the network as well. `memory_gb` None
    is a quarter of what is free.
    """

    device: str = "auto"
    batch_size: int | None = None
    num_workers: int = 0
    shard_faces: int = SHARD_FACES
    compile: str = "auto"
    memory_gb: float | None = None
    image_timeout_s: float = 60.0

    def __post_init__(self) -> None:
        """Check every field."""
        if self.batch_size is not None:
            check_range("batch size", self.batch_size, 1, 65536)
        check_range("workers", self.num_workers, 0, 1024)
        check_range("shard faces", self.shard_faces, 1, 1 << 20)
        check_choice("compile", self.compile, COMPILE)
        if self.memory_gb is not None:
            check_range("memory in GB", self.memory_gb, 0.0, 1e6)
        check_range("image timeout in seconds", self.image_timeout_s, 0.1, 86400)


@dataclass(frozen=True)
class ExtractProgress:
    """Where an extraction stands: faces done and to do in this run, and the stages' seconds."""

    faces_done: int
    faces_total: int
    seconds: StageSeconds


ProgressCallback = Callable[[ExtractProgress], None]


class Run:
    """The network on its device, the pieces of work, and the counters."""

    def __init__(
        self,
        backbone: Backbone,
        caches: Sequence[FeatureCache],
        options: ExtractOptions,
        seconds: StageSeconds,
        on_progress: ProgressCallback | None,
    ) -> None:
        self.worked_ids: set[str] = set()
        self.smallest_cosine: float | None = None
        self.num_faint = 0
        self._backbone, self._options = backbone, options
        self._recipes = [cache.recipe for cache in caches]
        self._seconds, self._on_progress = seconds, on_progress
        self._total = self._done = 0
        self._started = 0.0
        self._device = choose_device(options.device)
        on_cpu = self._device.type == "cpu"
        self._batch_size = options.batch_size or (_CPU_BATCH if on_cpu else _BATCH)
        self._network: Network | None = None
        self._compiler: Compiler | None = None

    def work(self, images_dir: Path, planned: Sequence[Piece], ours: Iterator[Piece]) -> None:
        """Compute those of the planned pieces that are ours in order, sealing each when done."""
        self._total = self._done + sum(len(piece.item.faces) for piece in planned)
        shard_faces = max(len(piece.item.faces) for piece in planned)
        crop = self._recipes[0].crop
        decoder = Decoder(images_dir, crop, self._seconds, jpeg_decoder(self._device, crop))
        options = self._pipeline_options(shard_faces)
        pipeline = Pipeline(decoder, self._ready_network(options), options, self._check)
        reached: list[Piece] = []

        def faces() -> Iterator[Sequence[Face]]:
            """The faces of our pieces, which are claimed as they are asked for."""
            for piece in ours:
                reached.append(piece)
                yield piece.item.faces

        # One stream over all pieces: reading ahead does not stop at a shard's end.
        with closing(pipeline.results(faces())) as results:
            for number, some in groupby(results, lambda result: result.piece):
                self._store(reached[number], some)

    @property
    def engine(self) -> str:
        """What computed: eager or compiled code, and what became of compiling."""
        if self._compiler is None or self._network is None:
            return EAGER
        told = self._compiler.message or self._compiler.engine
        return f"{told}, CUDA graph" if self._network.is_recorded else told

    def _ready_network(self, options: PipelineOptions) -> Network:
        if self._network is None:
            threads = torch.get_num_threads()
            if self._device.type == "cpu":
                # Short passes: several threads would wait for each other longer than they work.
                torch.set_num_threads(options.num_threads)
            try:
                self._network, self._compiler = self._prepared(options)
            finally:
                torch.set_num_threads(threads)
            self._started = time.monotonic()
        return self._network

    def _prepared(self, options: PipelineOptions) -> tuple[Network, Compiler]:
        flip = any(recipe.flip for recipe in self._recipes)
        precision = self._recipes[0].precision
        network = Network(self._backbone, self._device, precision, flip=flip)
        network.recorded_rows = 0 if self._options.compile == "off" else self._batch_size
        compiler = Compiler(network, self._options.compile, self._batch_size, options.num_threads)
        compiler.prepare()
        return network, compiler

    def record(self, cache: FeatureCache) -> None:
        """Note in a cache's provenance that this run took place, if it had work to do."""
        if self.worked_ids:
            told = {"engine": self.engine, "smallest_cosine": self.smallest_cosine}
            source = self._backbone.weights.source
            with cache.locked():
                record_run(cache.folder, source, self._device, self._batch_size, told)

    def _pipeline_options(self, shard_faces: int) -> PipelineOptions:
        options, on_cpu = self._options, self._device.type == "cpu"
        cores = usable_cores()
        num_workers = options.num_workers or (cores if on_cpu else min(cores, _MOST_GPU_DECODERS))
        return PipelineOptions(
            batch_size=self._batch_size,
            num_workers=num_workers,
            num_forward=0 if on_cpu else _GPU_LANES,
            num_threads=max(1, cores // num_workers) if on_cpu else 1,
            memory=plan_memory(
                options.memory_gb, self._recipes, shard_faces, self._batch_size, num_workers
            ),
            image_timeout_s=options.image_timeout_s,
        )

    def _check(self, features: Features, batch: Batch) -> None:
        """The first batch also goes through the plain fp32 path."""
        if self.smallest_cosine is None and self._network is not None:
            pictures, rows = batch.pictures, batch.rows
            self.smallest_cosine = check_features(features, self._network, pictures, rows)

    def _store(self, piece: Piece, results: Iterator[Result]) -> None:
        failed: list[FailedFace] = []
        usable: list[Face] = []
        outputs = [_Output(cache) for cache in piece.caches]
        for result in results:
            failed.extend(failed_face(face, reason) for face, reason in result.failed)
            usable.extend(result.faces)
            if result.faces:
                for output in outputs:
                    output.add(result.features)
            self._advance(len(result.faces) + len(result.failed))
        started = time.perf_counter()
        for output in outputs:
            output.seal(piece.item, usable, failed)
        self.worked_ids.update(face.face_id for face in piece.item.faces)
        self.num_faint += max((output.num_faint for output in outputs), default=0)
        self._seconds.add("write", time.perf_counter() - started)

    def _advance(self, num_faces: int) -> None:
        self._done += num_faces
        if self._compiler is not None and self._done >= _KNOWN_RATE:
            a_face_s = (time.monotonic() - self._started) / self._done
            self._compiler.consider(a_face_s * (self._total - self._done))
        if self._on_progress is not None:
            self._on_progress(ExtractProgress(self._done, self._total, self._seconds))


class _Output:
    """The features that one piece of work gives one cache."""

    def __init__(self, cache: FeatureCache) -> None:
        self.cache, self.num_faint = cache, 0
        recipe = cache.recipe
        self._parts = [np.empty((0, recipe.width), recipe.store_dtype)]

    def add(self, features: Features) -> None:
        """Take one batch's features: view -> [n, D]."""
        recipe = self.cache.recipe
        whole = features[recipe.layer, recipe.flip]
        stored = to_store(whole, recipe)
        self.num_faint += _num_faint(whole, stored)
        self._parts.append(stored)

    def seal(self, item: WorkItem, faces: Sequence[Face], failed: Sequence[FailedFace]) -> None:
        """Store what is finite; the rest has failed."""
        features = np.concatenate(self._parts)
        is_sound = np.isfinite(features).all(axis=1)
        reason = f"its feature is not finite in {self.cache.recipe.store_dtype}"
        unsound = [failed_face(faces[row], reason) for row in np.flatnonzero(~is_sound).tolist()]
        face_ids = [faces[row].face_id for row in np.flatnonzero(is_sound).tolist()]
        self.cache.seal(item, face_ids, features[is_sound], (*failed, *unsound))


def _num_faint(whole: npt.NDArray[np.floating], stored: npt.NDArray[np.floating]) -> int:
    """How many rows lost more than one part in a hundred of their length to the store's dtype."""
    with np.errstate(invalid="ignore", over="ignore"):
        lost = np.linalg.norm(whole - stored.astype(np.float32), axis=1)
        is_faint = lost > _FAINT * np.linalg.norm(whole, axis=1)
    return int((is_faint & np.isfinite(stored).all(axis=1)).sum())


def failed_face(face: Face, reason: str) -> FailedFace:
    """A face that cannot be used, as the manifest lists it."""
    return FailedFace(face.face_id, face.ref.image, face.ref.box, reason)
