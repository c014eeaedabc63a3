"""Rebuilds a lost manifest from the shards, and finds the files that killed runs left."""

import logging
from pathlib import Path

from fec_cache.cache.folders import MANIFEST_NAME, SHARDS_NAME
from fec_cache.cache.manifest import Manifest, ShardEntry, read_manifest
from fec_cache.cache.shards import sealed_shard
from fec_cache.errors import CacheDamaged
from fec_cache.system.atomic import TEMPORARY_PREFIX, remove_quietly

REBUILT_PLAN = "rebuilt"

log = logging.getLogger(__name__)


def shard_paths(folder: Path) -> list[Path]:
    """Every file of a cache folder that is named like a shard, sorted."""
    return sorted((folder / SHARDS_NAME).glob("*.h5"))


def manifest_from_shards(folder: Path, fingerprint: str) -> tuple[Manifest, tuple[str, ...]]:
    """Rebuild a manifest from all shards whose own seal is intact.

    No stored row is lost: a shard is on disk before the manifest names it. The failed faces are
    forgotten, so they are tried again as new ones.

    Returns:
        The manifest, and a message for each shard left out of it because it is damaged or repeats
        a face of an earlier one.
    """
    entries: list[ShardEntry] = []
    problems: list[str] = []
    seen: set[str] = set()
    # HDF5 crashes on some damaged files, so a file is opened only after its seal was checked.
    for path in filter(_has_shard_name, shard_paths(folder)):
        try:
            sha256, shard = sealed_shard(path, fingerprint)
        except CacheDamaged as error:
            problems.append(str(error))
            continue
        if seen.isdisjoint(shard.face_ids) and len(set(shard.face_ids)) == len(shard.face_ids):
            seen.update(shard.face_ids)
            file = f"{SHARDS_NAME}/{path.name}"
            entries.append(ShardEntry(file, len(shard.face_ids), sha256, REBUILT_PLAN))
        else:
            problems.append(f"Shard {path} repeats a face of another shard.")
    return Manifest(fingerprint, tuple(entries)), tuple(problems)


def sound_manifest(folder: Path, fingerprint: str) -> tuple[Manifest, tuple[str, ...]]:
    """The manifest, rebuilt if it is damaged or missing, and a message for each problem."""
    path = folder / MANIFEST_NAME
    try:
        if path.exists() or not shard_paths(folder):
            return read_manifest(folder, fingerprint), ()
        problem = f"{path} is missing."
    except CacheDamaged as error:
        problem = str(error)
    manifest, problems = manifest_from_shards(folder, fingerprint)
    return manifest, (problem, *problems)


def _has_shard_name(path: Path) -> bool:
    return len(path.stem) >= 5 and path.stem.isascii() and path.stem.isdecimal()


def delete_leftovers(folder: Path, manifest: Manifest) -> None:
    """Delete what killed runs left; see `find_leftovers`."""
    for path in find_leftovers(folder, manifest):
        log.info("deleting %s: it is not in the manifest", path)
        remove_quietly(path)


def find_leftovers(folder: Path, manifest: Manifest) -> tuple[Path, ...]:
    """What killed runs left in a cache folder: shards not in the manifest, and temporary files."""
    named = {folder / entry.file for entry in manifest.shards}
    strays = [path for path in shard_paths(folder) if path not in named]
    pattern = f"{TEMPORARY_PREFIX}*"
    temporary = [*folder.glob(pattern), *(folder / SHARDS_NAME).glob(pattern)]
    return (*strays, *sorted(temporary))
