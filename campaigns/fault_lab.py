"""The test bed of `faults.py`: toy extractions in forked processes that report to their parent.

The parent has loaded torch but never computes, so it has no threads whose locks a child could
inherit, and a forked child starts in milliseconds.
"""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from fec_cache.backbones.base import Backbone, WeightsOrigin
from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.maintenance.verify import verify_cache, verify_index
from fec_cache.datasets.annotations import FaceRef
from fec_cache.errors import CacheNotFound, FecError
from fec_cache.extraction import devices
from fec_cache.extraction.config import ExtractConfig
from fec_cache.extraction.devices import BackboneSource
from fec_cache.extraction.extract import ExtractSummary, extract
from fec_cache.extraction.recipes import recipes_of
from fec_cache.extraction.run import ProgressCallback
from fec_cache.faces.digests import ImageDigests
from fec_cache.faces.table import FaceTable, identify_faces
from fec_cache.system import failpoints

NUM_FACES = 26
SHARD_FACES = 4
LAYERS = ("avgpool", "layer1")
LIFE_TIMEOUT_S = 120.0
SHORT_TIMEOUT_S, LONG_TIMEOUT_S = 0.5, 60.0
VIEWS = {"features.h5", "failures.csv", "rejected.csv"}
_BAD, _MISSING = "bad picture.png", "missing.png"
UNPRIVILEGED_USER = 65534


class Failure(Exception):
    """The cache broke a promise."""


