"""Speeding up a frozen network for batches of one size: fusing always, compiling if it pays off.

Fusing takes a fraction of a second and is done on every CPU (see `graph`). Compiling needs a C++
compiler (on a GPU: Triton) and ten seconds to minutes. With `auto` it runs in its own thread beside
the work, so that the first features are not delayed; the compiled network is used only if it gives
the same features faster.
"""

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch._inductor import config as inductor_config

from fec_cache.inference.cuda_graph import record_pass
from fec_cache.inference.folding import smallest_cosine
from fec_cache.inference.graph import trace, use_onednn
from fec_cache.inference.network import FixedPass, Forward, Network, exact_arithmetic

log = logging.getLogger(__name__)

EAGER, FUSED, COMPILED = "eager", "fused", "compiled"
# Shorter work ends before compiling, which can take minutes, has paid off.
MIN_WORK_S = 240.0
_LEAST_SPEEDUP = 1.05
_NUM_TIMINGS = 4
# Rounding may change features in fp32 much less than the lower precisions themselves do.
_LEAST_COSINE, _LEAST_COSINE_FP32 = 0.999, 0.99999
_NUM_COMPARED = 2
_MAX_REASON_CHARS = 160


def missing_compiler() -> str:
    """Return why torch.compile cannot work here; empty if it can."""
    chosen = os.environ.get("CXX")
    names = (chosen,) if chosen else ("c++", "g++", "clang++")
    if not any(shutil.which(name) for name in names):
        return f"no C++ compiler ({', '.join(names)}) is installed"
    return ""


def compile_network(network: Network, batch_size: int, num_threads: int) -> Forward:
    """Return a compiled forward pass of a network, for batches of one size.

    Args:
        network: its module is compiled, with the weights frozen into the code.
        batch_size: B.
        num_threads: CPU threads within a pass.

    Raises:
        Exception: nearly any type, from tracing or the compiler's toolchain.
    """
    graph = trace(_warmed_up(network), _zeros(network, batch_size))
    options: dict[str, str | int | bool | Callable[..., object]] = {}
    if network.device.type == "cpu":
        options["cpp.threads"] = num_threads
    # torch freezes weights only with this global setting and without gradients. Compiled in the
    # mode in which it will run: in another mode torch would compile again, and not freeze.
    with inductor_config.patch(freezing=True), torch.inference_mode():
        compiled: Forward = torch.compile(_AsModule(graph), options=options)
        compiled(_zeros(network, batch_size))
    return compiled


def fuse_network(network: Network, batch_size: int) -> str:
    """Run a network's batches of one size on oneDNN's fused operations, if that is possible.

    Args:
        network: its `fixed` is set.
        batch_size: B.

    Returns:
        Why this is not possible; empty if it was done.
    """
    if network.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return "oneDNN is for CPUs"
    parts = [type(part) for part in network.module.modules()]
    if sum(issubclass(part, torch.nn.Conv2d) for part in parts) <= parts.count(torch.nn.Linear):
        return "it does not consist mainly of convolutions"
    try:
        forward = network.runner().forward
        with torch.inference_mode():
            images = network.normalised(_noise(network, batch_size))
            # Before tracing, because a reader learns in its first pass where it can stop.
            expected = forward(images[:_NUM_COMPARED])
        graph = trace(forward, _zeros(network, batch_size))
        if not use_onednn(graph):
            return "its activations and sums do not follow its convolutions"
        with torch.inference_mode():
            fused = graph(images)
        cosine = min(smallest_cosine(fused[key][:_NUM_COMPARED], expected[key]) for key in expected)
    except Exception as error:  # tracing raises nearly any type; oneDNN's operations are private
        return _one_line(error)
    if cosine < (_LEAST_COSINE_FP32 if network.precision == "fp32" else _LEAST_COSINE):
        return f"its features would differ (cosine {cosine:.5f})"
    network.fixed = FixedPass(batch_size, graph)
    return ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:_MAX_REASON_CHARS]


def _warmed_up(network: Network) -> Forward:
    """Return a forward pass that ran once: a reader learns in its first pass where it can stop."""
    forward = network.runner().forward
    with torch.no_grad():
        forward(_zeros(network, 1))
    return forward


