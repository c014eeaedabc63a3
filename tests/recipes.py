"""Recipes of features that no backbone has to make."""

from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.faces.crop import CropConfig


def toy_recipe(width):
    """A recipe of features [N, width]."""
    return FeatureRecipe(
        backbone="toy",
        weights="sha256:" + "0" * 64,
        layer="avgpool",
        shape=(width,),
        crop=CropConfig(),
        mean=(0.5, 0.5, 0.5),
        std=(0.2, 0.2, 0.2),
    )
