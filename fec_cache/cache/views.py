"""What other programs read of a cache: `features.h5` and `failures.csv`."""

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
    """Bring `features.h5` and `failures.csv` up to the manifest.

    Args:
        cache: the cache whose views they are.
        missing: faces without an image; they are listed among the failures.
        present: the faces in use, each under every name; failures of others are not listed. None
            lists every failure that the cache knows.

    Raises:
        StorageFailed: the disk would not take them; the cache itself is not touched.
    """
    with cache.locked():
        manifest = cache.manifest()
        failures = _failures(manifest.failed, missing, present)
        entries = [entry for entry in manifest.shards if entry.rows]
        # Nothing is written that is there already: a finished cache may lie on a full disk.
        if digest_of(cache.folder / FAILURES_NAME) != hashlib.sha256(failures).hexdigest():
            write_atomically(cache.folder / FAILURES_NAME, failures)
        if not entries:
            remove_quietly(cache.folder / TABLE_NAME)
        elif not _is_current(cache.folder, manifest):
            write_atomically(cache.folder / TABLE_NAME, _table(cache, entries))
        noted = replace(manifest, files=_digests(cache.folder), viewed=manifest.state)
        if noted != manifest:
            write_manifest(cache.folder, noted)


def _is_current(folder: Path, manifest: Manifest) -> bool:
    """Whether `features.h5` shows this manifest; its bytes alone hold the second it was made in."""
    known = manifest.files.get(TABLE_NAME)
    is_known = known is not None and known == digest_of(folder / TABLE_NAME)
    return is_known and manifest.viewed == manifest.state


def _digests(folder: Path) -> dict[str, str]:
    digests = {name: digest_of(folder / name) for name in VIEW_NAMES}
    return {name: digest for name, digest in digests.items() if digest}


def digest_of(path: Path) -> str:
    """Sha256 of a file, 64 hex digits; empty where there is none to be read."""
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
    return text.getvalue().encode(errors="backslashreplace")


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
        # HDF5 fills in silently for a shard that is not there: it must not look like a feature.
        file.create_virtual_dataset("features", features, fillvalue=np.nan)
        file.flush()
        return bytes(file.id.get_file_image())
