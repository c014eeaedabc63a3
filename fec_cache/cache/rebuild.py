"""What one file of a cache says of the others: the manifest, made anew from the shards."""

import logging
from pathlib import Path

from fec_cache.cache.manifest import MANIFEST_NAME, Manifest, ShardEntry, read_manifest
from fec_cache.cache.shards import sealed_shard
from fec_cache.errors import CacheDamaged
from fec_cache.system.atomic import TEMPORARY_PREFIX, remove_quietly

SHARDS_NAME = "shards"
REBUILT_PLAN = "rebuilt"

log = logging.getLogger(__name__)


def shard_paths(folder: Path) -> list[Path]:
    """Every file of a cache folder that is named like a shard, in order."""
    return sorted((folder / SHARDS_NAME).glob("*.h5"))


def manifest_from_shards(folder: Path, fingerprint: str) -> tuple[Manifest, tuple[str, ...]]:
    """Make a manifest anew from shards that bear their own seal.

    Nothing that was acknowledged is lost: a shard is on disk before the manifest names it. The
    reasons of failed faces are gone, so those faces are tried again as new ones.

    Returns:
        The manifest, and what was left out of it, in words: damaged shards, and shards that
        repeat a face of an earlier one.
    """
    entries: list[ShardEntry] = []
    problems: list[str] = []
    seen: set[str] = set()
    for path in filter(_is_named_by_us, shard_paths(folder)):
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
    """The manifest, made anew if it is damaged or gone, and what was wrong with it."""
    path = folder / MANIFEST_NAME
    try:
        if path.exists() or not shard_paths(folder):
            return read_manifest(folder, fingerprint), ()
        problem = f"{path} is gone."
    except CacheDamaged as error:
        problem = str(error)
    manifest, problems = manifest_from_shards(folder, fingerprint)
    return manifest, (problem, *problems)


def _is_named_by_us(path: Path) -> bool:
    return len(path.stem) >= 5 and path.stem.isascii() and path.stem.isdecimal()


def clear_away(folder: Path, manifest: Manifest) -> tuple[Path, ...]:
    """Remove what killed runs left: temporary files, and shards that no manifest names."""
    found = leftovers(folder, manifest)
    for path in found:
        log.info("%s stands in no manifest and is removed", path)
        remove_quietly(path)
    return found


def leftovers(folder: Path, manifest: Manifest) -> tuple[Path, ...]:
    """What killed runs left in a cache folder."""
    named = {folder / entry.file for entry in manifest.shards}
    strays = [path for path in shard_paths(folder) if path not in named]
    pattern = f"{TEMPORARY_PREFIX}*"
    temporary = [*folder.glob(pattern), *(folder / SHARDS_NAME).glob(pattern)]
    return (*strays, *sorted(temporary))
