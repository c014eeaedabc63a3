"""Pictures -> features: a frozen backbone on its device, with its own normalisation.

`Network` holds the weights as they are run (batch normalisation folded in, channels last, cast to
the precision); each thread that runs it takes a `Lane` of its own, which shares the weights.
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
from fec_cache.inference.cuda_graph import RecordedPass, recorded
from fec_cache.inference.folding import fused
from fec_cache.system.shared_context import SharedContext

log = logging.getLogger(__name__)

_DEVICES = ("cpu", "cuda", "mps")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Forward = Callable[[Tensor], Mapping[str, Tensor]]
View = tuple[str, bool]
"""A layer word, and whether the feature is the mean with the mirrored face."""
Features = dict[View, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class FixedPass:
    """A forward pass for batches of `rows` images and no others; threads may share it."""

    rows: int
    forward: Forward


class Network:
    """A backbone ready to run; the same pictures always meet the same arithmetic.

    With `flip` every picture is run mirrored as well. `plain` leaves the network as it was loaded:
    fp32, nothing folded, to compare with. Once `fixed` is set, it runs the batches of its size. On
    a GPU each lane records its pass of `recorded_rows` images; `is_recorded` tells that one could.
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
        self.most_rows = 1 << 30
        self.recorded_rows = 0
        self.is_recorded = False
        self.fixed: FixedPass | None = None
        module = backbone.module
        if not plain:
            module = fused(module, _noise(backbone.input_size))
        module = sharing_copy(module) if plain else module
        self.module = _on(module, device, self.dtype).to(memory_format=torch.channels_last)
        # For each number of a row of pixels: times `_scale`, plus `_shift`.
        std = torch.tensor(backbone.std, device=device).repeat(backbone.input_size)
        mean = torch.tensor(backbone.mean, device=device).repeat(backbone.input_size)
        self._scale, self._shift = 1.0 / (255.0 * std), -mean / std

    def lane(self) -> "Lane":
        """What one thread needs to run the network."""
        return Lane(self, sharing_copy(self.module))

    def features(self, pictures: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
        """Features of each layer the backbone was loaded with: [B, D] float32.

        Args:
            pictures: [B, S, S, 3] uint8, RGB.
        """
        with exact_arithmetic():
            found = self.lane().features(pictures)
        return {layer: values for (layer, is_flip), values in found.items() if is_flip == self.flip}

    def normalised(self, pictures: Tensor) -> Tensor:
        """[B, S, S, 3] uint8, RGB -> [B, 3, S, S] on the device, in its precision."""
        rows = pictures.to(self.device, non_blocking=True).flatten(2)
        batch = torch.empty(rows.shape, dtype=self.dtype, device=self.device)
        # On a CPU one after the other: a picture stays in the cache on its way.
        size = 1 if self.device.type == "cpu" else len(rows)
        for some, place in zip(rows.split(size), batch.split(size), strict=True):
            place.copy_(torch.addcmul(self._shift, some.float(), self._scale))
        return batch.view(pictures.shape).permute(0, 3, 1, 2)

    def halve(self, rows: int) -> int:
        """After `rows` pictures at once were too many: how many to try from now on.

        Raises:
            OutOfMemory: a single picture is too many.
        """
        if rows <= 1:
            raise OutOfMemory(
                f"{self.device} has no memory for a single picture of {self.backbone.name}. Free "
                "its memory, or take a smaller backbone or --device cpu."
            )
        smaller = rows // 2
        if smaller < self.most_rows:
            self.most_rows = smaller
            log.warning("%s is out of memory: going on with batches of %d", self.device, smaller)
        return self.most_rows


class Lane:
    """One thread's way through the network; not to be shared between threads."""

    def __init__(self, network: Network, forward: Forward) -> None:
        self.network, self.forward = network, forward
        # The pass that was tried to be recorded, and what came of it.
        self._tried: Forward | None = None
        self._recorded: RecordedPass | None = None
        is_cuda = network.device.type == "cuda"
        # A stream of its own: one lane's copies run while another lane computes.
        self._stream = torch.cuda.Stream(network.device) if is_cuda else None
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(network.device))

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """What is done inside on a GPU is done in this lane's stream."""
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if self._stream is not None:
                stack.enter_context(torch.cuda.stream(self._stream))
            yield

    def features(self, pictures: npt.NDArray[np.uint8] | Tensor) -> Features:
        """Features of all layers, plain and mirrored: each [B, D] float32.

        Args:
            pictures: [B, S, S, 3] uint8, RGB; a tensor was made at work, on the network's device.
        """
        with self.at_work():
            if isinstance(pictures, Tensor):
                return self._in_parts(pictures)
            batch = torch.from_numpy(pictures)
            return self._in_parts(batch if self._stream is None else batch.pin_memory())

    def _in_parts(self, batch: Tensor) -> Features:
        """The batch in as few parts of one size as the device has memory for."""
        parts: list[Features] = []
        start, rows = 0, min(len(batch), self.network.most_rows)
        while start < len(batch):
            part = batch[start : start + rows]
            padding = part.new_zeros((rows - len(part), *part.shape[1:]))
            try:
                found = self._run(torch.cat([part, padding]) if len(padding) else part)
            except torch.OutOfMemoryError:
                rows = self.network.halve(rows)
                self._recorded = None
                if self._stream is not None:
                    torch.cuda.empty_cache()
                continue
            parts.append({view: values[: len(part)] for view, values in found.items()})
            start += len(part)
        if len(parts) == 1:
            return parts[0]
        return {view: np.concatenate([part[view] for part in parts]) for view in parts[0]}

    def _run(self, pictures: Tensor) -> Features:
        batch = self.network.normalised(pictures)
        outputs = {(layer, False): found for layer, found in self._forward(batch).items()}
        if self.network.flip:
            mirrored = self._forward(batch.flip(3))
            for layer, found in mirrored.items():
                outputs[layer, True] = (outputs[layer, False] + found) / 2.0
        return {view: found.cpu().numpy() for view, found in outputs.items()}

    def _forward(self, batch: Tensor) -> dict[str, Tensor]:
        forward = self._pass_for(batch)
        return {layer: found.flatten(1).float() for layer, found in forward(batch).items()}

    def _pass_for(self, batch: Tensor) -> Forward:
        network = self.network
        forward = self.forward
        if network.fixed is not None and network.fixed.rows == len(batch):
            forward = network.fixed.forward
        if self._stream is None or len(batch) != network.recorded_rows:
            return forward
        if self._tried is not forward:
            self._tried, self._recorded = forward, None  # the old one's memory first
            self._recorded = recorded(forward, batch)
            network.is_recorded |= self._recorded is not None
        return self._recorded or forward


