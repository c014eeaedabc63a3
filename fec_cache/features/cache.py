"""The feature cache: one folder per recipe, made of sealed shards and a manifest."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import filelock
import numpy as np
import numpy.typing as npt

from fec_cache.config import FeatureRecipe
from fec_cache.errors import CacheDamaged, CacheMismatch, CacheNotFound, StorageFailed
from fec_cache.features.manifest import (
    FailedFace,
    Manifest,
    ShardEntry,
    read_manifest,
    write_manifest,
)
from fec_cache.features.plan import WorkItem
from fec_cache.features.shards import Shard, read_shard, write_shard
from fec_cache.features.storage import remove_leftovers, write_atomically

RECIPE_NAME = "recipe.json"
_LOCK_NAME = ".lock"


@dataclass(frozen=True)
class FeatureMatrix:
    """All features of one cache in memory.

    `features` is [N, D] in the store's dtype; `face_ids` names its rows.
    """

    recipe: FeatureRecipe
    face_ids: tuple[str, ...]
    features: npt.NDArray[np.floating]

    def rows(self) -> dict[str, int]:
        """`face_id` -> row, 0 <= row < N."""
        return {face_id: row for row, face_id in enumerate(self.face_ids)}


@dataclass(frozen=True)
class FeatureCache:
    """A cache folder whose recipe was read and checked."""

    folder: Path
    recipe: FeatureRecipe

    @classmethod
    def create(cls, cache_dir: Path, recipe: FeatureRecipe) -> "FeatureCache":
        """Open the cache of a recipe, making its folder if need be.

        Raises:
            CacheMismatch: the folder of that name holds another recipe.
            CacheDamaged: its recipe cannot be read.
            StorageFailed: the folder cannot be written to.
        """
        folder = cache_dir / recipe.folder_name
        if (folder / RECIPE_NAME).exists():
            found = cls.open(folder)
            if found.recipe != recipe:
                raise CacheMismatch(
                    f"{folder} holds features of another recipe than the one asked for "
                    f"({'; '.join(recipe.differences(found.recipe))}). Name another --cache folder."
                )
            return found
        text = json.dumps(json.loads(recipe.canonical_json()), indent=1, sort_keys=True)
        write_atomically(folder / RECIPE_NAME, (text + "\n").encode())
        return cls(folder, recipe)

    @classmethod
    def open(cls, folder: Path) -> "FeatureCache":
        """Open a cache folder.

        Raises:
            CacheNotFound: there is no cache in that folder.
            CacheDamaged: its recipe cannot be read, or was edited after the folder was named.
        """
        path = folder / RECIPE_NAME
        try:
            recipe = FeatureRecipe.from_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise CacheNotFound(
                f"{folder} is not a feature cache: it has no {RECIPE_NAME}. Run: fec extract"
            ) from error
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise CacheDamaged(
                f"{path} cannot be read as a recipe ({error}). Delete the folder {folder} and run "
                "`fec extract` again."
            ) from error
        if not folder.name.endswith(recipe.fingerprint[:8]):
            raise CacheDamaged(
                f"{path} describes recipe {recipe.fingerprint[:8]}, but its folder is named "
                f"{folder.name}: one of them was changed. Nothing can be trusted here; delete the "
                "folder and run `fec extract` again."
            )
        return cls(folder, recipe)

    def manifest(self) -> Manifest:
        """The shards that count right now."""
        return read_manifest(self.folder, self.recipe.fingerprint)

    def read(self, entry: ShardEntry) -> Shard:
        """One shard, checked; an entry without rows has no file.

        Raises:
            CacheDamaged: the shard is not what was sealed.
        """
        if not entry.rows:
            empty = np.empty((0, self.recipe.width), self.recipe.store_dtype)
            return Shard((), empty)
        shard = read_shard(self.folder / entry.file, entry.sha256, self.recipe.fingerprint)
        if shard.features.shape != (entry.rows, self.recipe.width):
            raise CacheDamaged(
                f"{self.folder / entry.file} holds {shard.features.shape}, but the manifest says "
                f"{(entry.rows, self.recipe.width)}. Run `fec extract` again."
            )
        return shard

    def load(self) -> FeatureMatrix:
        """Read the whole matrix into memory, every byte checked.

        Raises:
            CacheDamaged: a shard is not what was sealed.
            CacheNotFound: the cache has no features yet.
        """
        shards = [self.read(entry) for entry in self.manifest().shards if entry.rows]
        if not shards:
            raise CacheNotFound(
                f"{self.folder} has no features yet. Run: fec extract --backbone "
                f"{self.recipe.backbone} --layer {self.recipe.layer}"
            )
        face_ids = tuple(face_id for shard in shards for face_id in shard.face_ids)
        return FeatureMatrix(self.recipe, face_ids, np.concatenate([s.features for s in shards]))

    def seal(
        self,
        item: WorkItem,
        face_ids: Sequence[str],
        features: npt.NDArray[np.floating],
        failed: Sequence[FailedFace],
    ) -> None:
        """Add one finished piece of work.

        The shard comes first and the manifest last: a shard that the manifest does not name was
        never written. A piece that another run sealed meanwhile is left as it is.

        Raises:
            StorageFailed: the disk would not take it; the cache stays as it was.
        """
        with self._lock():
            manifest = self.manifest()
            if any(item.plan == shard.plan for shard in manifest.shards):
                return
            entry = self._write(manifest, item, face_ids, features, failed)
            shards = manifest.shards
            if item.is_retry:
                shards = _without_failures(shards, set(face_ids))
            if not item.is_retry or entry.rows:
                shards = (*shards, entry)
            write_manifest(self.folder, replace(manifest, shards=shards))

    def drop_damaged(self) -> tuple[frozenset[str], tuple[str, ...]]:
        """Check every shard and strike the damaged ones from the manifest.

        Returns:
            Ids of all faces with a sound feature, and what was struck, in words.
        """
        stored: set[str] = set()
        problems: list[str] = []
        with self._lock():
            remove_leftovers(self.folder)
            remove_leftovers(self.folder / "shards")
            manifest = self.manifest()
            kept: list[ShardEntry] = []
            for entry in manifest.shards:
                try:
                    stored.update(self.read(entry).face_ids)
                    kept.append(entry)
                except CacheDamaged as error:
                    problems.append(str(error))
            if problems:
                write_manifest(self.folder, replace(manifest, shards=tuple(kept)))
        return frozenset(stored), tuple(problems)

    def _write(
        self,
        manifest: Manifest,
        item: WorkItem,
        face_ids: Sequence[str],
        features: npt.NDArray[np.floating],
        failed: Sequence[FailedFace],
    ) -> ShardEntry:
        kept = () if item.is_retry else tuple(failed)
        if not len(face_ids):
            return ShardEntry("", 0, "", item.plan, kept)
        file = f"shards/{_next_number(manifest):05d}.h5"
        path = self.folder / file
        sha256 = write_shard(path, self.recipe.fingerprint, face_ids, features)
        return ShardEntry(file, len(face_ids), sha256, item.plan, kept)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        lock = filelock.FileLock(self.folder / _LOCK_NAME)
        try:
            lock.acquire()
        except OSError as error:
            raise StorageFailed(
                f"{self.folder} cannot be written to: {error.strerror or error}. Mend its "
                "permissions, or name another folder with --cache DIR."
            ) from error
        try:
            yield
        finally:
            lock.release()


def _next_number(manifest: Manifest) -> int:
    numbers = (int(Path(shard.file).stem) for shard in manifest.shards if shard.file)
    return max(numbers, default=-1) + 1


def _without_failures(shards: tuple[ShardEntry, ...], mended: set[str]) -> tuple[ShardEntry, ...]:
    return tuple(
        replace(shard, failed=tuple(f for f in shard.failed if f.face_id not in mended))
        for shard in shards
    )
