"""Frees room: what killed runs left, faces that nobody asks for any more, whole caches."""

import shutil
import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from fec_cache.cache.cache import FeatureCache, free_number
from fec_cache.cache.manifest import Manifest, ShardEntry, write_manifest
from fec_cache.cache.rebuild import SHARDS_NAME, clear_away, leftovers
from fec_cache.cache.shards import write_shard
from fec_cache.cache.views import write_views
from fec_cache.errors import StorageFailed
from fec_cache.system.atomic import TEMPORARY_PREFIX

PRUNED_PLAN = "pruned"


@dataclass(frozen=True)
class PruneReport:
    """What went, or would go: left files, features of unused faces, and bytes of both."""

    folder: Path
    files: tuple[str, ...]
    num_faces: int
    size_bytes: int


def prune_cache(
    cache: FeatureCache, used: Collection[str] | None = None, is_dry: bool = False
) -> PruneReport:
    """Remove what killed runs left and, if `used` is given, features of all other faces.

    Args:
        cache: what to prune.
        used: ids of the faces to keep; None keeps all.
        is_dry: only say what would go.

    Raises:
        CacheDamaged: a shard is not what was sealed; repair first.
        StorageFailed: the folder cannot be written to.
    """
    with cache.locked():
        manifest = cache.manifest()
        left = leftovers(cache.folder, manifest)
        size_bytes = sum(path.stat().st_size for path in left)
        num_unused = 0
        if used is not None:
            num_unused = len(_unused(cache, manifest, used))
            row_bytes = _bytes_of(cache, manifest) // max(1, manifest.num_faces)
            size_bytes += num_unused * row_bytes
        if not is_dry:
            if num_unused and used is not None:
                manifest = _without_unused(cache, manifest, used)
            clear_away(cache.folder, manifest)
    if num_unused and not is_dry:
        write_views(cache)
    names = tuple(str(path.relative_to(cache.folder)) for path in left)
    return PruneReport(cache.folder, names, num_unused, size_bytes)


def remove_cache(folder: Path) -> int:
    """Delete a whole cache folder; how many bytes it had.

    It disappears in one step: a kill on the way leaves no half of a cache.

    Raises:
        StorageFailed: it could not be deleted.
    """
    size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    doomed = folder.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    try:
        folder.rename(doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise StorageFailed(
            f"{folder} could not be deleted: {error.strerror or error}. Mend its permissions."
        ) from error
    return size_bytes


def remove_half_removed(cache_dir: Path) -> int:
    """Finish deleting caches that a killed `remove_cache` left; how many."""
    doomed = [path for path in cache_dir.glob(f"{TEMPORARY_PREFIX}*") if path.is_dir()]
    for path in doomed:
        shutil.rmtree(path, ignore_errors=True)
    return len(doomed)


def _unused(cache: FeatureCache, manifest: Manifest, used: Collection[str]) -> list[str]:
    ids = (face_id for entry in manifest.shards for face_id in cache.read(entry).face_ids)
    return [face_id for face_id in ids if face_id not in used]


def _without_unused(cache: FeatureCache, manifest: Manifest, used: Collection[str]) -> Manifest:
    """Shards that held an unused face are written anew without it, under a new number.

    The manifest is replaced once, at the end: until then nothing has gone.
    """
    entries: list[ShardEntry] = []
    numbered = manifest
    for entry in manifest.shards:
        kept = _kept_entry(cache, numbered, entry, used)
        if kept is not entry:
            # The new file is not in the old manifest: its number must not be given twice.
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
    mended = tuple(face_id for face_id in entry.mended if face_id in used)
    shard = cache.read(entry)
    rows = [row for row, face_id in enumerate(shard.face_ids) if face_id in used]
    if len(rows) == entry.rows:
        return replace(entry, failed=failed, mended=mended)
    if not rows:
        return ShardEntry("", 0, "", PRUNED_PLAN, failed, mended)
    file = f"{SHARDS_NAME}/{free_number(manifest):05d}.h5"
    face_ids = [shard.face_ids[row] for row in rows]
    sha256 = write_shard(
        cache.folder / file, cache.recipe.fingerprint, face_ids, shard.features[rows]
    )
    return ShardEntry(file, len(rows), sha256, PRUNED_PLAN, failed, mended)


def _bytes_of(cache: FeatureCache, manifest: Manifest) -> int:
    paths = [cache.folder / entry.file for entry in manifest.shards if entry.rows]
    return sum(path.stat().st_size for path in paths)
