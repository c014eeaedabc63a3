"""Checks that every byte of a cache is what was written; changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.claims import CLAIMS_NAME
from fec_cache.cache.folders import MANIFEST_NAME, RECIPE_NAME, SHARDS_NAME
from fec_cache.cache.locking import LOCK_NAME
from fec_cache.cache.maintenance.rebuild import find_leftovers, shard_paths
from fec_cache.cache.manifest import Manifest
from fec_cache.cache.provenance import PROVENANCE_NAME, read_provenance
from fec_cache.cache.recipe_file import recipe_bytes
from fec_cache.cache.views import FAILURES_NAME, TABLE_NAME, VIEW_NAMES, digest_of
from fec_cache.errors import CacheDamaged, CacheNotFound
from fec_cache.faces.digests import INDEX_NAME, read_index
from fec_cache.system.wording import counted

_OURS = {RECIPE_NAME, MANIFEST_NAME, PROVENANCE_NAME, SHARDS_NAME, LOCK_NAME, CLAIMS_NAME}


@dataclass(frozen=True)
class Finding:
    """A file, relative to the cache folder, and what was found out about it."""

    file: str
    what: str


@dataclass(frozen=True)
class VerifyReport:
    """The result of a check. `problems` are damage; `remarks` are harmless but worth knowing."""

    folder: Path
    num_shards: int
    num_faces: int
    problems: tuple[Finding, ...]
    remarks: tuple[Finding, ...]


def verify_cache(folder: Path) -> VerifyReport:
    """Check every file of a cache folder: shards, manifest, recipe, views and provenance."""
    try:
        cache = FeatureCache.open(folder)
    except (CacheDamaged, CacheNotFound) as error:
        return VerifyReport(folder, 0, 0, (Finding(RECIPE_NAME, str(error)),), ())
    problems = list(_recipe_problems(cache))
    try:
        manifest = cache.manifest()
    except CacheDamaged as error:
        problems.append(Finding(MANIFEST_NAME, str(error)))
        return VerifyReport(folder, 0, 0, tuple(problems), ())
    problems += [
        *_shard_problems(cache, manifest),
        *_view_problems(folder, manifest),
        *_provenance_problems(folder),
    ]
    num_shards = sum(bool(entry.rows) for entry in manifest.shards)
    remarks = tuple(_remarks(folder, manifest))
    return VerifyReport(folder, num_shards, manifest.num_faces, tuple(problems), remarks)


def verify_index(cache_dir: Path) -> tuple[Finding, ...]:
    """Check the index of image digests that all caches of a folder share."""
    try:
        damaged = read_index(cache_dir / INDEX_NAME).damaged_lines
    except OSError as error:
        return (Finding(INDEX_NAME, f"cannot be read: {error.strerror or error}"),)
    if not damaged:
        return ()
    first = ", ".join(map(str, damaged[:5]))
    what = f"{counted(len(damaged), 'damaged line')} ({first})"
    return (Finding(INDEX_NAME, what),)


def is_behind(manifest: Manifest) -> bool:
    """Whether `features.h5` and `failures.csv` lack the newest shards."""
    return bool(manifest.shards) and manifest.viewed != manifest.state


def _recipe_problems(cache: FeatureCache) -> Iterator[Finding]:
    if (cache.folder / RECIPE_NAME).read_bytes() != recipe_bytes(cache.recipe):
        yield Finding(RECIPE_NAME, "holds the right recipe, but not the bytes that were written")


def _shard_problems(cache: FeatureCache, manifest: Manifest) -> Iterator[Finding]:
    if not manifest.shards and not (cache.folder / MANIFEST_NAME).exists():
        if shard_paths(cache.folder):
            yield Finding(MANIFEST_NAME, "is missing, although there are shards")
        return
    file_of: dict[str, str] = {}
    for entry in manifest.shards:
        try:
            face_ids = cache.read(entry).face_ids
        except CacheDamaged as error:
            yield Finding(entry.file, str(error))
            continue
        twice = [face_id for face_id in face_ids if face_id in file_of]
        if twice or len(set(face_ids)) < len(face_ids):
            other = file_of.get(twice[0], entry.file) if twice else entry.file
            yield Finding(entry.file, f"repeats faces that are in {other}")
        file_of.update(dict.fromkeys(face_ids, entry.file))


def _view_problems(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    for name in VIEW_NAMES:
        digest, expected = digest_of(folder / name), manifest.files.get(name, "")
        if digest != expected:
            what = "is not what was written" if expected else "has no checksum in the manifest"
            yield Finding(name, what if digest else "is missing")


def _provenance_problems(folder: Path) -> Iterator[Finding]:
    try:
        read_provenance(folder)
    except CacheDamaged as error:
        yield Finding(PROVENANCE_NAME, str(error))


def _remarks(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    if is_behind(manifest):
        what = "lack the newest shards; the next `fec extract` or `fec cache repair` adds them"
        yield Finding(f"{TABLE_NAME}, {FAILURES_NAME}", what)
    leftovers = find_leftovers(folder, manifest)
    for path in leftovers:
        what = "was left by a run that was killed, and is not in the manifest"
        yield Finding(str(path.relative_to(folder)), what)
    shards = folder / SHARDS_NAME
    inside = [path for path in shards.iterdir() if path.suffix != ".h5"] if shards.is_dir() else []
    known = {*_OURS, *VIEW_NAMES}
    for path in sorted([*(p for p in folder.iterdir() if p.name not in known), *inside]):
        if path not in leftovers:
            yield Finding(str(path.relative_to(folder)), "is not a file of the cache")
