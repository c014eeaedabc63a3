"""A forward pass on a GPU recorded once and played again: one call instead of hundreds.

The network never changes and batches have one shape, so that the same kernels run on the same
memory each time. Launched one by one from Python, they would leave a fast GPU waiting.
"""

import logging
import threading
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

log = logging.getLogger(__name__)

_WARM_UPS = 3
# To record begins with waiting for the whole device, which CUDA forbids while anybody records.
_recording = threading.Lock()


class RecordedPass:
    """A recorded pass of one lane; it reads and writes memory of its own."""

    def __init__(self, forward: Callable[[Tensor], Mapping[str, Tensor]], images: Tensor) -> None:
        """Record, on the stream that is current, which must be the lane's own.

        Args:
            forward: [B, 3, S, S] -> {layer: [B, ...]}.
            images: a batch of the shape, dtype and memory order of all to come.

        Raises:
            RuntimeError: the pass cannot be recorded, or not enough memory is left.
        """
        stream = torch.cuda.current_stream(images.device)
        self._images = images.clone()
        # Libraries choose their kernels and take their workspace before anything is recorded.
        for _ in range(_WARM_UPS):
            forward(self._images)
        stream.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        # Other threads decode and copy on the same GPU while this one records.
        mode = "thread_local"
        with torch.cuda.graph(self._graph, stream=stream, capture_error_mode=mode):
            self._features = forward(self._images)

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Features of a batch of the shape that was recorded; copies, the next pass overwrites."""
        self._images.copy_(images)
        self._graph.replay()
        return {layer: values.clone() for layer, values in self._features.items()}


def recorded(
    forward: Callable[[Tensor], Mapping[str, Tensor]], images: Tensor
) -> RecordedPass | None:
    """A recorded pass that was seen to give what the plain one gives; None where it cannot be."""
    try:
        with _recording:
            found = RecordedPass(forward, images)
        wanted, played = forward(images), found(images)
        is_same = all(torch.equal(played[layer], wanted[layer]) for layer in wanted)
    except RuntimeError as error:
        # What went wrong while recording; the end of it fails as well, and says less.
        cause = error.__context__ or error
        log.warning("no CUDA graph: %s", " ".join(str(cause).split())[:160])
        return None
    if not is_same:
        log.warning("the CUDA graph gives other features than the network: it is not used")
        return None
    return found
