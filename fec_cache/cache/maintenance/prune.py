"""Frees disk space: leftovers of killed runs, features of unused faces, whole caches."""

import shutil
import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.folders import SHARDS_NAME
from fec_cache.cache.maintenance.rebuild import delete_leftovers, find_leftovers
from fec_cache.cache.manifest import Manifest, ShardEntry, write_manifest
from fec_cache.cache.shards import write_shard
from fec_cache.cache.views import write_views
from fec_cache.errors import StorageFailed
from fec_cache.system.atomic import TEMPORARY_PREFIX

PRUNED_PLAN = "pruned"


@dataclass(frozen=True)
class PruneReport:
    """What was deleted, or would be: leftover files, features of unused faces, bytes of both."""

    folder: Path
    files: tuple[str, ...]
    num_faces: int
    size_bytes: int


def prune_cache(
    cache: FeatureCache, used: Collection[str] | None = None, is_dry: bool = False
) -> PruneReport:
    """Delete what killed runs left and, if `used` is given, features of all other faces.

    Args:
        cache: the cache to prune.
        used: ids of the faces to keep; None keeps all.
        is_dry: only report what would be deleted.

    Raises:
        CacheDamaged: a shard is not what was written; repair first.
        StorageFailed: the folder cannot be written to.
    """
    with cache.locked():
        manifest = cache.manifest()
        leftovers = find_leftovers(cache.folder, manifest)
        size_bytes = sum(path.stat().st_size for path in leftovers)
        num_unused = 0
        if used is not None:
            num_unused = len(_unused(cache, manifest, used))
            row_bytes = _bytes_of(cache, manifest) // max(1, manifest.num_faces)
            size_bytes += num_unused * row_bytes
        if not is_dry:
            if num_unused and used is not None:
                manifest = _without_unused(cache, manifest, used)
            delete_leftovers(cache.folder, manifest)
    # Outside of the lock, which `write_views` takes itself.
    if num_unused and not is_dry:
        write_views(cache)
    names = tuple(str(path.relative_to(cache.folder)) for path in leftovers)
    return PruneReport(cache.folder, names, num_unused, size_bytes)


def remove_cache(folder: Path) -> int:
    """Delete a whole cache folder.

    Returns:
        Its size in bytes.

    Raises:
        StorageFailed: it could not be deleted.
    """
    size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    # Renamed first, so that a kill while deleting leaves no half of a cache under its name.
    renamed = folder.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    try:
        folder.rename(renamed)
        shutil.rmtree(renamed)
    except OSError as error:
        raise StorageFailed(
            f"{folder} could not be deleted: {error.strerror or error}. Check its permissions."
        ) from error
    return size_bytes


def remove_half_removed(cache_dir: Path) -> int:
    """Delete what killed calls of `remove_cache` left; returns the number of folders."""
    folders = [path for path in cache_dir.glob(f"{TEMPORARY_PREFIX}*") if path.is_dir()]
    for path in folders:
        shutil.rmtree(path, ignore_errors=True)
    return len(folders)


def _unused(cache: FeatureCache, manifest: Manifest, used: Collection[str]) -> list[str]:
    ids = (face_id for entry in manifest.shards for face_id in cache.read(entry).face_ids)
    return [face_id for face_id in ids if face_id not in used]


def _without_unused(cache: FeatureCache, manifest: Manifest, used: Collection[str]) -> Manifest:
    """Rewrite shards that hold unused faces, without those faces and under new numbers.

    The manifest is replaced once, at the end: until then nothing has been deleted.
    """
    entries: list[ShardEntry] = []
    numbered = manifest
    for entry in manifest.shards:
        kept = _kept_entry(cache, numbered, entry, used)
        if kept is not entry:
            # The new file is not in the old manifest yet: the next one needs another number.
            numbered = replace(numbered, shards=(*numbered.shards, kept))
        if kept.rows or kept.failed:
            entries.append(kept)
    entries.sort(key=lambda shard: shard.number)
    pruned = replace(manifest, shards=tuple(entries))
    write_manifest(cache.folder, pruned)
    return pruned


def _kept_entry(
    cache: FeatureCache, manifest: Manifest, entry: ShardEntry, used: Collection[str]
) -> ShardEntry:
    failed = tuple(face for face in entry.failed if face.face_id in used)
    recovered = tuple(face_id for face_id in entry.recovered if face_id in used)
    shard = cache.read(entry)
    rows = [row for row, face_id in enumerate(shard.face_ids) if face_id in used]
    if len(rows) == entry.rows:
        return replace(entry, failed=failed, recovered=recovered)
    if not rows:
        return ShardEntry("", 0, "", PRUNED_PLAN, failed, recovered)
    file = f"{SHARDS_NAME}/{manifest.free_number:05d}.h5"
    face_ids = [shard.face_ids[row] for row in rows]
    sha256 = write_shard(
        cache.folder / file, cache.recipe.fingerprint, face_ids, shard.features[rows]
    )
    return ShardEntry(file, len(rows), sha256, PRUNED_PLAN, failed, recovered)


def _bytes_of(cache: FeatureCache, manifest: Manifest) -> int:
    paths = [cache.folder / entry.file for entry in manifest.shards if entry.rows]
    return sum(path.stat().st_size for path in paths)