class Toy(nn.Module):
    """Pools a picture to 4 x 4 cells of three colours: D = 48, exact for any batch size."""

    def __init__(self, layers: Sequence[str], delay_s: float) -> None:
        super().__init__()
        self.layers, self.delay_s = layers, delay_s

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features [B, 48] of each layer for pictures [B, 3, H, W]."""
        time.sleep(self.delay_s)
        pooled = nn.functional.adaptive_avg_pool2d(images, 4)
        return {layer: (1 + LAYERS.index(layer)) * pooled.flatten(1) for layer in self.layers}


def toy_backbone(layers: Sequence[str], delay_s: float = 0.0) -> Backbone:
    """The toy as a backbone with input 8 x 8; each forward pass waits `delay_s`."""
    return Backbone(
        name="toy",
        weights=WeightsOrigin("sha256:" + "5" * 64, "a toy"),
        module=Toy(layers, delay_s),
        layers=tuple(layers),
        widths=dict.fromkeys(layers, 48),
        shapes=dict.fromkeys(layers, (3, 4, 4)),
        input_size=8,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )


@dataclass(frozen=True)
class DoomedSource(BackboneSource):
    """Loads the toy in several processes, of which the first one is killed.

    It dies at the step of writing that `failpoint` names, or else after `after_s` seconds.
    """

    flag: Path
    failpoint: str
    after_s: float
    delay_s: float

    def load(self) -> Backbone:
        """The toy backbone; the process that creates the flag file first is the one that dies."""
        try:
            os.close(os.open(self.flag, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return toy_backbone(self.layers, self.delay_s)
        failpoints.arm(self.failpoint)
        if not self.failpoint:
            threading.Timer(self.after_s, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return toy_backbone(self.layers, self.delay_s)


def extract_by_two(source: DoomedSource) -> Callable[..., ExtractSummary]:
    """A replacement of `extract` that uses two processes, one of which is doomed."""

    def run(
        faces: FaceTable,
        images_dir: Path,
        backbone: Backbone,
        caches: Sequence[FeatureCache],
        options: ExtractConfig,
        on_progress: ProgressCallback,
    ) -> ExtractSummary:
        del backbone
        # Forked processes start in milliseconds, spawned ones would load torch again.
        fork = multiprocessing.get_context("fork")
        devices.multiprocessing.get_context = lambda _: fork  # type: ignore[assignment]
        devices.log.warning = lambda *_: source.flag.write_text("lost")  # type: ignore[method-assign,assignment]
        names = ("cpu", "cpu")
        return devices.extract_on_devices(
            faces, images_dir, source, caches, options, names, on_progress
        )

    return run


@dataclass
class Life:
    """What a process reported before its end, and how it ended.

    `sealed` holds the faces of each layer that were acknowledged as stored; `done` counts faces.
    """

    exit_code: int
    sealed: dict[str, set[str]] = field(default_factory=lambda: {layer: set() for layer in LAYERS})
    done: int = 0
    computed: int = -1
    error: str = ""


@dataclass
class Running:
    """A process and the pipe that it reports through."""

    pid: int
    pipe: int

    def kill(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def finish(self) -> Life:
        """Wait for its end and read its reports.

        Raises:
            Failure: the process hangs.
        """
        waited_s, before = 0.0, time.monotonic()
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            now = time.monotonic()
            # Capped per step: time that the whole machine was suspended does not count.
            waited_s, before = waited_s + min(now - before, 0.1), now
            if waited_s > LIFE_TIMEOUT_S:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise Failure("a process hangs")
            time.sleep(0.002)
        life = Life(os.waitstatus_to_exitcode(status))
        with os.fdopen(self.pipe, "rb") as pipe:
            lines = pipe.read().split(b"\n")
        for line in lines[:-1]:
            _record(life, json.loads(line))
        return life


def _record(life: Life, report: dict[str, Any]) -> None:
    if "sealed" in report:
        life.sealed[report["layer"]].update(report["sealed"])
    life.done = report.get("done", life.done)
    life.computed = report.get("computed", life.computed)
    life.error = report.get("error", life.error)


class Lab:
    """A folder with pictures, and the features of an undisturbed run on them."""

    def __init__(self, folder: Path) -> None:
        # Spaces and letters beyond ASCII in folder names are part of the test.
        self.folder = folder / "fäults & 測試"
        self.images_dir = self.folder / "my images"
        self.images_dir.mkdir(parents=True)
        random = np.random.default_rng(0)
        names = [f"{number:02d} ü.png" for number in range(NUM_FACES)]
        for name in names:
            pixels = random.integers(0, 256, (12, 12, 3), np.uint8)
            Image.fromarray(pixels).save(self.images_dir / name)
        (self.images_dir / _BAD).write_bytes(b"no picture")
        for path in self.images_dir.iterdir():
            os.utime(path, (10**9, 10**9))
        self.refs = [FaceRef(name, 0.0, 1.0, 0.0, 1.0) for name in [*names, _BAD, _MISSING]]
        self.refs.sort(key=lambda ref: ref.image)
        self.reference: dict[str, dict[str, bytes]] = {}
        self.templates: dict[str, Path] = {}
        self._prepare()

    def _prepare(self) -> None:
        whole = self.folder / "whole"
        life = self.start(whole, LAYERS).finish()
        if life.exit_code:
            raise SystemExit(f"the undisturbed run failed: {life.error}")
        for cache in caches_in(whole):
            matrix = cache.load()
            rows = zip(matrix.face_ids, matrix.features, strict=True)
            self.reference[cache.recipe.layer] = {name: row.tobytes() for name, row in rows}
        half = self.folder / "half"
        self.start(half, LAYERS, failpoint="create:manifest.json:7:kill").finish()
        empty = self.folder / "empty"
        empty.mkdir()
        self.templates = {"empty": empty, "half": half, "whole": whole}

    def copy(self, template: str, name: str) -> Path:
        """A new cache folder that starts as a copy of a template."""
        target = self.folder / name
        shutil.copytree(self.templates[template], target)
        return target

    def start(
        self,
        cache_dir: Path,
        layers: Sequence[str],
        failpoint: str = "",
        delay_s: float = 0.0,
        images_dir: Path | None = None,
        prepare: Callable[[], None] | None = None,
        user: int = 0,
        timeout_s: float = LONG_TIMEOUT_S,
        run: Callable[..., ExtractSummary] = extract,
    ) -> Running:
        """Fork a process that extracts all pictures into a cache."""
        sys.stdout.flush()
        reader, writer = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writer)
            return Running(pid, reader)
        os.close(reader)
        try:
            if user:
                os.setgid(user)
                os.setuid(user)
            code = self._live(
                writer, cache_dir, layers, failpoint, delay_s, images_dir, prepare, timeout_s, run
            )
        except BaseException:
            code = 1
        os._exit(code)

    def _live(
        self,
        pipe: int,
        cache_dir: Path,
        layers: Sequence[str],
        failpoint: str,
        delay_s: float,
        images_dir: Path | None,
        prepare: Callable[[], None] | None,
        timeout_s: float,
        run: Callable[..., ExtractSummary],
    ) -> int:
        def report(**fields: Any) -> None:
            os.write(pipe, json.dumps(fields).encode() + b"\n")

        _report_seals(report)
        images_dir = images_dir or self.images_dir
        try:
            failpoints.arm(failpoint)
            cache_dir.mkdir(parents=True, exist_ok=True)
            faces = identify_faces(self.refs, images_dir, ImageDigests(cache_dir))
            if prepare is not None:
                prepare()
            backbone = toy_backbone(layers, delay_s)
            recipes = recipes_of(backbone, 0.1, "float16")
            caches = [FeatureCache.create(cache_dir, recipe) for recipe in recipes]
            options = ExtractConfig(
                device="cpu",
                batch_size=2,
                num_workers=2,
                shard_faces=SHARD_FACES,
                image_timeout_s=timeout_s,
            )
            summary = run(
                faces, images_dir, backbone, caches, options, lambda p: report(done=p.faces_done)
            )
            report(computed=summary.num_computed)
            return 0
        except KeyboardInterrupt:
            return 130
        except FecError as error:
            report(error=f"{type(error).__name__}: {error}")
            return 3
        except BaseException:
            report(error=traceback.format_exc())
            return 1

    def check_rows(self, cache_dir: Path, acknowledged: Life | None, may_refuse: bool) -> None:
        """Check that readable rows are right and unique, and that no acknowledged row is missing.

        With `may_refuse`, a cache may refuse to open with an error that says what to run.
        """
        for cache in caches_in(cache_dir, may_refuse):
            wanted = self.reference[cache.recipe.layer]
            acked = acknowledged.sealed[cache.recipe.layer] if acknowledged else set()
            try:
                matrix = cache.load()
            except CacheNotFound as error:
                if acked and not may_refuse:
                    raise Failure(f"acknowledged rows are lost: {error}") from error
                continue
            except FecError as error:
                if not may_refuse:
                    raise Failure(f"the cache does not open: {error}") from error
                if "fec extract" not in str(error) and "fec cache repair" not in str(error):
                    raise Failure(f"an error that does not say what to run: {error}") from error
                continue
            if len(set(matrix.face_ids)) < len(matrix.face_ids):
                raise Failure("a face is stored twice")
            for face_id, row in zip(matrix.face_ids, matrix.features, strict=True):
                if wanted.get(face_id) != row.tobytes():
                    raise Failure(f"face {face_id} has a wrong feature")
            if not acked <= set(matrix.face_ids) and not may_refuse:
                raise Failure(f"{len(acked - set(matrix.face_ids))} acknowledged rows are lost")

    def num_stored(self, cache_dir: Path, layers: Sequence[str]) -> int:
        """Number of faces that every layer's cache holds; -1 if a cache cannot be read."""
        stored = [set(self.reference[layer]) for layer in layers]
        folders = {cache.recipe.layer: cache for cache in caches_in(cache_dir, True)}
        for number, layer in enumerate(layers):
            try:
                stored[number] = (
                    set(folders[layer].stored_and_failed()[0]) if layer in folders else set()
                )
            except FecError:
                return -1
        return len(set.intersection(*stored))

    def check_whole(self, cache_dir: Path, layers: Sequence[str]) -> None:
        """Check that every face is stored once and right, and that verify finds nothing."""
        self.check_rows(cache_dir, None, may_refuse=False)
        caches = {cache.recipe.layer: cache for cache in caches_in(cache_dir)}
        for layer in layers:
            missing = set(self.reference[layer]) - set(caches[layer].load().face_ids)
            if missing:
                raise Failure(f"{len(missing)} faces of {layer} are missing")
            verified = verify_cache(caches[layer].folder)
            if verified.problems or verified.remarks:
                raise Failure(f"not clean at the end: {(*verified.problems, *verified.remarks)}")
            if len(caches[layer].manifest().failed) != 1:
                raise Failure("the file that is not a picture is not reported as failed")
            lines = (caches[layer].folder / "failures.csv").read_text().splitlines()
            if len(lines) != 3:
                raise Failure(f"failures.csv has {len(lines)} lines")
        if verify_index(cache_dir):
            raise Failure("the index of images is damaged at the end")


