"""Which folders are caches, by the names of their files; nothing is opened, no library loaded."""

from pathlib import Path

from fec_cache.backbones.registry import split_layer
from fec_cache.errors import CacheNotFound
from fec_cache.system.atomic import TEMPORARY_PREFIX

RECIPE_NAME = "recipe.json"
MANIFEST_NAME = "manifest.json"
SHARDS_NAME = "shards"


def cache_folders(cache_dir: Path) -> tuple[Path, ...]:
    """Every cache folder, sorted by name; includes damaged caches.

    Any one of recipe, manifest and shards makes a folder a cache, so that damage hides none.
    """
    names = (RECIPE_NAME, MANIFEST_NAME, SHARDS_NAME)
    folders = {path.parent for name in names for path in cache_dir.glob(f"*/{name}")}
    return tuple(sorted(path for path in folders if not path.name.startswith(TEMPORARY_PREFIX)))


def some_cache_folders(cache_dir: Path, wanted: str | None = None) -> tuple[Path, ...]:
    """The same, and at least one.

    Args:
        cache_dir: the folder that holds the caches.
        wanted: `BACKBONE` or `BACKBONE:LAYER` that was asked for, for the error message.

    Raises:
        CacheNotFound: there is no cache at all.
    """
    folders = cache_folders(cache_dir)
    if not folders:
        raise no_features(cache_dir, wanted)
    return folders


def no_features(cache_dir: Path, wanted: str | None = None) -> CacheNotFound:
    """The error for a folder without caches, with the command that makes the wanted one."""
    options = f" {extract_options(wanted)}" if wanted else ""
    return CacheNotFound(f"{cache_dir} contains no features yet. Run: fec extract{options}")


def extract_options(wanted: str) -> str:
    """`BACKBONE:LAYER` as options of `fec extract`."""
    backbone, layer = split_layer(wanted)
    return f"--backbone {backbone}" + (f" --layer {layer}" if layer else "")
