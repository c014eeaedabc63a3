"""Repairs a damaged cache as far as possible without computing features."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.folders import RECIPE_NAME
from fec_cache.cache.maintenance.verify import is_behind, verify_cache, verify_index
from fec_cache.cache.manifest import read_manifest
from fec_cache.cache.provenance import PROVENANCE_NAME
from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.cache.recipe_file import write_recipe
from fec_cache.cache.views import REJECTED_NAME, TABLE_NAME, write_views
from fec_cache.errors import BadOption, CacheDamaged
from fec_cache.faces.digests import INDEX_NAME, read_index, write_index
from fec_cache.system.atomic import remove_quietly


@dataclass(frozen=True)
class RepairReport:
    """What a repair did: messages on what was `dropped`, names of files `rebuilt` and `removed`."""

    folder: Path
    num_faces: int
    dropped: tuple[str, ...]
    rebuilt: tuple[str, ...]
    removed: tuple[str, ...]


def repair_cache(folder: Path) -> RepairReport:
    """Drop damaged shards and rebuild the metadata from intact ones.

    The next `fec extract` computes exactly the faces of the dropped shards.

    Raises:
        CacheDamaged: the recipe is damaged, and no other file holds it.
        StorageFailed: the folder cannot be written to.
    """
    # The recipe comes first: its fingerprint is needed to check manifest and shards.
    before = verify_cache(folder)
    rebuilt = [RECIPE_NAME] if any(p.file == RECIPE_NAME for p in before.problems) else []
    cache = _with_recipe(folder) if rebuilt else FeatureCache.open(folder)
    stored, dropped = cache.drop_damaged()
    after = verify_cache(folder)
    damaged = {problem.file for problem in after.problems}
    removed = [name for name in (PROVENANCE_NAME, REJECTED_NAME) if name in damaged]
    for name in removed:
        remove_quietly(folder / name)
    if damaged - set(removed) or REJECTED_NAME in removed or is_behind(cache.manifest()):
        write_views(cache)
        rebuilt += sorted((damaged - set(removed)) | ({TABLE_NAME} & _files(folder)))
    removed += [remark.file for remark in before.remarks if _was_removed(folder, remark.file)]
    return RepairReport(folder, len(stored), dropped, tuple(dict.fromkeys(rebuilt)), tuple(removed))


def repair_index(cache_dir: Path) -> bool:
    """Drop damaged lines from the index of image digests; True if there were any.

    Raises:
        CacheDamaged: the index is a folder.
        OSError: it cannot be written.
    """
    path = cache_dir / INDEX_NAME
    if not verify_index(cache_dir):
        return False
    try:
        write_index(path, read_index(path))
    except IsADirectoryError as error:
        raise CacheDamaged(
            f"{path} is a folder. Move it away: a file is expected there."
        ) from error
    return True


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _was_removed(folder: Path, file: str) -> bool:
    # One remark names two views, separated by a comma; those are rebuilt, not removed.
    return "," not in file and not (folder / file).exists()


def _with_recipe(folder: Path) -> FeatureCache:
    """The cache, after its recipe was restored from another file that holds it."""
    for source in _SOURCES:
        try:
            recipe = source(folder)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, BadOption, CacheDamaged):
            continue
        if recipe.folder_name != folder.name:
            continue
        with FeatureCache(folder, recipe).locked():
            write_recipe(folder, recipe)
        return FeatureCache.open(folder)
    raise CacheDamaged(
        f"{folder / RECIPE_NAME} is damaged, and no other file contains the recipe. Run the same "
        "`fec extract` that made it, which rewrites it without any loss; or delete the cache: "
        f"fec cache prune --whole {folder.name}"
    )


def _recipe_itself(folder: Path) -> FeatureRecipe:
    return FeatureRecipe.from_json((folder / RECIPE_NAME).read_text(encoding="utf-8"))


def _recipe_of_table(folder: Path) -> FeatureRecipe:
    """The recipe stored in `features.h5`, if that file matches the manifest's sha256."""
    content = (folder / TABLE_NAME).read_bytes()
    manifest = read_manifest(folder, None)
    if manifest.files.get(TABLE_NAME) != hashlib.sha256(content).hexdigest():
        raise ValueError("features.h5 is damaged")
    with h5py.File.in_memory(content) as file:
        recipe = FeatureRecipe.from_json(file.attrs["recipe"])
    if recipe.fingerprint != manifest.fingerprint:
        raise ValueError("features.h5 belongs to another recipe")
    return recipe


_SOURCES: tuple[Callable[[Path], FeatureRecipe], ...] = (_recipe_itself, _recipe_of_table)
