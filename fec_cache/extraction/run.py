"""One extraction in progress: takes its pieces of work through the pipeline, in order."""

import platform
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
from fec_cache.cache.provenance import record_run
from fec_cache.extraction.batches import Batch, Decoder, StageSeconds
from fec_cache.extraction.config import ExtractConfig
from fec_cache.extraction.memory import plan_memory
from fec_cache.extraction.pieces import Piece
from fec_cache.extraction.pipeline import Pipeline
from fec_cache.extraction.recipes import to_store
from fec_cache.extraction.workers import BatchResult, PipelineOptions
from fec_cache.faces.table import Face
from fec_cache.inference.compilation import EAGER, Compiler
from fec_cache.inference.gpu_jpegs import jpeg_decoder
from fec_cache.inference.network import Features, Network, choose_device
from fec_cache.inference.precision import check_features
from fec_cache.system.cores import usable_cores

# Batches of 32 fall out of a CPU's caches: 59 faces/s against 91 with batches of 8.
_CPU_BATCH, _GPU_BATCH = 16, 128
# Two passes at a time: one copies while the other computes.
_GPU_THREADS = 2
_MAX_GPU_DECODERS = 32
_FAINT_LOSS = 1e-2
# After this many faces the rate is known well enough to estimate the remaining time.
_KNOWN_RATE = 256


@dataclass(frozen=True)
class ExtractProgress:
    """Progress of an extraction: faces done and in total in this run, and seconds per stage."""

    faces_done: int
    faces_total: int
    seconds: StageSeconds


ProgressCallback = Callable[[ExtractProgress], None]


