"""What is worth knowing of a run but changes no feature: versions, device, date."""

import datetime
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from fec_cache.errors import CacheDamaged
from fec_cache.system.atomic import write_atomically
from fec_cache.system.sealed_json import open_sealed, seal_json

PROVENANCE_NAME = "provenance.json"
_LIBRARIES = ("torch", "torchvision", "numpy", "pillow", "simplejpeg", "h5py")


def record_run(
    folder: Path,
    weights_source: str,
    device: torch.device,
    batch_size: int,
    told: Mapping[str, object] | None = None,
) -> None:
    """Add one run to the cache folder's `provenance.json`; an unreadable one is begun anew."""
    try:
        runs = list(read_provenance(folder))
    except CacheDamaged:
        runs = []
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    runs.append(
        {
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "weights": weights_source,
            "device": f"{device} {name}".strip(),
            "batch_size": batch_size,
            **(told or {}),
            "python": platform.python_version(),
            **{library: version(library) for library in _LIBRARIES},
        }
    )
    write_atomically(folder / PROVENANCE_NAME, seal_json({"runs": runs}))


def read_provenance(folder: Path) -> tuple[dict[str, Any], ...]:
    """What is known of each run, oldest first; none where nothing was recorded.

    Raises:
        CacheDamaged: the file cannot be read, or is not what was written.
    """
    path = folder / PROVENANCE_NAME
    try:
        runs = open_sealed(path.read_bytes())["runs"]
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError) as error:
        raise CacheDamaged(
            f"{path} cannot be read as provenance ({error}). Run: fec cache repair {folder.name}"
        ) from error
    return tuple(runs)
