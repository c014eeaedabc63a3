"""What is worth knowing of a run but changes no feature: versions, device, date."""

import datetime
import json
import platform
from importlib.metadata import version
from pathlib import Path

import torch

from fec_cache.features.storage import write_atomically

PROVENANCE_NAME = "provenance.json"
_LIBRARIES = ("torch", "torchvision", "numpy", "pillow", "h5py")


def record_run(folder: Path, weights_source: str, device: torch.device, batch_size: int) -> None:
    """Add one run to the cache folder's `provenance.json`; an unreadable one is begun anew."""
    path = folder / PROVENANCE_NAME
    try:
        runs = json.loads(path.read_text(encoding="utf-8"))
        runs = runs if isinstance(runs, list) else []
    except (OSError, ValueError):
        runs = []
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    runs.append(
        {
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "weights": weights_source,
            "device": f"{device} {name}".strip(),
            "batch_size": batch_size,
            "python": platform.python_version(),
            **{library: version(library) for library in _LIBRARIES},
        }
    )
    write_atomically(path, (json.dumps(runs, indent=1) + "\n").encode())
