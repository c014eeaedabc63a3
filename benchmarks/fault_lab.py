"""Where `faults.py` does its work: a toy extraction that runs in forked processes and is watched.

The parent has torch loaded but never computes: a forked child starts in milliseconds, with no
threads of the parent's to trip over.
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

from fec_cache.backbones.load import Backbone
from fec_cache.backbones.weights import WeightsOrigin
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
_NOBODY = 65534


class Failure(Exception):
    """The cache did not keep a promise."""


class Toy(nn.Module):
    """Pools a picture to 4 x 4 cells of three colours: D = 48, exact whatever the batch."""

    def __init__(self, layers: Sequence[str], delay_s: float) -> None:
        super().__init__()
        self.layers, self.delay_s = layers, delay_s

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features of each layer: [B, 48]."""
        time.sleep(self.delay_s)
        pooled = nn.functional.adaptive_avg_pool2d(images, 4)
        return {layer: (1 + LAYERS.index(layer)) * pooled.flatten(1) for layer in self.layers}


def toy_backbone(layers: Sequence[str], delay_s: float = 0.0) -> Backbone:
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
    """The toy for one process of several; the first to load it is killed.

    At a step of writing if a failpoint says which, else after `after_s` seconds.
    """

    flag: Path
    failpoint: str
    after_s: float
    delay_s: float

    def load(self) -> Backbone:
        """The toy; whoever comes first is marked."""
        try:
            os.close(os.open(self.flag, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return toy_backbone(self.layers, self.delay_s)
        failpoints.arm(self.failpoint)
        if not self.failpoint:
            threading.Timer(self.after_s, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return toy_backbone(self.layers, self.delay_s)


def extract_by_two(source: DoomedSource) -> Callable[..., ExtractSummary]:
    """What `extract` does, by two processes of which one is doomed."""

    def run(
        faces: FaceTable,
        images_dir: Path,
        backbone: Backbone,
        caches: Sequence[FeatureCache],
        options: ExtractConfig,
        on_progress: ProgressCallback,
    ) -> ExtractSummary:
        del backbone
        # Forked they start in milliseconds; the parent has no threads, and how they start is not
        # what is looked at.
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
    """What a process told before its end, and how it ended.

    `sealed` are the faces of each layer that it was told are stored; `done` counts faces.
    """

    exit_code: int
    sealed: dict[str, set[str]] = field(default_factory=lambda: {layer: set() for layer in LAYERS})
    done: int = 0
    computed: int = -1
    error: str = ""


@dataclass
class Running:
    """A process on its way."""

    pid: int
    pipe: int

    def kill(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def finish(self) -> Life:
        """Wait for its end and read what it told; a process that hangs is a failure."""
        waited_s, before = 0.0, time.monotonic()
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            now = time.monotonic()
            # A machine that was halted meanwhile makes no process late.
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
            _take(life, json.loads(line))
        return life


def _take(life: Life, told: dict[str, Any]) -> None:
    if "sealed" in told:
        life.sealed[told["layer"]].update(told["sealed"])
    life.done = told.get("done", life.done)
    life.computed = told.get("computed", life.computed)
    life.error = told.get("error", life.error)


class Lab:
    """A folder with pictures, and what a clean run makes of them."""

    def __init__(self, folder: Path) -> None:
        # Folder names with blanks and letters beyond ASCII are part of the test.
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
            raise SystemExit(f"the clean run failed: {life.error}")
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
        """A fresh cache folder that begins as a template."""
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
        """Fork a process that brings a cache up to all pictures."""
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
        def tell(**fields: Any) -> None:
            os.write(pipe, json.dumps(fields).encode() + b"\n")

        _tell_of_seals(tell)
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
                faces, images_dir, backbone, caches, options, lambda p: tell(done=p.faces_done)
            )
            tell(computed=summary.num_computed)
            return 0
        except KeyboardInterrupt:
            return 130
        except FecError as error:
            tell(error=f"{type(error).__name__}: {error}")
            return 3
        except BaseException:
            tell(error=traceback.format_exc())
            return 1

    def check_rows(self, cache_dir: Path, acknowledged: Life | None, may_refuse: bool) -> None:
        """Whatever can be read is right, each face once, and nothing acknowledged is missing."""
        for cache in caches_in(cache_dir, may_refuse):
            wanted = self.reference[cache.recipe.layer]
            acked = acknowledged.sealed[cache.recipe.layer] if acknowledged else set()
            try:
                matrix = cache.load()
            except CacheNotFound as error:
                if acked and not may_refuse:
                    raise Failure(f"acknowledged rows are gone: {error}") from error
                continue
            except FecError as error:
                if not may_refuse:
                    raise Failure(f"the cache does not open: {error}") from error
                if "fec extract" not in str(error) and "fec cache repair" not in str(error):
                    raise Failure(f"an error that says not what to run: {error}") from error
                continue
            if len(set(matrix.face_ids)) < len(matrix.face_ids):
                raise Failure("a face is there twice")
            for face_id, row in zip(matrix.face_ids, matrix.features, strict=True):
                if wanted.get(face_id) != row.tobytes():
                    raise Failure(f"face {face_id} has a wrong feature")
            if not acked <= set(matrix.face_ids) and not may_refuse:
                raise Failure(f"{len(acked - set(matrix.face_ids))} acknowledged rows are lost")

    def num_stored(self, cache_dir: Path, layers: Sequence[str]) -> int:
        """Faces that stand in every layer's cache; -1 if one cannot be read."""
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
        """Every face is there once and right; verify finds nothing to complain of."""
        self.check_rows(cache_dir, None, may_refuse=False)
        caches = {cache.recipe.layer: cache for cache in caches_in(cache_dir)}
        for layer in layers:
            found = set(caches[layer].load().face_ids)
            if found != set(self.reference[layer]):
                raise Failure(f"{len(set(self.reference[layer]) - found)} faces of {layer} lack")
            report = verify_cache(caches[layer].folder)
            if report.problems or report.remarks:
                raise Failure(f"not clean at the end: {(*report.problems, *report.remarks)}")
            if len(caches[layer].manifest().failed) != 1:
                raise Failure("the picture that is none is not told")
            lines = (caches[layer].folder / "failures.csv").read_text().splitlines()
            if len(lines) != 3:
                raise Failure(f"failures.csv has {len(lines)} lines")
        if verify_index(cache_dir):
            raise Failure("the index of images is damaged at the end")


def caches_in(cache_dir: Path, may_refuse: bool = False) -> list[FeatureCache]:
    """The caches of a folder; one that does not open is a failure, unless it may."""
    found = []
    for folder in sorted(path for path in cache_dir.glob("toy-*") if path.is_dir()):
        try:
            found.append(FeatureCache.open(folder))
        except CacheNotFound:
            continue  # killed before the recipe was written: there is no cache yet
        except FecError as error:
            if not may_refuse:
                raise Failure(f"the cache does not open: {error}") from error
            if "fec extract" not in str(error) and "fec cache repair" not in str(error):
                raise Failure(f"an error that says not what to run: {error}") from error
    return found


def _tell_of_seals(tell: Callable[..., None]) -> None:
    seal = FeatureCache.seal

    def telling(self: FeatureCache, item: Any, face_ids: Any, features: Any, failed: Any) -> None:
        seal(self, item, face_ids, features, failed)
        tell(sealed=list(face_ids), layer=self.recipe.layer)

    FeatureCache.seal = telling  # type: ignore[method-assign]


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
        """Let it grow to eight megabytes."""
        _run("mount", "-o", "remount,size=8m", str(self.folder))


def can_mount(folder: Path) -> bool:
    """Whether a tmpfs can be mounted here."""
    try:
        with SmallDisk(folder / "try", 64):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def can_drop_rights() -> bool:
    """Whether a process can become somebody who may not write."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def nobody() -> int:
    """The user without rights."""
    return _NOBODY


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)
