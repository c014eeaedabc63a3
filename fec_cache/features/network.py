"""Pictures -> features: a frozen backbone on its device, with its own normalisation."""

import numpy as np
import numpy.typing as npt
import torch

from fec_cache.errors import BadOption
from fec_cache.features.backbones import Backbone


class Network:
    """A backbone ready to run; the same pictures always meet the same arithmetic."""

    def __init__(self, backbone: Backbone, device: torch.device) -> None:
        self.device = device
        self._module = backbone.module.to(device).to(memory_format=torch.channels_last)
        self._mean = torch.tensor(backbone.mean, device=device).view(1, 3, 1, 1) * 255.0
        self._std = torch.tensor(backbone.std, device=device).view(1, 3, 1, 1) * 255.0

    def features(self, pictures: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
        """Features of each layer the backbone was loaded with: [B, D] float32.

        Args:
            pictures: [B, S, S, 3] uint8, RGB.
        """
        # Left alone, cuDNN rounds products of convolutions to 10 bits: that were no fp32.
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            batch = torch.from_numpy(pictures).to(self.device).permute(0, 3, 1, 2).float()
            outputs = self._module((batch - self._mean) / self._std)
            return {
                layer: output.flatten(1).float().cpu().numpy() for layer, output in outputs.items()
            }


def choose_device(wanted: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda`, `cuda:1` or `mps` means here.

    Raises:
        BadOption: unknown, or not on this machine.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise BadOption(f"device {wanted!r} cannot be used here: {reason}. Try cpu.") from error
    return device