class Run:
    """One extraction: the network on its device, and counters over all pieces of work.

    `worked_ids` are the faces of all finished pieces. `smallest_cosine` is the self-check's result,
    None before the first batch. `num_faint` faces lost more than one part in a hundred of their
    length to the stored dtype.
    """

    def __init__(
        self,
        backbone: Backbone,
        caches: Sequence[FeatureCache],
        config: ExtractConfig,
        seconds: StageSeconds,
        on_progress: ProgressCallback | None,
    ) -> None:
        self.worked_ids: set[str] = set()
        self.smallest_cosine: float | None = None
        self.num_faint = 0
        self._backbone, self._config = backbone, config
        self._recipes = [cache.recipe for cache in caches]
        self._seconds, self._on_progress = seconds, on_progress
        self._total = self._done = 0
        self._started = 0.0
        self._device = choose_device(config.device)
        on_cpu = self._device.type == "cpu"
        self._batch_size = config.batch_size or (_CPU_BATCH if on_cpu else _GPU_BATCH)
        self._network: Network | None = None
        self._compiler: Compiler | None = None

    def work(self, images_dir: Path, planned: Sequence[Piece], ours: Iterator[Piece]) -> None:
        """Compute our pieces in order, and seal each when it is done.

        Args:
            images_dir: folder of the images.
            planned: all pieces of this round, for progress and memory.
            ours: those that this process computes; each is claimed when it is taken.
        """
        self._total = self._done + sum(len(piece.item.faces) for piece in planned)
        shard_faces = max(len(piece.item.faces) for piece in planned)
        crop = self._recipes[0].crop
        decoder = Decoder(images_dir, crop, self._seconds, jpeg_decoder(self._device, crop))
        options = self._pipeline_options(shard_faces)
        pipeline = Pipeline(decoder, self._ready_network(options), options, self._check)
        taken: list[Piece] = []

        def faces() -> Iterator[Sequence[Face]]:
            """The faces of our pieces."""
            for piece in ours:
                taken.append(piece)
                yield piece.item.faces

        # One stream over all pieces: reading ahead does not stop at a shard's end.
        with closing(pipeline.results(faces())) as results:
            for number, members in groupby(results, lambda result: result.piece):
                self._store(taken[number], members)

    @property
    def engine(self) -> str:
        """What ran the network: eager or compiled code, and the outcome of compiling."""
        if self._compiler is None or self._network is None:
            return EAGER
        engine = self._compiler.message or self._compiler.engine
        return f"{engine}, CUDA graph" if self._network.is_recorded else engine

    def _ready_network(self, options: PipelineOptions) -> Network:
        if self._network is None:
            threads = torch.get_num_threads()
            if self._device.type == "cpu":
                # Passes are short: several threads would wait for each other longer than they work.
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
        network.recorded_rows = 0 if self._config.compile == "off" else self._batch_size
        compiler = Compiler(network, self._config.compile, self._batch_size, options.num_threads)
        compiler.prepare()
        return network, compiler

    def record(self, cache: FeatureCache) -> None:
        """Add this run to a cache's provenance, if it computed something."""
        if self.worked_ids:
            more = {"engine": self.engine, "smallest_cosine": self.smallest_cosine}
            source, device = self._backbone.weights.source, _described(self._device)
            with cache.locked():
                record_run(cache.folder, source, device, self._batch_size, more)

    def _pipeline_options(self, shard_faces: int) -> PipelineOptions:
        config, on_cpu = self._config, self._device.type == "cpu"
        cores = usable_cores()
        num_workers = config.num_workers or (cores if on_cpu else min(cores, _MAX_GPU_DECODERS))
        return PipelineOptions(
            batch_size=self._batch_size,
            num_workers=num_workers,
            num_forward=0 if on_cpu else _GPU_THREADS,
            num_threads=max(1, cores // num_workers) if on_cpu else 1,
            memory=plan_memory(
                config.memory_gb, self._recipes, shard_faces, self._batch_size, num_workers
            ),
            image_timeout_s=config.image_timeout_s,
        )

    def _check(self, features: Features, batch: Batch) -> None:
        """Compare the features of the first batch with those of the plain fp32 network."""
        if self.smallest_cosine is None and self._network is not None:
            pictures, rows = batch.pictures, batch.rows
            self.smallest_cosine = check_features(features, self._network, pictures, rows)

    def _store(self, piece: Piece, results: Iterator[BatchResult]) -> None:
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
            output.seal(piece.item.plan, usable, failed)
        self.worked_ids.update(face.face_id for face in piece.item.faces)
        self.num_faint += max((output.num_faint for output in outputs), default=0)
        self._seconds.add("write", time.perf_counter() - started)

    def _advance(self, num_faces: int) -> None:
        self._done += num_faces
        if self._compiler is not None and self._done >= _KNOWN_RATE:
            seconds_per_face = (time.monotonic() - self._started) / self._done
            self._compiler.consider(seconds_per_face * (self._total - self._done))
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
        exact = features[recipe.layer, recipe.flip]
        stored = to_store(exact, recipe)
        self.num_faint += _num_faint(exact, stored)
        self._parts.append(stored)

    def seal(self, plan: str, faces: Sequence[Face], failed: Sequence[FailedFace]) -> None:
        """Store the finite features; the other faces have failed."""
        features = np.concatenate(self._parts)
        is_finite = np.isfinite(features).all(axis=1)
        reason = f"its feature is not finite in {self.cache.recipe.store_dtype}"
        infinite = [failed_face(faces[row], reason) for row in np.flatnonzero(~is_finite).tolist()]
        face_ids = [faces[row].face_id for row in np.flatnonzero(is_finite).tolist()]
        self.cache.seal(plan, face_ids, features[is_finite], (*failed, *infinite))


def _num_faint(exact: npt.NDArray[np.floating], stored: npt.NDArray[np.floating]) -> int:
    """Number of rows [n, D] that lost over one part in a hundred of their length when stored."""
    with np.errstate(invalid="ignore", over="ignore"):
        lost = np.linalg.norm(exact - stored.astype(np.float32), axis=1)
        is_faint = lost > _FAINT_LOSS * np.linalg.norm(exact, axis=1)
    return int((is_faint & np.isfinite(stored).all(axis=1)).sum())


def _described(device: torch.device) -> str:
    """A device and its model, for the provenance."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    return f"{device} {name}".strip()


def failed_face(face: Face, reason: str) -> FailedFace:
    """A face that could not be used, as the manifest lists it."""
    return FailedFace(face.face_id, face.ref.image, face.ref.box, reason)
