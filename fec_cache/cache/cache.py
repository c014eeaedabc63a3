"""The feature cache: one folder per recipe, made of sealed shards and a manifest."""

import itertools
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import filelock
import numpy as np
import numpy.typing as npt

from fec_cache.cache.manifest import (
    FailedFace,
    Manifest,
    ShardEntry,
    read_manifest,
    write_manifest,
)
from fec_cache.cache.plan import WorkItem
from fec_cache.cache.rebuild import SHARDS_NAME, clear_away, sound_manifest
from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.cache.recipe_file import (
    RECIPE_NAME,
    belongs_to,
    read_recipe,
    recipe_bytes,
    write_recipe,
)
from fec_cache.cache.shards import Shard, read_faces, read_shard, write_shard
from fec_cache.errors import CacheDamaged, CacheMismatch, CacheNotFound, StorageFailed

LOCK_NAME = ".lock"

log = logging.getLogger(__name__)


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
    # sha256 of a shard -> the faces in it, so that nothing sealed is read twice in one run
    _known: dict[str, frozenset[str]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def create(cls, cache_dir: Path, recipe: FeatureRecipe) -> "FeatureCache":
        """Open the cache of a recipe, making its folder if need be.

        Raises:
            CacheMismatch: the folder of that name holds another recipe.
            CacheDamaged: its recipe cannot be read.
            StorageFailed: the folder cannot be written to.
        """
        folder = cache_dir / recipe.folder_name
        try:
            found = cls.open(folder) if (folder / RECIPE_NAME).exists() else None
        except CacheDamaged as error:
            if not belongs_to(folder, recipe):
                raise
            log.warning("%s: the recipe asked for is written in its place", error)
            found = None
        if found is None:
            with cls(folder, recipe).locked():
                write_recipe(folder, recipe)
            found = cls.open(folder)
        if found.recipe != recipe:
            raise CacheMismatch(
                f"{folder} holds features of another recipe than the one asked for "
                f"({'; '.join(recipe.differences(found.recipe))}). Name another --cache folder."
            )
        if (folder / RECIPE_NAME).read_bytes() != recipe_bytes(recipe):
            # It says the right thing in other letters: cut at its last newline, say.
            with found.locked():
                write_recipe(folder, recipe)
        return found

    @classmethod
    def open(cls, folder: Path) -> "FeatureCache":
        """Open a cache folder.

        Raises:
            CacheNotFound: there is no cache in that folder.
            CacheDamaged: its recipe cannot be read, or was edited after the folder was named.
        """
        return cls(folder, read_recipe(folder))

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

    def parts(self, wanted: Collection[str] | None = None) -> Iterator[Shard]:
        """Shard by shard the rows of wanted faces, every byte checked; None wants all.

        Raises:
            CacheDamaged: a shard is not what was sealed.
        """
        recipe = self.recipe
        for entry in self.manifest().shards:
            if wanted is None or not entry.rows:
                yield self.read(entry)
            else:
                path = self.folder / entry.file
                yield read_faces(path, entry.sha256, recipe.fingerprint, wanted, recipe.store_dtype)

    def load(self, wanted: Collection[str] | None = None) -> FeatureMatrix:
        """Read the matrix into memory, every byte checked.

        Args:
            wanted: ids of the faces to read, those that are not here left out; None reads all.

        Raises:
            CacheDamaged: a shard is not what was sealed.
            CacheNotFound: the cache has no features yet.
        """
        manifest = self.manifest()
        if not manifest.num_faces:
            raise CacheNotFound(
                f"{self.folder} has no features yet. Run: fec extract --backbone "
                f"{self.recipe.backbone} --layer {self.recipe.layer}"
            )
        # Filled shard by shard: joining them at the end would need the memory twice.
        most = manifest.num_faces if wanted is None else min(manifest.num_faces, len(wanted))
        features = np.empty((most, self.recipe.width), self.recipe.store_dtype)
        face_ids: list[str] = []
        for shard in self.parts(wanted):
            if shard.face_ids:
                features[len(face_ids) : len(face_ids) + len(shard.face_ids)] = shard.features
                face_ids.extend(shard.face_ids)
        return FeatureMatrix(self.recipe, tuple(face_ids), features[: len(face_ids)])

    def seal(
        self,
        item: WorkItem,
        face_ids: Sequence[str],
        features: npt.NDArray[np.floating],
        failed: Sequence[FailedFace],
    ) -> None:
        """Add one finished piece of work.

        The shard comes first and the manifest last: a shard that the manifest does not name was
        never written. Faces that another run stored meanwhile are left as they are.

        Raises:
            StorageFailed: the disk would not take it; the cache stays as it was.
            CacheDamaged: another run's shard cannot be read, so that nobody knows its faces.
        """
        with self.locked():
            manifest = self.manifest()
            stored = self._stored(manifest)
            rows = [row for row, face_id in enumerate(face_ids) if face_id not in stored]
            fresh = [face_ids[row] for row in rows]
            reasons = {face.face_id: face for face in failed if face.face_id not in stored}
            shards = tuple(_told_anew(shard, reasons) for shard in manifest.shards)
            known = {face.face_id for face in manifest.failed}
            entry = self._write(manifest, item, fresh, features[rows])
            entry = replace(
                entry,
                failed=tuple(face for face in reasons.values() if face.face_id not in known),
                mended=tuple(face_id for face_id in fresh if face_id in known),
            )
            if entry.rows or entry.failed:
                shards = tuple(sorted((*shards, entry), key=lambda shard: shard.number))
            if shards != manifest.shards:
                write_manifest(self.folder, replace(manifest, shards=shards))

    def standing(self) -> tuple[frozenset[str], frozenset[str]]:
        """Ids of the faces with a feature, and of those that failed.

        Raises:
            CacheDamaged: a shard is not what was sealed.
        """
        manifest = self.manifest()
        return self._stored(manifest), frozenset(face.face_id for face in manifest.failed)

    def drop_damaged(self) -> tuple[frozenset[str], tuple[str, ...]]:
        """Check every shard, strike the damaged ones, and clear away what killed runs left.

        A manifest that is damaged, or gone, is made anew from the shards.

        Returns:
            Ids of all faces with a sound feature, and what was struck, in words.
        """
        with self.locked():
            manifest, told = sound_manifest(self.folder, self.recipe.fingerprint)
            problems = list(told)
            kept: list[ShardEntry] = []
            seen: set[str] = set()
            for entry in manifest.shards:
                try:
                    self._remember(entry)
                    if not seen.isdisjoint(self._known[entry.sha256]):
                        raise CacheDamaged(f"Shard {entry.file} repeats a face of another shard.")
                    seen |= self._known[entry.sha256]
                    kept.append(entry)
                except CacheDamaged as error:
                    problems.append(str(error))
            sound = replace(manifest, shards=tuple(kept))
            if problems:
                write_manifest(self.folder, sound)
            clear_away(self.folder, sound)
            return self._stored(sound), tuple(problems)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other writer out; not to be nested.

        Raises:
            StorageFailed: the folder cannot be written to.
        """
        lock = filelock.FileLock(self.folder / LOCK_NAME)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
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

    def _write(
        self,
        manifest: Manifest,
        item: WorkItem,
        face_ids: Sequence[str],
        features: npt.NDArray[np.floating],
    ) -> ShardEntry:
        if not len(face_ids):
            return ShardEntry("", 0, "", item.plan)
        file = f"{SHARDS_NAME}/{free_number(manifest):05d}.h5"
        sha256 = write_shard(self.folder / file, self.recipe.fingerprint, face_ids, features)
        self._known[sha256] = frozenset(face_ids)
        return ShardEntry(file, len(face_ids), sha256, item.plan)

    def _stored(self, manifest: Manifest) -> frozenset[str]:
        """Ids of all faces with a feature; only shards that were never seen here are read."""
        for entry in manifest.shards:
            if entry.sha256 not in self._known:
                self._remember(entry)
        return frozenset().union(*(self._known[entry.sha256] for entry in manifest.shards))

    def _remember(self, entry: ShardEntry) -> None:
        self._known[entry.sha256] = frozenset(self.read(entry).face_ids)


def free_number(manifest: Manifest) -> int:
    """The smallest number that no shard of a manifest has."""
    # A shard that is made anew takes the place of the struck one: no reader sees another order.
    taken = {shard.number for shard in manifest.shards}
    return next(number for number in itertools.count() if number not in taken)


def _told_anew(shard: ShardEntry, reasons: Mapping[str, FailedFace]) -> ShardEntry:
    return replace(shard, failed=tuple(reasons.get(f.face_id, f) for f in shard.failed))
