"""`recipe.json`: the recipe of a cache folder, checked against the folder's name."""

import json
from pathlib import Path

from fec_cache.cache.folders import RECIPE_NAME
from fec_cache.cache.maintenance.rebuild import manifest_from_shards, shard_paths
from fec_cache.cache.manifest import read_manifest
from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.errors import BadOption, CacheDamaged, CacheNotFound
from fec_cache.system.atomic import write_atomically


def recipe_bytes(recipe: FeatureRecipe) -> bytes:
    """The bytes of a recipe's `recipe.json`: equal recipes give equal bytes."""
    text = json.dumps(json.loads(recipe.canonical_json()), indent=1, sort_keys=True)
    return (text + "\n").encode()


def write_recipe(folder: Path, recipe: FeatureRecipe) -> None:
    """Write `recipe.json`; the caller holds the cache's lock.

    Raises:
        StorageFailed: the folder cannot be written to.
    """
    write_atomically(folder / RECIPE_NAME, recipe_bytes(recipe))


def read_recipe(folder: Path) -> FeatureRecipe:
    """The recipe of a cache folder.

    Raises:
        CacheNotFound: there is no recipe in that folder.
        CacheDamaged: it cannot be read, or was edited after the folder was named.
    """
    path = folder / RECIPE_NAME
    try:
        recipe = FeatureRecipe.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CacheNotFound(
            f"{folder} is not a feature cache: it has no {RECIPE_NAME}. Run: fec extract"
        ) from error
    except OSError as error:
        raise CacheDamaged(
            f"{path} cannot be read: {error.strerror or error}. Check its permissions and the disk."
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, BadOption) as error:
        raise CacheDamaged(
            f"{path} cannot be read as a recipe ({error}). Run: fec cache repair {folder.name}"
        ) from error
    if not folder.name.endswith(recipe.fingerprint[:8]):
        raise CacheDamaged(
            f"{path} describes recipe {recipe.fingerprint[:8]}, but its folder is named "
            f"{folder.name}: one of them was changed, so its features cannot be trusted. Run: "
            f"fec cache repair {folder.name}"
        )
    return recipe


def belongs_to(folder: Path, recipe: FeatureRecipe) -> bool:
    """Whether a folder with a damaged `recipe.json` holds features of this recipe.

    The folder's name has only 8 digits of the fingerprint; manifest and shards have all 64.
    """
    if folder.name != recipe.folder_name:
        return False
    try:
        return bool(read_manifest(folder, recipe.fingerprint).shards) or not shard_paths(folder)
    except CacheDamaged:
        return bool(manifest_from_shards(folder, recipe.fingerprint)[0].shards)
