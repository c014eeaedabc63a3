"""Backbone and crop -> the recipe of each layer; picture -> feature by a recipe."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fec_cache.config import CropConfig, FeatureRecipe
from fec_cache.errors import BadImage
from fec_cache.features.backbones import Backbone, load_backbone
from fec_cache.features.network import Network, choose_device


def recipes_of(backbone: Backbone, crop_margin: float, store_dtype: str) -> list[FeatureRecipe]:
    """The recipe of each layer that a backbone was loaded with."""
    crop = CropConfig(input_size=backbone.input_size, margin=crop_margin)
    return [
        FeatureRecipe(
            backbone=backbone.name,
            weights=backbone.weights.identity,
            layer=layer,
            shape=tuple(backbone.shapes[layer]),
            crop=crop,
            mean=backbone.mean,
            std=backbone.std,
            store_dtype=store_dtype,
        )
        for layer in backbone.layers
    ]


def to_store(features: npt.NDArray[np.floating], recipe: FeatureRecipe) -> npt.NDArray[np.floating]:
    """Features [n, D] in the store's dtype; what float16 cannot hold becomes infinite."""
    with np.errstate(over="ignore"):
        return features.astype(recipe.store_dtype)


def features_by_recipe(
    recipe: FeatureRecipe,
    pictures: Sequence[npt.NDArray[np.uint8]],
    weights: str | None = None,
    device: str = "auto",
) -> npt.NDArray[np.floating]:
    """Features of new pictures, made exactly as a cache's were.

    Args:
        recipe: of the cache.
        pictures: n crops [S, S, 3] uint8, cut by `recipe.crop`.
        weights: a weights file, if the recipe's are not where they are looked for.
        device: in torch's words, or `auto`.

    Returns:
        [n, D] in the store's dtype.

    Raises:
        WeightsNotFound, WeightsMismatch: the recipe's weights are not at hand.
        BadImage: a picture's feature is not finite in the store's dtype.
    """
    if weights is None and recipe.has_random_weights:
        weights = ":".join(recipe.weights.split(":")[:2])
    backbone = load_backbone(
        recipe.backbone, weights, (recipe.layer,), expected_identity=recipe.weights
    )
    network = Network(backbone, choose_device(device))
    features = to_store(network.features(np.stack(pictures))[recipe.layer], recipe)
    if not np.isfinite(features).all():
        raise BadImage(
            f"A picture's feature is not finite in {recipe.store_dtype}. Try another picture, or "
            "a head on features of `fec extract --store-dtype float32`."
        )
    return features
