"""Backbone and crop -> the recipe of each layer; picture -> features by recipes."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fec_cache.backbones.load import Backbone, load_backbone
from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.errors import BadImage
from fec_cache.faces.crop import CropConfig
from fec_cache.inference.network import Network, choose_device

Pictures = Sequence[npt.NDArray[np.uint8]]


def recipes_of(
    backbone: Backbone,
    crop_margin: float,
    store_dtype: str,
    precision: str = "fp32",
    flips: Sequence[bool] = (False,),
    decode: str = CropConfig.decode,
) -> list[FeatureRecipe]:
    """The recipes of all layers that a backbone was loaded with, for each value of `flips`."""
    crop = CropConfig(input_size=backbone.input_size, margin=crop_margin, decode=decode)
    return [
        FeatureRecipe(
            backbone=backbone.name,
            weights=backbone.weights.identity,
            layer=layer,
            shape=tuple(backbone.shapes[layer]),
            crop=crop,
            mean=backbone.mean,
            std=backbone.std,
            precision=precision,
            flip=flip,
            store_dtype=store_dtype,
        )
        for flip in flips
        for layer in backbone.layers
    ]


def to_store(features: npt.NDArray[np.floating], recipe: FeatureRecipe) -> npt.NDArray[np.floating]:
    """Features [n, D] in the recipe's dtype; values beyond float16 become infinite."""
    # No warning: callers count infinite features as failures.
    with np.errstate(over="ignore"):
        return features.astype(recipe.store_dtype)


def features_by_recipes(
    recipes: Sequence[FeatureRecipe],
    cropped: Callable[[CropConfig], Pictures],
    weights: Sequence[str] = (),
    device: str = "auto",
) -> npt.NDArray[np.floating]:
    """Features of new pictures, made exactly as those of the caches, side by side.

    Recipes that differ only in their layer share one pass through the backbone.

    Args:
        recipes: of the caches, in the order of their parts.
        cropped: returns n pictures [S, S, 3] uint8 for a crop; n is the same for every crop.
        weights: weights files, for weights that are not in the usual places. With several
            backbones, each uses the file whose sha256 is in its recipe.
        device: a torch device name, or `auto`.

    Returns:
        [n, D] in the recipes' dtype, D summed over all recipes.

    Raises:
        WeightsNotFound, WeightsMismatch: the weights of a recipe cannot be found.
        BadImage: a picture's feature is not finite in the recipe's dtype.
    """
    passes: dict[FeatureRecipe, list[FeatureRecipe]] = {}
    for recipe in recipes:
        passes.setdefault(dataclasses.replace(recipe, layer="", shape=()), []).append(recipe)
    num_networks = len({recipe.weights for recipe in recipes})
    parts: dict[FeatureRecipe, npt.NDArray[np.floating]] = {}
    for members in passes.values():
        file = _weights_for(members[0], weights, is_only=num_networks == 1)
        parts.update(_one_pass(members, cropped(members[0].crop), file, device))
    return np.concatenate([parts[recipe] for recipe in recipes], axis=1)


def _one_pass(
    recipes: Sequence[FeatureRecipe], pictures: Pictures, weights: str | None, device: str
) -> dict[FeatureRecipe, npt.NDArray[np.floating]]:
    """Features by recipes that differ only in their layer."""
    first = recipes[0]
    layers = tuple(recipe.layer for recipe in recipes)
    backbone = load_backbone(first.backbone, weights, layers, expected_identity=first.weights)
    network = Network(backbone, choose_device(device), first.precision, flip=first.flip)
    outputs = network.features(np.stack(pictures))
    features = {recipe: to_store(outputs[recipe.layer], recipe) for recipe in recipes}
    for recipe, values in features.items():
        if not np.isfinite(values).all():
            raise BadImage(
                f"A picture's feature is not finite in {recipe.store_dtype}. Try another picture, "
                "or a head trained on features of `fec extract --store-dtype float32`."
            )
    return features


def _weights_for(recipe: FeatureRecipe, files: Sequence[str], is_only: bool) -> str | None:
    if is_only and files:
        return files[0]
    for file in files:
        if Path(file).is_file():
            digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
            if recipe.weights == f"sha256:{digest}":
                return file
    return ":".join(recipe.weights.split(":")[:2]) if recipe.has_random_weights else None
