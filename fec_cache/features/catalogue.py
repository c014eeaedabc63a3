"""Which caches there are, and the one that is meant."""

from pathlib import Path

from fec_cache.errors import CacheMismatch, CacheNotFound
from fec_cache.features.cache import FeatureCache
from fec_cache.features.recipe_file import RECIPE_NAME


def list_caches(cache_dir: Path) -> tuple[FeatureCache, ...]:
    """Every cache in a cache folder, by name.

    Raises:
        CacheDamaged: one of them cannot be read.
    """
    folders = sorted(path.parent for path in cache_dir.glob(f"*/{RECIPE_NAME}"))
    return tuple(FeatureCache.open(folder) for folder in folders)


def select_cache(cache_dir: Path, wanted: str | None = None) -> FeatureCache:
    """The cache that is meant.

    Args:
        cache_dir: the folder that holds the caches.
        wanted: `BACKBONE`, `BACKBONE:LAYER`, a folder's name, or None for the only one there is.

    Raises:
        CacheNotFound: there is no cache at all.
        CacheMismatch: none or several answer to `wanted`.
    """
    caches = list_caches(cache_dir)
    if not caches:
        options = f" {_options(wanted)}" if wanted else ""
        raise CacheNotFound(f"{cache_dir} holds no features yet. Run: fec extract{options}")
    matching = [cache for cache in caches if wanted is None or _answers(cache, wanted)]
    if len(matching) == 1:
        return matching[0]
    listing = ", ".join(cache.folder.name for cache in caches)
    if not matching:
        raise CacheMismatch(
            f"{cache_dir} holds {listing}, but {wanted} was asked for. Run: fec extract "
            f"{_options(wanted or '')}"
        )
    names = ", ".join(cache.folder.name for cache in matching)
    raise CacheMismatch(
        f"{cache_dir} holds several caches that fit: {names}. Say which with --features NAME."
    )


def cache_of_fingerprint(cache_dir: Path, fingerprint: str) -> FeatureCache:
    """The cache of exactly one recipe.

    Raises:
        CacheMismatch: there is no such cache.
    """
    caches = list_caches(cache_dir)
    for cache in caches:
        if cache.recipe.fingerprint == fingerprint:
            return cache
    listing = ", ".join(cache.folder.name for cache in caches) or "nothing"
    raise CacheMismatch(
        f"The head was trained on features of recipe {fingerprint[:8]}, but {cache_dir} holds "
        f"{listing}. Name the cache folder it was trained on with --cache DIR, or train anew."
    )


def _answers(cache: FeatureCache, wanted: str) -> bool:
    recipe = cache.recipe
    names = (recipe.backbone, f"{recipe.backbone}:{recipe.layer}", cache.folder.name)
    return wanted in names


def _options(wanted: str) -> str:
    """`BACKBONE:LAYER` as options of `fec extract`; a backbone of timm has a colon of its own."""
    prefix = "timm:" if wanted.startswith("timm:") else ""
    backbone, _, layer = wanted.removeprefix(prefix).partition(":")
    return f"--backbone {prefix}{backbone}" + (f" --layer {layer}" if layer else "")
