"""A forward pass on a GPU, recorded once as a CUDA graph and replayed: one launch, not hundreds.

The network never changes and batches have one shape, so the same kernels run on the same memory
each time. Launched one by one from Python, they would leave a fast GPU idle.
"""

import logging
import threading
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

log = logging.getLogger(__name__)

_WARM_UPS = 3
# Recording starts by waiting for the whole device, which CUDA forbids while another thread records.
_recording = threading.Lock()


class RecordedPass:
    """A recorded pass of one thread, with its own memory for images and features."""

    def __init__(self, forward: Callable[[Tensor], Mapping[str, Tensor]], images: Tensor) -> None:
        """Record on the current stream, which must not be shared with other threads.

        Args:
            forward: [B, 3, S, S] -> {layer: [B, ...]}.
            images: a batch with the shape, dtype and memory format of all later ones.

        Raises:
            RuntimeError: the pass cannot be recorded, or there is not enough memory.
        """
        stream = torch.cuda.current_stream(images.device)
        self._images = images.clone()
        # Libraries must choose kernels and allocate workspace before anything is recorded.
        for _ in range(_WARM_UPS):
            forward(self._images)
        stream.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        # Thread-local, because other threads decode and copy on the same GPU during recording.
        mode = "thread_local"
        with torch.cuda.graph(self._graph, stream=stream, capture_error_mode=mode):
            self._features = forward(self._images)

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Return the features of a batch; copies, because the next pass overwrites them."""
        self._images.copy_(images)
        self._graph.replay()
        return {layer: values.clone() for layer, values in self._features.items()}


def record_pass(
    forward: Callable[[Tensor], Mapping[str, Tensor]], images: Tensor
) -> RecordedPass | None:
    """Return a recorded pass that gives the same bits as the plain one; None if impossible.

    Args:
        forward: [B, 3, S, S] -> {layer: [B, ...]}.
        images: a batch [B, 3, S, S] with the shape, dtype and memory format of all later ones.
    """
    try:
        with _recording:
            recorded = RecordedPass(forward, images)
        expected, replayed = forward(images), recorded(images)
        is_same = all(torch.equal(replayed[layer], expected[layer]) for layer in expected)
    except RuntimeError as error:
        # After a failure, ending the capture fails as well; the first error says why.
        cause = error.__context__ or error
        log.warning("no CUDA graph: %s", " ".join(str(cause).split())[:160])
        return None
    if not is_same:
        log.warning("the CUDA graph gives other features than the network and is not used")
        return None
    return recorded