def _exact() -> AbstractContextManager[None]:
    """Keeps cuDNN from rounding, and from choosing by time.

    Left alone, cuDNN rounds products of convolutions to 10 bits: that were no fp32.
    """
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags


exact_arithmetic = SharedContext(_exact).entered


def _noise(side: int) -> Tensor:
    # A generator of its own: nobody else's draws are disturbed.
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))


def sharing_copy(module: nn.Module) -> nn.Module:
    """A copy with hooks and state of its own that shares every tensor with the original."""
    tensors = (*module.parameters(), *module.buffers())
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})


def _on(module: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The module on a device and in a dtype; tensors that it shares with another one stay."""
    at_home = all(
        tensor.device == device and tensor.dtype in (dtype, torch.int64)
        for tensor in (*module.parameters(), *module.buffers())
    )
    return module if at_home else copy.deepcopy(module).to(device, dtype)


def choose_device(wanted: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda`, `cuda:1` or `mps` means here.

    Raises:
        BadOption: unknown, or not on this machine.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if wanted.partition(":")[0] not in _DEVICES:
        raise BadOption(
            f"device {wanted!r} cannot be used here: expected auto, cpu, cuda, cuda:1 or mps."
        )
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise BadOption(f"device {wanted!r} cannot be used here: {reason}. Try cpu.") from error
    return device
