"""Makes a damaged cache whole again, as far as that goes without computing anything."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.maintenance.verify import is_behind, verify_cache, verify_index
from fec_cache.cache.manifest import read_manifest
from fec_cache.cache.provenance import PROVENANCE_NAME
from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.cache.recipe_file import RECIPE_NAME, write_recipe
from fec_cache.cache.views import REJECTED_NAME, TABLE_NAME, write_views
from fec_cache.errors import BadOption, CacheDamaged
from fec_cache.faces.digests import INDEX_NAME, read_index, write_index
from fec_cache.system.atomic import remove_quietly


@dataclass(frozen=True)
class RepairReport:
    """What was done to a cache: `dropped` in words, `rebuilt` and `removed` as file names."""

    folder: Path
    num_faces: int
    dropped: tuple[str, ...]
    rebuilt: tuple[str, ...]
    removed: tuple[str, ...]


def repair_cache(folder: Path) -> RepairReport:
    """Drop exactly the shards that are damaged, and make anew what can be made from the rest.

    The next `fec extract` computes exactly the faces of the dropped shards.

    Raises:
        CacheDamaged: the recipe is damaged, and nothing else tells what it was.
        StorageFailed: the folder cannot be written to.
    """
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
    removed += [finding.file for finding in before.remarks if _was_removed(folder, finding.file)]
    return RepairReport(folder, len(stored), dropped, tuple(dict.fromkeys(rebuilt)), tuple(removed))


def repair_index(cache_dir: Path) -> bool:
    """Strike damaged lines from the index of image digests; whether there were any.

    Raises:
        OSError: it cannot be written.
    """
    path = cache_dir / INDEX_NAME
    if not verify_index(cache_dir):
        return False
    try:
        write_index(path, read_index(path))
    except IsADirectoryError as error:
        raise CacheDamaged(f"{path} is a folder. Move it away: a file belongs there.") from error
    return True


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _was_removed(folder: Path, file: str) -> bool:
    return "," not in file and not (folder / file).exists()


def _with_recipe(folder: Path) -> FeatureCache:
    """The cache with its recipe written anew from another file that holds it."""
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
        f"{folder / RECIPE_NAME} is damaged, and no other file tells what it was. Run the same "
        "`fec extract` that made it, which writes it again and loses nothing; or delete the cache: "
        f"fec cache prune --whole {folder.name}"
    )


def _recipe_itself(folder: Path) -> FeatureRecipe:
    return FeatureRecipe.from_json((folder / RECIPE_NAME).read_text(encoding="utf-8"))


def _recipe_of_table(folder: Path) -> FeatureRecipe:
    """The recipe that stands in `features.h5`, if the manifest vouches for that file."""
    content = (folder / TABLE_NAME).read_bytes()
    manifest = read_manifest(folder, None)
    if manifest.files.get(TABLE_NAME) != hashlib.sha256(content).hexdigest():
        raise ValueError("features.h5 is damaged")
    with h5py.File.in_memory(content) as file:
        recipe = FeatureRecipe.from_json(file.attrs["recipe"])
    if recipe.fingerprint != manifest.fingerprint:
        raise ValueError("features.h5 is of another recipe")
    return recipe


_SOURCES: tuple[Callable[[Path], FeatureRecipe], ...] = (_recipe_itself, _recipe_of_table)