def caches_in(cache_dir: Path, may_refuse: bool = False) -> list[FeatureCache]:
    """The caches of a folder; one that does not open is a failure, unless it may."""
    caches = []
    for folder in sorted(path for path in cache_dir.glob("toy-*") if path.is_dir()):
        try:
            caches.append(FeatureCache.open(folder))
        except CacheNotFound:
            continue  # killed before the recipe was written: this is no cache yet
        except FecError as error:
            if not may_refuse:
                raise Failure(f"the cache does not open: {error}") from error
            if "fec extract" not in str(error) and "fec cache repair" not in str(error):
                raise Failure(f"an error that does not say what to run: {error}") from error
    return caches


def _report_seals(report: Callable[..., None]) -> None:
    seal = FeatureCache.seal

    def reporting_seal(
        self: FeatureCache, item: Any, face_ids: Any, features: Any, failed: Any
    ) -> None:
        seal(self, item, face_ids, features, failed)
        report(sealed=list(face_ids), layer=self.recipe.layer)

    FeatureCache.seal = reporting_seal  # type: ignore[method-assign]


class SmallDisk:
    """A tmpfs of a few pages, mounted for one round."""

    def __init__(self, folder: Path, size_kb: int) -> None:
        self.folder, self.size_kb = folder, size_kb

    def __enter__(self) -> "SmallDisk":
        self.folder.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={self.size_kb}k", "tmpfs", str(self.folder))
        return self

    def __exit__(self, *_: object) -> None:
        _run("umount", str(self.folder))

    def make_room(self) -> None:
        """Grow it to 8 MB."""
        _run("mount", "-o", "remount,size=8m", str(self.folder))


def can_mount(folder: Path) -> bool:
    """Whether this process may mount a tmpfs."""
    try:
        with SmallDisk(folder / "try", 64):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def can_drop_privileges() -> bool:
    """Whether this process may switch to another user."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)
