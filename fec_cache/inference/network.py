"""From pictures to features: a frozen backbone on its device, with its own normalisation.

`Network` holds the weights as they are run (batch normalisation folded, channels last, in the
chosen precision); each thread that runs it needs its own `Runner`, which shares the weights.
"""

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fec_cache.backbones.base import Backbone
from fec_cache.errors import BadOption, OutOfMemory
from fec_cache.inference.config import check_device_name
from fec_cache.inference.cuda_graph import RecordedPass, record_pass
from fec_cache.inference.folding import fold_batch_norms
from fec_cache.system.shared_context import SharedContext

log = logging.getLogger(__name__)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Forward = Callable[[Tensor], Mapping[str, Tensor]]
View = tuple[str, bool]
"""A layer word, and whether the feature is the mean with that of the mirrored face."""
Features = dict[View, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class FixedPass:
    """A forward pass for batches of exactly `rows` images; thread-safe."""

    rows: int
    forward: Forward


class Network:
    """A backbone ready to run; the same pictures always go through the same arithmetic.

    With `flip` every picture is run mirrored as well. With `plain` the network stays as loaded, for
    comparison: fp32, nothing folded. Once `fixed` is set, it runs the batches of its size. On a GPU
    each runner records its pass of `recorded_rows` images; `is_recorded` says that one succeeded.
    At most `max_rows` images are run at once: fewer after the device ran out of memory.
    """

    def __init__(
        self,
        backbone: Backbone,
        device: torch.device,
        precision: str = "fp32",
        *,
        flip: bool = False,
        plain: bool = False,
    ) -> None:
        self.backbone, self.device, self.precision, self.flip = backbone, device, precision, flip
        self.dtype = DTYPES[precision]
        self.max_rows = 1 << 30
        self.recorded_rows = 0
        self.is_recorded = False
        self.fixed: FixedPass | None = None
        module = backbone.module
        if not plain:
            module = fold_batch_norms(module, _noise(backbone.input_size))
        module = sharing_copy(module) if plain else module
        self.module = _on(module, device, self.dtype).to(memory_format=torch.channels_last)
        # One row of pixels is normalised as row * `_scale` + `_shift`: a single pass over memory.
        std = torch.tensor(backbone.std, device=device).repeat(backbone.input_size)
        mean = torch.tensor(backbone.mean, device=device).repeat(backbone.input_size)
        self._scale, self._shift = 1.0 / (255.0 * std), -mean / std

    def runner(self) -> "Runner":
        """Return what one thread needs to run the network."""
        return Runner(self, sharing_copy(self.module))

    def features(self, pictures: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
        """Return the features of each layer that the backbone was loaded with: [B, D] float32.

        Args:
            pictures: [B, S, S, 3] uint8, RGB.

        Raises:
            OutOfMemory: the device has too little memory for a single picture.
        """
        with exact_arithmetic():
            views = self.runner().features(pictures)
        return {layer: values for (layer, is_flip), values in views.items() if is_flip == self.flip}

    def normalised(self, pictures: Tensor) -> Tensor:
        """Turn [B, S, S, 3] uint8, RGB, into [B, 3, S, S] on the device, in its precision."""
        rows = pictures.to(self.device, non_blocking=True).flatten(2)
        batch = torch.empty(rows.shape, dtype=self.dtype, device=self.device)
        # On a CPU one at a time, so that a picture stays in the core's cache: 0.06 ms per face
        # instead of 0.27.
        size = 1 if self.device.type == "cpu" else len(rows)
        for part, target in zip(rows.split(size), batch.split(size), strict=True):
            target.copy_(torch.addcmul(self._shift, part.float(), self._scale))
        return batch.view(pictures.shape).permute(0, 3, 1, 2)

    def halve(self, rows: int) -> int:
        """Return how many pictures to run at once, after `rows` were too many.

        Raises:
            OutOfMemory: a single picture was too many.
        """
        if rows <= 1:
            raise OutOfMemory(
                f"{self.device} has too little memory for a single picture of "
                f"{self.backbone.name}. Free some memory, or use a smaller backbone or "
                "--device cpu."
            )
        smaller = rows // 2
        if smaller < self.max_rows:
            self.max_rows = smaller
            log.warning("%s is out of memory: continuing with batches of %d", self.device, smaller)
        return self.max_rows


class Runner:
    """Runs a network in one thread; not to be shared between threads."""

    def __init__(self, network: Network, forward: Forward) -> None:
        self.network, self.forward = network, forward
        # The pass that was last tried to record, and the recording if that succeeded.
        self._tried: Forward | None = None
        self._recorded: RecordedPass | None = None
        is_cuda = network.device.type == "cuda"
        # Its own stream, so that one thread's copies run while another thread computes.
        self._stream = torch.cuda.Stream(network.device) if is_cuda else None
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(network.device))

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Run whatever is done inside without gradients, and on a GPU in this thread's stream."""
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if self._stream is not None:
                stack.enter_context(torch.cuda.stream(self._stream))
            yield

    def features(self, pictures: npt.NDArray[np.uint8] | Tensor) -> Features:
        """Return the features of all layers, plain and mirrored: each [B, D] float32.

        Args:
            pictures: [B, S, S, 3] uint8, RGB; a tensor must have been made inside `at_work`, on
                the network's device.

        Raises:
            OutOfMemory: the device has too little memory for a single picture.
        """
        with self.at_work():
            if isinstance(pictures, Tensor):
                return self._in_parts(pictures)
            batch = torch.from_numpy(pictures)
            return self._in_parts(batch if self._stream is None else batch.pin_memory())

    def _in_parts(self, batch: Tensor) -> Features:
        """Run the batch in as few parts of equal size as the device has memory for."""
        parts: list[Features] = []
        start, rows = 0, min(len(batch), self.network.max_rows)
        while start < len(batch):
            part = batch[start : start + rows]
            padding = part.new_zeros((rows - len(part), *part.shape[1:]))
            try:
                features = self._run(torch.cat([part, padding]) if len(padding) else part)
            except torch.OutOfMemoryError:
                rows = self.network.halve(rows)
                self._recorded = None
                if self._stream is not None:
                    torch.cuda.empty_cache()
                continue
            parts.append({view: values[: len(part)] for view, values in features.items()})
            start += len(part)
        if len(parts) == 1:
            return parts[0]
        return {view: np.concatenate([part[view] for part in parts]) for view in parts[0]}

    def _run(self, pictures: Tensor) -> Features:
        batch = self.network.normalised(pictures)
        views = {(layer, False): features for layer, features in self._forward(batch).items()}
        if self.network.flip:
            mirrored = self._forward(batch.flip(3))
            # Cell by cell for grids too: a face and its mirror image have the same feature.
            # Turning the grid back would keep left and right apart (decision 9).
            for layer, features in mirrored.items():
                views[layer, True] = (views[layer, False] + features) / 2.0
        return {view: features.cpu().numpy() for view, features in views.items()}

    def _forward(self, batch: Tensor) -> dict[str, Tensor]:
        forward = self._pass_for(batch)
        return {layer: output.flatten(1).float() for layer, output in forward(batch).items()}

    def _pass_for(self, batch: Tensor) -> Forward:
        network = self.network
        forward = self.forward
        if network.fixed is not None and network.fixed.rows == len(batch):
            forward = network.fixed.forward
        if self._stream is None or len(batch) != network.recorded_rows:
            return forward
        if self._tried is not forward:
            # Emptied first, so that the memory of the old recording is free for the new one.
            self._tried, self._recorded = forward, None
            self._recorded = record_pass(forward, batch)
            network.is_recorded |= self._recorded is not None
        return self._recorded or forward


def _exact() -> AbstractContextManager[None]:
    """Keep cuDNN from rounding, and from choosing kernels by measured time.

    By default, cuDNN rounds the factors in convolutions to TF32, with 10 bits of mantissa: that is
    not fp32.
    """
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags


exact_arithmetic = SharedContext(_exact).entered


def _noise(side: int) -> Tensor:
    # Its own generator, so that torch's global random state is unchanged.
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))


def sharing_copy(module: nn.Module) -> nn.Module:
    """Return a copy with its own hooks and state that shares every tensor with the original."""
    tensors = (*module.parameters(), *module.buffers())
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})


def _on(module: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Return the module on a device in a dtype; a copy, unless it is there already."""
    is_there = all(
        tensor.device == device and tensor.dtype in (dtype, torch.int64)
        for tensor in (*module.parameters(), *module.buffers())
    )
    return module if is_there else copy.deepcopy(module).to(device, dtype)


def choose_device(wanted: str) -> torch.device:
    """Return the device that `auto`, `cpu`, `cuda`, `cuda:1` or `mps` means on this machine.

    Raises:
        BadOption: unknown, or this machine does not have it.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    check_device_name(wanted)
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise BadOption(f"device {wanted!r} cannot be used here: {reason}. Try cpu.") from error
    return device
