"""The views of a cache for other programs: `features.h5` and `failures.csv`."""

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.manifest import FailedFace, Manifest, ShardEntry, write_manifest
from fec_cache.cache.shards import FACE_ID_DTYPE, FORMAT_VERSION
from fec_cache.faces.table import Face, MissingFace
from fec_cache.system.atomic import remove_quietly, write_atomically

TABLE_NAME = "features.h5"
FAILURES_NAME = "failures.csv"
REJECTED_NAME = "rejected.csv"
VIEW_NAMES = (TABLE_NAME, FAILURES_NAME, REJECTED_NAME)
"""Files whose sha256 the manifest keeps."""


def write_views(
    cache: FeatureCache,
    missing: Sequence[MissingFace] = (),
    present: Sequence[Face] | None = None,
) -> None:
    """Bring `features.h5` and `failures.csv` up to date with the manifest.

    Args:
        cache: the cache to write views of.
        missing: faces without an image; they are listed as failures too.
        present: the faces in use, each under all its names; failures of other faces are not listed.
            None lists every failure in the manifest.

    Raises:
        StorageFailed: a view could not be written; shards and manifest are unchanged.
    """
    with cache.locked():
        manifest = cache.manifest()
        failures = _failures(manifest.failed, missing, present)
        entries = [entry for entry in manifest.shards if entry.rows]
        # Current views are not rewritten: a second run must succeed on a full disk.
        if digest_of(cache.folder / FAILURES_NAME) != hashlib.sha256(failures).hexdigest():
            write_atomically(cache.folder / FAILURES_NAME, failures)
        if not entries:
            remove_quietly(cache.folder / TABLE_NAME)
        elif not _is_current(cache.folder, manifest):
            write_atomically(cache.folder / TABLE_NAME, _table(cache, entries))
        updated = replace(manifest, files=_digests(cache.folder), viewed=manifest.state)
        if updated != manifest:
            write_manifest(cache.folder, updated)


def _is_current(folder: Path, manifest: Manifest) -> bool:
    """Whether `features.h5` is intact and shows this manifest."""
    # Its bytes cannot be compared with new ones: HDF5 stores the second in which it was made.
    expected = manifest.files.get(TABLE_NAME)
    is_intact = expected is not None and expected == digest_of(folder / TABLE_NAME)
    return is_intact and manifest.viewed == manifest.state


def _digests(folder: Path) -> dict[str, str]:
    digests = {name: digest_of(folder / name) for name in VIEW_NAMES}
    return {name: digest for name, digest in digests.items() if digest}


def digest_of(path: Path) -> str:
    """Sha256 of a file, 64 hex digits; empty if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _failures(
    failed: Sequence[FailedFace],
    missing: Sequence[MissingFace],
    present: Sequence[Face] | None,
) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["face_id", "image", "left", "right", "top", "bottom", "reason"])
    if present is None:
        writer.writerows([face.face_id, face.image, *face.box, face.reason] for face in failed)
    else:
        reasons = {face.face_id: face.reason for face in failed}
        for face in present:
            if face.face_id in reasons:
                reason = reasons[face.face_id]
                writer.writerow([face.face_id, face.ref.image, *face.ref.box, reason])
    for absent in missing:
        writer.writerow(["", absent.ref.image, *absent.ref.box, absent.reason])
    # File names on Linux are bytes and need not be UTF-8.
    return text.getvalue().encode(errors="backslashreplace")


def _table(cache: FeatureCache, entries: Sequence[ShardEntry]) -> bytes:
    """The bytes of `features.h5`: virtual datasets over the shards, one table for HDF5 tools."""
    num_faces, width = sum(entry.rows for entry in entries), cache.recipe.width
    ids = h5py.VirtualLayout((num_faces,), FACE_ID_DTYPE)
    features = h5py.VirtualLayout((num_faces, width), cache.recipe.store_dtype)
    start = 0
    # Paths in a virtual dataset are relative, so that the folder can be moved as a whole.
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
        # HDF5 silently fills rows of a missing shard: NaN cannot be mistaken for a feature.
        file.create_virtual_dataset("features", features, fillvalue=np.nan)
        file.flush()
        return bytes(file.id.get_file_image())
