"""The feature cache: one folder per recipe, made of sealed shards and a manifest."""

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fec_cache.cache.folders import RECIPE_NAME, SHARDS_NAME
from fec_cache.cache.locking import folder_lock
from fec_cache.cache.maintenance.rebuild import delete_leftovers, sound_manifest
from fec_cache.cache.manifest import (
    FailedFace,
    Manifest,
    ShardEntry,
    read_manifest,
    write_manifest,
)
from fec_cache.cache.matrix import FeatureMatrix, matrix_of
from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.cache.recipe_file import (
    belongs_to,
    read_recipe,
    recipe_bytes,
    write_recipe,
)
from fec_cache.cache.shards import Shard, read_faces, read_shard, write_shard
from fec_cache.errors import CacheDamaged, CacheMismatch, CacheNotFound

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureCache:
    """A cache folder whose recipe has been read and checked; `open_cache` finds it by name.

    No file stays open between calls, so a cache can be shared by threads and forked processes.
    Leaving it as a context frees what `features` and `face_ids` keep in memory.

    Example:
        >>> from fec_cache import open_cache
        >>> with open_cache("cache", "toy:avgpool") as cache:
        ...     features, face_ids = cache.features(), cache.face_ids()
        >>> features.shape == (len(face_ids), 3)
        True
    """

    folder: Path
    recipe: FeatureRecipe
    # sha256 of a shard -> its face ids: shards never change, so each is read once per run.
    _ids_of: dict[str, frozenset[str]] = field(default_factory=dict, repr=False, compare=False)
    _in_memory: list[FeatureMatrix] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def create(cls, cache_dir: Path, recipe: FeatureRecipe) -> "FeatureCache":
        """Open the cache of a recipe; its folder is created if there is none.

        Raises:
            CacheMismatch: the folder of that name holds another recipe.
            CacheDamaged: its recipe cannot be read.
            StorageFailed: the folder cannot be written to.
        """
        folder = cache_dir / recipe.folder_name
        try:
            cache = cls.open(folder) if (folder / RECIPE_NAME).exists() else None
        except CacheDamaged as error:
            if not belongs_to(folder, recipe):
                raise
            log.warning("%s: writing the recipe again", error)
            cache = None
        if cache is None:
            with cls(folder, recipe).locked():
                write_recipe(folder, recipe)
            cache = cls.open(folder)
        if cache.recipe != recipe:
            raise CacheMismatch(
                f"{folder} contains features of a different recipe than the requested one "
                f"({'; '.join(recipe.differences(cache.recipe))}). Choose another --cache folder."
            )
        if (folder / RECIPE_NAME).read_bytes() != recipe_bytes(recipe):
            # The same recipe in other bytes, e.g. cut before its last newline: `verify` compares
            # bytes.
            with cache.locked():
                write_recipe(folder, recipe)
        return cache

    @classmethod
    def open(cls, folder: str | Path) -> "FeatureCache":
        """Open a cache folder.

        Raises:
            CacheNotFound: there is no cache in that folder.
            CacheDamaged: its recipe cannot be read, or was edited after the folder was named.
        """
        path = Path(folder)
        return cls(path, read_recipe(path))

    def __enter__(self) -> "FeatureCache":
        """The cache itself; there is nothing to open."""
        return self

    def __exit__(self, *error: object) -> None:
        """Free the features in memory; the next call of `features` reads them again."""
        self._in_memory.clear()

    def features(self) -> npt.NDArray[np.floating]:
        """All features; read at the first call, then kept in memory.

        Returns:
            [N, D] float16 or float32, all finite; row i belongs to face `face_ids()[i]`. The array
            is read-only: copy it to change it.

        Raises:
            CacheDamaged: a shard is not what was written.
            CacheNotFound: the cache has no features yet.
        """
        return self._matrix().features

    def face_ids(self) -> list[str]:
        """Ids of all N faces with a feature, 32 hex digits each, in the order of `features`.

        Raises:
            CacheDamaged, CacheNotFound: see `features`.
        """
        return list(self._matrix().face_ids)

    def manifest(self) -> Manifest:
        """The shards that the cache consists of at this moment."""
        return read_manifest(self.folder, self.recipe.fingerprint)

    def read(self, entry: ShardEntry) -> Shard:
        """Read one shard and check every byte; an entry without rows has no file.

        Raises:
            CacheDamaged: the shard is not what was written.
        """
        if not entry.rows:
            empty = np.empty((0, self.recipe.width), self.recipe.store_dtype)
            return Shard((), empty)
        shard = read_shard(self.folder / entry.file, entry.sha256, self.recipe.fingerprint)
        if shard.features.shape != (entry.rows, self.recipe.width):
            raise CacheDamaged(
                f"{self.folder / entry.file} contains {shard.features.shape}, but the manifest "
                f"says {(entry.rows, self.recipe.width)}. Run `fec extract` again."
            )
        return shard

    def read_shards(self, wanted: Collection[str] | None = None) -> Iterator[Shard]:
        """The rows of wanted faces, shard by shard, every byte checked.

        Args:
            wanted: ids of the faces to read; None reads all.

        Raises:
            CacheDamaged: a shard is not what was written.
        """
        recipe = self.recipe
        for entry in self.manifest().shards:
            if wanted is None or not entry.rows:
                yield self.read(entry)
            else:
                path = self.folder / entry.file
                yield read_faces(path, entry.sha256, recipe.fingerprint, wanted, recipe.store_dtype)

    def load(self, wanted: Collection[str] | None = None) -> FeatureMatrix:
        """Read features into memory, every byte checked; nothing is kept here.

        Args:
            wanted: ids of the faces to read; ids without a feature are ignored. None reads all.

        Raises:
            CacheDamaged: a shard is not what was written.
            CacheNotFound: the cache has no features yet.
        """
        num_faces = self.manifest().num_faces
        if not num_faces:
            raise CacheNotFound(
                f"{self.folder} has no features yet. Run: fec extract --backbone "
                f"{self.recipe.backbone} --layer {self.recipe.layer}"
            )
        max_rows = num_faces if wanted is None else min(num_faces, len(wanted))
        return matrix_of(self.recipe, self.read_shards(wanted), max_rows)

    def seal(
        self,
        plan: str,
        face_ids: Sequence[str],
        features: npt.NDArray[np.floating],
        failed: Sequence[FailedFace],
    ) -> None:
        """Add one finished piece of work as a shard.

        Faces that another run has stored in the meantime are skipped.

        Args:
            plan: digest of the faces planned for it.
            face_ids: ids of its n usable faces.
            features: [n, D] in the recipe's dtype, all finite.
            failed: its other faces.

        Raises:
            StorageFailed: the shard could not be written; the cache is unchanged.
            CacheDamaged: another run's shard cannot be read, so its faces are unknown.
        """
        with self.locked():
            manifest = self.manifest()
            stored = self._stored(manifest)
            rows = [row for row, face_id in enumerate(face_ids) if face_id not in stored]
            new_ids = [face_ids[row] for row in rows]
            reasons = {face.face_id: face for face in failed if face.face_id not in stored}
            shards = tuple(shard.with_reasons(reasons) for shard in manifest.shards)
            failed_before = {face.face_id for face in manifest.failed}
            # The shard first, the manifest last: a shard that it does not name was never written.
            entry = self._write(manifest, plan, new_ids, features[rows])
            entry = replace(
                entry,
                failed=tuple(f for f in reasons.values() if f.face_id not in failed_before),
                recovered=tuple(face_id for face_id in new_ids if face_id in failed_before),
            )
            if entry.rows or entry.failed:
                shards = tuple(sorted((*shards, entry), key=lambda shard: shard.number))
            if shards != manifest.shards:
                write_manifest(self.folder, replace(manifest, shards=shards))

    def stored_and_failed(self) -> tuple[frozenset[str], frozenset[str]]:
        """Ids of the faces with a feature, and of those that failed.

        Raises:
            CacheDamaged: a shard is not what was written.
        """
        manifest = self.manifest()
        return self._stored(manifest), frozenset(face.face_id for face in manifest.failed)

    def drop_damaged(self) -> tuple[frozenset[str], tuple[str, ...]]:
        """Check every shard, drop the damaged ones, and delete what killed runs left.

        A damaged or missing manifest is rebuilt from the shards.

        Returns:
            Ids of all faces with an intact feature, and a message for each thing dropped.
        """
        with self.locked():
            manifest, manifest_problems = sound_manifest(self.folder, self.recipe.fingerprint)
            problems = list(manifest_problems)
            kept: list[ShardEntry] = []
            seen: set[str] = set()
            for entry in manifest.shards:
                try:
                    # Read again even if known: the point is to find damage since then.
                    face_ids = self._ids_of[entry.sha256] = self._read_ids(entry)
                    if not seen.isdisjoint(face_ids):
                        raise CacheDamaged(f"Shard {entry.file} repeats a face of another shard.")
                    seen |= face_ids
                    kept.append(entry)
                except CacheDamaged as error:
                    problems.append(str(error))
            intact = replace(manifest, shards=tuple(kept))
            if problems:
                write_manifest(self.folder, intact)
            delete_leftovers(self.folder, intact)
            return self._stored(intact), tuple(problems)

    def locked(self) -> AbstractContextManager[None]:
        """Keep every other writer out; see `folder_lock`."""
        return folder_lock(self.folder)

    def _write(
        self,
        manifest: Manifest,
        plan: str,
        face_ids: Sequence[str],
        features: npt.NDArray[np.floating],
    ) -> ShardEntry:
        if not len(face_ids):
            return ShardEntry("", 0, "", plan)
        file = f"{SHARDS_NAME}/{manifest.free_number:05d}.h5"
        sha256 = write_shard(self.folder / file, self.recipe.fingerprint, face_ids, features)
        self._ids_of[sha256] = frozenset(face_ids)
        return ShardEntry(file, len(face_ids), sha256, plan)

    def _stored(self, manifest: Manifest) -> frozenset[str]:
        """Ids of all faces with a feature; reads only shards that were not read before."""
        for entry in manifest.shards:
            if entry.sha256 not in self._ids_of:
                self._ids_of[entry.sha256] = self._read_ids(entry)
        return frozenset().union(*(self._ids_of[entry.sha256] for entry in manifest.shards))

    def _read_ids(self, entry: ShardEntry) -> frozenset[str]:
        return frozenset(self.read(entry).face_ids)

    def _matrix(self) -> FeatureMatrix:
        """All features, read once: features and face ids must come from one reading."""
        if not self._in_memory:
            matrix = self.load()
            matrix.features.setflags(write=False)
            self._in_memory.append(matrix)
        return self._in_memory[0]
