"""torch.compile for a frozen network: only where it is worth its time, and only if it is faster.

Compiling takes a C++ compiler (on a GPU Triton) and ten seconds to minutes. With `auto` it runs in
a thread of its own beside the work, so that the first features come no later; what it made is used
once it proved the same and faster.
"""

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from fec_cache.features.fusion import smallest_cosine
from fec_cache.features.network import Forward, Network, exact_arithmetic

log = logging.getLogger(__name__)

EAGER, COMPILED = "eager", "compiled"
# Work shorter than this ends before compiling would have paid.
WORTH_S = 240.0
_FASTER = 1.05
_TRIALS = 4
_SAME = 0.999


def missing_compiler() -> str:
    """Why torch.compile cannot work here, in words; empty where it can."""
    wanted = os.environ.get("CXX")
    names = (wanted,) if wanted else ("c++", "g++", "clang++")
    if not any(shutil.which(name) for name in names):
        return f"no C++ compiler ({', '.join(names)}) is installed"
    return ""


def compile_network(network: Network, batch_size: int, num_threads: int) -> Forward:
    """A compiled forward pass of a network, for batches of one size.

    Args:
        network: whose module is compiled, its weights frozen into the code.
        batch_size: B.
        num_threads: CPU threads inside of a pass.
    """
    side = network.backbone.input_size
    images = torch.zeros(batch_size, 3, side, side, dtype=network.dtype, device=network.device)
    images = images.contiguous(memory_format=torch.channels_last)
    lane = network.lane()
    with torch.no_grad():
        # Once as it is: a reader learns in its first pass where it may stop.
        lane.forward(images)
        exported = torch.export.export(_AsModule(lane.forward), (images,), strict=False)
        options: dict[str, str | int | bool | Callable[..., object]] = {"freezing": True}
        if network.device.type == "cpu":
            options["cpp.threads"] = num_threads
        compiled: Forward = torch.compile(exported.module(), options=options)
    with torch.inference_mode():
        compiled(images)
    return compiled


class _AsModule(torch.nn.Module):
    """A forward pass as a module, which is what can be exported."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.inner = forward

    def forward(self, images: Tensor) -> Mapping[str, Tensor]:
        """Features of images [B, 3, S, S]."""
        return self.inner(images)


class Compiler:
    """Compiles a network for one run, as `on`, `off` or `auto` say.

    `engine` names what computes, `told` says in a line what became of compiling.
    """

    def __init__(self, network: Network, mode: str, batch_size: int, num_threads: int) -> None:
        self.engine, self.told = EAGER, ""
        self._network, self._mode = network, mode
        self._batch_size, self._num_threads = batch_size, num_threads
        self._thread: threading.Thread | None = None

    def prepare(self) -> None:
        """With `on`: compile before the work begins."""
        if self._mode == "on":
            self._compile(must_be_faster=False)

    def consider(self, seconds_left: float) -> None:
        """With `auto`: begin to compile beside the work if enough of it is left."""
        if self._mode != "auto" or self._thread is not None or seconds_left < WORTH_S:
            return
        # A daemon: a run that ends early does not wait for it.
        self._thread = threading.Thread(target=self._compile, name="compile", daemon=True)
        self._thread.start()

    def _compile(self, must_be_faster: bool = True) -> None:
        reason = missing_compiler()
        if reason:
            self._say(f"not compiled: {reason}")
            return
        try:
            if self._network.device.type == "cpu":
                torch.set_num_threads(self._num_threads)
            with exact_arithmetic():
                compiled = compile_network(self._network, self._batch_size, self._num_threads)
                self._judge(compiled, must_be_faster)
        except Exception as error:  # a compiler's toolchain raises nearly any type
            self._say(f"not compiled: {' '.join(str(error).split())[:160]}")

    def _judge(self, compiled: Forward, must_be_faster: bool) -> None:
        """Take the compiled pass if it gives the same features, and sooner."""
        side = self._network.backbone.input_size
        drawn = torch.Generator().manual_seed(0)
        pictures = torch.randint(
            0, 256, (self._batch_size, side, side, 3), dtype=torch.uint8, generator=drawn
        )
        eager = self._network.lane().forward
        with torch.inference_mode():
            images = self._network.normalised(pictures)
            wanted, found = eager(images), compiled(images)
            cosine = min(smallest_cosine(found[key], wanted[key]) for key in wanted)
            before, after = (_seconds(forward, images) for forward in (eager, compiled))
        if cosine < _SAME:
            self._say(f"compiled, not used: its features differ (cosine {cosine:.5f})")
        elif must_be_faster and before < _FASTER * after:
            self._say(f"compiled, not used: {before / after:.2f} times as fast")
        else:
            self._network.compiled = compiled
            self.engine = COMPILED
            self._say(f"compiled: {before / after:.2f} times as fast")

    def _say(self, text: str) -> None:
        self.told = text
        log.warning("%s", text) if self._mode == "on" else log.info("%s", text)


def _seconds(forward: Forward, images: Tensor) -> float:
    """Least time of a few passes; on a CPU that of this thread, which busy neighbours leave be."""
    is_cuda = images.device.type == "cuda"
    spent = []
    for _ in range(_TRIALS):
        started = time.perf_counter() if is_cuda else time.thread_time()
        forward(images)
        if is_cuda:
            torch.cuda.synchronize(images.device)
        spent.append((time.perf_counter() if is_cuda else time.thread_time()) - started)
    return min(spent)
