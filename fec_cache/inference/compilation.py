"""A frozen network for batches of one size: fused at once, and compiled where that is worth it.

Fusing takes a fraction of a second and is done on every CPU (see `graph`). Compiling takes a C++
compiler (on a GPU Triton) and ten seconds to minutes. With `auto` it runs in a thread of its own
beside the work, so that the first features come no later; what it made is used once it proved the
same and faster.
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

from fec_cache.inference.cuda_graph import recorded
from fec_cache.inference.folding import smallest_cosine
from fec_cache.inference.graph import traced, use_onednn
from fec_cache.inference.network import FixedPass, Forward, Network, exact_arithmetic

log = logging.getLogger(__name__)

EAGER, FUSED, COMPILED = "eager", "fused", "compiled"
# Work shorter than this ends before compiling would have paid.
WORTH_S = 240.0
_FASTER = 1.05
_TRIALS = 4
# Left to roundings: in fp32 none to speak of, below it what the precision itself loses.
_SAME, _SAME_FP32 = 0.999, 0.99999
_TRIED = 2


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
    graph = traced(_warm(network), _zeros(network, batch_size))
    options: dict[str, str | int | bool | Callable[..., object]] = {}
    if network.device.type == "cpu":
        options["cpp.threads"] = num_threads
    # Weights are frozen into the code only where this is set for all, and gradients are off. In the
    # mode in which it will run: in another it would be compiled once more, and not frozen.
    with inductor_config.patch(freezing=True), torch.inference_mode():
        compiled: Forward = torch.compile(_AsModule(graph), options=options)
        compiled(_zeros(network, batch_size))
    return compiled


def fuse_network(network: Network, batch_size: int) -> str:
    """Let a network's batches of one size run on oneDNN's fused operations, where they can.

    Args:
        network: whose `fixed` is set.
        batch_size: B.

    Returns:
        Why that cannot be, in words; empty where it is done.
    """
    if network.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return "oneDNN is for CPUs"
    parts = [type(part) for part in network.module.modules()]
    if sum(issubclass(part, torch.nn.Conv2d) for part in parts) <= parts.count(torch.nn.Linear):
        return "it is not made of convolutions"
    try:
        forward = network.lane().forward
        with torch.inference_mode():
            images = network.normalised(_noise(network, batch_size))
            # First, as a reader learns in its first pass where it may stop.
            wanted = forward(images[:_TRIED])
        graph = traced(forward, _zeros(network, batch_size))
        if not use_onednn(graph):
            return "its activations and sums do not follow its convolutions"
        with torch.inference_mode():
            found = graph(images)
        cosine = min(smallest_cosine(found[key][:_TRIED], wanted[key]) for key in wanted)
    except Exception as error:  # tracing raises nearly any type, and oneDNN's words are not public
        return " ".join(str(error).split())[:160]
    if cosine < (_SAME_FP32 if network.precision == "fp32" else _SAME):
        return f"its features would differ (cosine {cosine:.5f})"
    network.fixed = FixedPass(batch_size, graph)
    return ""


def _warm(network: Network) -> Forward:
    """A pass that ran once: a reader learns in its first where it may stop."""
    forward = network.lane().forward
    with torch.no_grad():
        forward(_zeros(network, 1))
    return forward


def _zeros(network: Network, batch_size: int) -> Tensor:
    side = network.backbone.input_size
    images = torch.zeros(batch_size, 3, side, side, dtype=network.dtype, device=network.device)
    return images.contiguous(memory_format=torch.channels_last)


def _noise(network: Network, batch_size: int) -> Tensor:
    """Pictures [B, S, S, 3] uint8."""
    side, drawn = network.backbone.input_size, torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch_size, side, side, 3), dtype=torch.uint8, generator=drawn)


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
        """Fuse; with `on`, compile before the work begins."""
        with exact_arithmetic():
            reason = fuse_network(self._network, self._batch_size)
        self.engine = EAGER if reason else FUSED
        log.info("not fused: %s", reason) if reason else None
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
        fixed = self._network.fixed
        present = self._network.lane().forward if fixed is None else fixed.forward
        with self._network.lane().at_work():
            images = self._network.normalised(_noise(self._network, self._batch_size))
            wanted, found = present(images), compiled(images)
            cosine = min(smallest_cosine(found[key], wanted[key]) for key in wanted)
            before, after = (_seconds(forward, images) for forward in (present, compiled))
        if cosine < _SAME:
            self._say(f"compiled, not used: its features differ (cosine {cosine:.5f})")
        elif must_be_faster and before < _FASTER * after:
            self._say(f"compiled, not used: {before / after:.2f} times as fast")
        else:
            self._network.fixed = FixedPass(self._batch_size, compiled)
            self.engine = COMPILED
            self._say(f"compiled: {before / after:.2f} times as fast")

    def _say(self, text: str) -> None:
        self.told = text
        log.warning("%s", text) if self._mode == "on" else log.info("%s", text)


def _seconds(forward: Forward, images: Tensor) -> float:
    """Least time of a few passes; on a CPU that of this thread, which busy neighbours leave be."""
    is_cuda = images.device.type == "cuda"
    # As it will be run: what recording saves is no merit of the compiler.
    forward = (recorded(forward, images) or forward) if is_cuda else forward
    spent = []
    for _ in range(_TRIALS):
        started = time.perf_counter() if is_cuda else time.thread_time()
        forward(images)
        if is_cuda:
            torch.cuda.current_stream(images.device).synchronize()
        spent.append((time.perf_counter() if is_cuda else time.thread_time()) - started)
    return min(spent)
