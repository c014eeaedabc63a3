"""Facts about a run that change no feature: versions, device, date."""

import datetime
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fec_cache.errors import CacheDamaged
from fec_cache.system.atomic import write_atomically
from fec_cache.system.sealed_json import open_sealed, seal_json

PROVENANCE_NAME = "provenance.json"
_LIBRARIES = ("torch", "torchvision", "numpy", "pillow", "simplejpeg", "h5py")


def record_run(
    folder: Path,
    weights_source: str,
    device: str,
    batch_size: int,
    more: Mapping[str, object] | None = None,
) -> None:
    """Add one run to the cache folder's `provenance.json`; an unreadable file is replaced.

    Args:
        folder: the cache folder.
        weights_source: where the backbone's weights came from.
        device: that ran the network, and its model if known.
        batch_size: faces per forward pass.
        more: further fields of the run, as JSON values.

    Raises:
        StorageFailed: the file cannot be written.
    """
    try:
        runs = list(read_provenance(folder))
    except CacheDamaged:
        runs = []
    runs.append(
        {
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "weights": weights_source,
            "device": device,
            "batch_size": batch_size,
            **(more or {}),
            "python": platform.python_version(),
            # Installed versions, not imported modules: listing caches must not load torch.
            **{library: version(library) for library in _LIBRARIES},
        }
    )
    write_atomically(folder / PROVENANCE_NAME, seal_json({"runs": runs}))


def read_provenance(folder: Path) -> tuple[dict[str, Any], ...]:
    """The recorded runs, oldest first; none if nothing was recorded.

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
