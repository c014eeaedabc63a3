"""Toy extractions that fail on purpose: killed at a step, out of disk, a worker lost."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fec_cache.backbones.base import Backbone
from fec_cache.extraction.devices import BackboneSource
from fec_cache.extraction.run import ExtractProgress, ProgressCallback
from fec_cache.faces.table import FaceTable
from fec_cache.system import failpoints
from fec_cache.testing.toy import run_toy, toy_backbone


@dataclass(frozen=True)
class ToySource(BackboneSource):
    """Loads the toy in another process, which dies at its first batch if it is chosen.

    `doomed` is a part of the names of the processes that die. With `last_words`, a dying process
    first writes that file, and the others start only then: so it always has claimed some work.
    """

    doomed: str = ""
    last_words: Path | None = None

    def load(self) -> Backbone:
        """The toy backbone, slow enough (20 ms per batch) for several processes to share work."""
        backbone = toy_backbone(delay_s=0.02)
        if self.doomed and self.doomed in multiprocessing.current_process().name:
            backbone.module.register_forward_hook(lambda *_: self._die())
        elif self.last_words is not None:
            wait_for(self.last_words.exists)
        return backbone

    def _die(self) -> None:
        if self.last_words is not None:
            self.last_words.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def wait_for(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: it did not hold in time.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            raise TimeoutError(f"the condition did not hold within {timeout_s:g} s")
        time.sleep(0.002)


def run_with_fault(
    cache_dir: Path,
    images_dir: Path,
    faces: FaceTable,
    kill_at_step: int = 0,
    file_limit_after: int = 0,
    failpoint: str = "",
    **settings: Any,
) -> None:
    """Run `run_toy` as the target of a process that fails; ends it with code 1 after an error.

    Writes the number of computed faces to `computed-PID.txt` in the cache folder, or the error to
    `error.txt`.

    Args:
        cache_dir: folder of the caches.
        images_dir: folder of the images.
        faces: faces to extract.
        kill_at_step: die by SIGKILL at the n-th step of writing; 0 for never.
        file_limit_after: after this number of faces, no file may grow over 512 bytes; 0 for never.
        failpoint: as in `failpoints.arm`.
        settings: as in `run_toy`.
    """
    if kill_at_step:
        _die_at_step(kill_at_step)
    if file_limit_after:
        settings["on_progress"] = _limit_files_after(file_limit_after)
    failpoints.arm(failpoint)
    try:
        summary = run_toy(cache_dir, images_dir, faces, **settings)
        Path(cache_dir, f"computed-{os.getpid()}.txt").write_text(str(summary.num_computed))
    except Exception as error:
        Path(cache_dir, "error.txt").write_text(f"{type(error).__name__}: {error}")
        raise SystemExit(1) from None


def _die_at_step(last: int) -> None:
    """SIGKILL before the n-th step of writing: each fsync, each rename, and after each rename."""
    count = 0
    fsync, rename = os.fsync, Path.replace

    def step() -> None:
        """Count a step; die before the last one."""
        nonlocal count
        count += 1
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def stepping_fsync(descriptor: int) -> None:
        """`os.fsync` as a step."""
        step()
        fsync(descriptor)

    def stepping_rename(path: Path, target: Path) -> Path:
        """`Path.replace` as a step, with another one after it."""
        step()
        renamed = rename(path, target)
        step()
        return renamed

    os.fsync = stepping_fsync  # type: ignore[assignment]
    Path.replace = stepping_rename  # type: ignore[assignment,method-assign]


def _limit_files_after(num_faces: int) -> ProgressCallback:
    import resource  # POSIX only, unlike the rest of the module

    def on_progress(progress: ExtractProgress) -> None:
        """Lower the limit once enough faces are done."""
        if progress.faces_done >= num_faces:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))

    return on_progress
