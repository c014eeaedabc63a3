"""Fewer kernel launches: compiled functions, and whole chunks of steps as one CUDA graph."""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

log = logging.getLogger(__name__)


class Compiled:
    """A compiled function of tensors; without a compiler it logs that and runs uncompiled."""

    def __init__(self, function: Callable[..., None]) -> None:
        """Take a function that changes its arguments in place; it is compiled at the first call."""
        self._plain = function
        self._fast: Callable[..., None] | None = torch.compile(function, dynamic=False)
        self._is_proven = False

    def __call__(self, *arguments: object) -> None:
        """Call the function."""
        if self._fast is not None:
            try:
                self._fast(*arguments)
                self._is_proven = True
                return
            except Exception as error:
                # Compilers fail in many ways, but before the function changes anything; after one
                # success an error is the function's own.
                if self._is_proven:
                    raise
                reason = str(error).strip().splitlines()[0][:120]
                log.warning("No compiler, so training is slower than it could be: %s", reason)
                self._fast = None
        self._plain(*arguments)


class GraphedSteps:
    """A run of training steps, recorded once and replayed for chunks of the same shapes.

    A step of a small head is about twenty kernels of a few microseconds each; launched one by one
    from Python they would leave the GPU idle most of the time.
    """

    def __init__(
        self,
        run: Callable[..., None],
        chunk: Sequence[Tensor],
        kept: Sequence[Tensor],
        noise: Sequence[torch.Generator],
    ) -> None:
        """Record.

        Args:
            run: trains on a chunk, given as tensors on the GPU; all lasting changes are to `kept`
                and to the chunk.
            chunk: tensors like those of every later call.
            kept: parameters and the optimiser's state; restored before this returns.
            noise: the generators that `run` draws from.
        """
        self._chunk = [tensor.clone() for tensor in chunk]
        before = [tensor.clone() for tensor in kept]
        states = [generator.get_state() for generator in noise]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            # Libraries and compilers initialise here: that cannot be recorded.
            run(*self._chunk)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        for generator, state in zip(noise, states, strict=True):
            generator.set_state(state)
            self._graph.register_generator_state(generator)
        with torch.cuda.graph(self._graph):
            run(*self._chunk)
        for tensor, value in zip(kept, before, strict=True):
            tensor.copy_(value)

    def __call__(self, *chunk: Tensor) -> None:
        """Train on a chunk; what the steps write to it is copied back."""
        for own, given in zip(self._chunk, chunk, strict=True):
            own.copy_(given)
        self._graph.replay()
        chunk[1].copy_(self._chunk[1])