def _zeros(network: Network, batch_size: int) -> Tensor:
    side = network.backbone.input_size
    images = torch.zeros(batch_size, 3, side, side, dtype=network.dtype, device=network.device)
    return images.contiguous(memory_format=torch.channels_last)


def _noise(network: Network, batch_size: int) -> Tensor:
    """Return random pictures [B, S, S, 3] uint8, always the same."""
    side, generator = network.backbone.input_size, torch.Generator().manual_seed(0)
    shape = (batch_size, side, side, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


class _AsModule(torch.nn.Module):
    """A forward pass as a module, which `torch.compile` needs to freeze weights."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.inner = forward

    def forward(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return the features of images [B, 3, S, S]."""
        return self.inner(images)


class Compiler:
    """Compiles a network for one run; `mode` is `on`, `off` or `auto`.

    `engine` names what computes at present, `message` says in one line how compiling ended.
    """

    def __init__(self, network: Network, mode: str, batch_size: int, num_threads: int) -> None:
        self.engine, self.message = EAGER, ""
        self._network, self._mode = network, mode
        self._batch_size, self._num_threads = batch_size, num_threads
        self._thread: threading.Thread | None = None

    def prepare(self) -> None:
        """Fuse; with `on`, also compile before the work starts."""
        with exact_arithmetic():
            reason = fuse_network(self._network, self._batch_size)
        self.engine = EAGER if reason else FUSED
        if reason:
            log.info("not fused: %s", reason)
        if self._mode == "on":
            self._compile(must_be_faster=False)

    def consider(self, seconds_left: float) -> None:
        """With `auto`: start compiling beside the work if enough work is left."""
        if self._mode != "auto" or self._thread is not None or seconds_left < MIN_WORK_S:
            return
        # A daemon thread, so that a run that ends early does not wait for the compiler.
        self._thread = threading.Thread(target=self._compile, name="compile", daemon=True)
        self._thread.start()

    def _compile(self, must_be_faster: bool = True) -> None:
        reason = missing_compiler()
        if reason:
            self._report(f"not compiled: {reason}")
            return
        try:
            if self._network.device.type == "cpu":
                torch.set_num_threads(self._num_threads)
            with exact_arithmetic():
                compiled = compile_network(self._network, self._batch_size, self._num_threads)
                self._try(compiled, must_be_faster)
        except Exception as error:  # a compiler's toolchain raises nearly any type
            self._report(f"not compiled: {_one_line(error)}")

    def _try(self, compiled: Forward, must_be_faster: bool) -> None:
        """Use the compiled pass if it gives the same features in less time."""
        fixed = self._network.fixed
        present = self._network.runner().forward if fixed is None else fixed.forward
        with self._network.runner().at_work():
            images = self._network.normalised(_noise(self._network, self._batch_size))
            expected, features = present(images), compiled(images)
            cosine = min(smallest_cosine(features[key], expected[key]) for key in expected)
            before, after = (_seconds(forward, images) for forward in (present, compiled))
        if cosine < _LEAST_COSINE:
            self._report(f"compiled, not used: its features differ (cosine {cosine:.5f})")
        elif must_be_faster and before < _LEAST_SPEEDUP * after:
            self._report(f"compiled, not used: {before / after:.2f} times as fast")
        else:
            self._network.fixed = FixedPass(self._batch_size, compiled)
            self.engine = COMPILED
            self._report(f"compiled: {before / after:.2f} times as fast")

    def _report(self, text: str) -> None:
        self.message = text
        log.log(logging.WARNING if self._mode == "on" else logging.INFO, "%s", text)


def _seconds(forward: Forward, images: Tensor) -> float:
    """Return the shortest time of a few passes.

    On a CPU this is the thread's CPU time, which other busy threads affect little.
    """
    is_cuda = images.device.type == "cuda"
    # Recorded, as it will be run: the compiler gets no credit for what recording saves.
    forward = (record_pass(forward, images) or forward) if is_cuda else forward
    spent = []
    for _ in range(_NUM_TIMINGS):
        started = time.perf_counter() if is_cuda else time.thread_time()
        forward(images)
        if is_cuda:
            torch.cuda.current_stream(images.device).synchronize()
        spent.append((time.perf_counter() if is_cuda else time.thread_time()) - started)
    return min(spent)
