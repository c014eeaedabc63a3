"""What other programs read of a cache: `features.h5` and `failures.csv`."""

import csv
import io
from collections.abc import Sequence

import h5py
import numpy as np

from fec_cache.faces.table import MissingFace
from fec_cache.features.cache import FeatureCache
from fec_cache.features.manifest import ShardEntry
from fec_cache.features.shards import FACE_ID_DTYPE, FORMAT_VERSION
from fec_cache.features.storage import write_atomically

TABLE_NAME = "features.h5"
FAILURES_NAME = "failures.csv"


def write_views(cache: FeatureCache, missing: Sequence[MissingFace] = ()) -> None:
    """Bring `features.h5` and `failures.csv` up to the manifest.

    Raises:
        StorageFailed: the disk would not take them; the cache itself is not touched.
    """
    manifest = cache.manifest()
    write_atomically(cache.folder / FAILURES_NAME, _failures(cache, missing))
    entries = [entry for entry in manifest.shards if entry.rows]
    if entries:
        write_atomically(cache.folder / TABLE_NAME, _table(cache, entries))


def _failures(cache: FeatureCache, missing: Sequence[MissingFace]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["face_id", "image", "left", "right", "top", "bottom", "reason"])
    for face in cache.manifest().failed:
        writer.writerow([face.face_id, face.image, *face.box, face.reason])
    for absent in missing:
        writer.writerow(["", absent.ref.image, *absent.ref.box, absent.reason])
    return text.getvalue().encode()


def _table(cache: FeatureCache, entries: Sequence[ShardEntry]) -> bytes:
    """A virtual dataset over the shards, so that any HDF5 tool sees one table."""
    num_faces, width = sum(entry.rows for entry in entries), cache.recipe.width
    ids = h5py.VirtualLayout((num_faces,), FACE_ID_DTYPE)
    features = h5py.VirtualLayout((num_faces, width), cache.recipe.store_dtype)
    start = 0
    for entry in entries:
        stop = start + entry.rows
        ids[start:stop] = h5py.VirtualSource(
            entry.file, "face_id", (entry.rows,), np.dtype(FACE_ID_DTYPE)
        )
        features[start:stop] = h5py.VirtualSource(
            entry.file, "features", (entry.rows, width), np.dtype(cache.recipe.store_dtype)
        )
        start = stop
    with h5py.File.in_memory() as file:
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["fingerprint"] = cache.recipe.fingerprint
        file.attrs["recipe"] = cache.recipe.canonical_json()
        file.create_virtual_dataset("face_id", ids)
        file.create_virtual_dataset("features", features)
        file.flush()
        return bytes(file.id.get_file_image())
