"""Backbone and crop -> the recipe of each layer; picture -> features by recipes."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fec_cache.backbones.base import Backbone
from fec_cache.backbones.load import load_backbone
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


class RecipeNetworks:
    """The frozen networks of some caches' recipes, loaded once, for new faces.

    Recipes that differ in their layers only share one pass through the network. Threads may use
    the same object.
    """

    def __init__(
        self, recipes: Sequence[FeatureRecipe], weights: Sequence[str] = (), device: str = "auto"
    ) -> None:
        """Load each network.

        Args:
            recipes: of the caches, in the order of their parts.
            weights: weights files, for recipes whose weights are not found elsewhere. With several
                networks each takes the file that has its sha256.
            device: in torch's words, or `auto`.

        Raises:
            WeightsNotFound, WeightsMismatch: the weights of a recipe are not available.
        """
        self.recipes = tuple(recipes)
        passes: dict[FeatureRecipe, list[FeatureRecipe]] = {}
        for recipe in recipes:
            passes.setdefault(dataclasses.replace(recipe, layer="", shape=()), []).append(recipe)
        num_networks = len({recipe.weights for recipe in recipes})
        self._passes = [
            (_load(members, _weights_for(members[0], weights, num_networks == 1), device), members)
            for members in passes.values()
        ]

    def features(self, cropped: Callable[[CropConfig], Pictures]) -> npt.NDArray[np.floating]:
        """Features of new faces, made exactly as those in the caches.

        Args:
            cropped: gives n faces [S, S, 3] uint8, cut by a crop; the same n for each crop.

        Returns:
            [n, D] in the store's dtype, D over all recipes; not finite where the dtype cannot hold
            a feature.
        """
        parts: dict[FeatureRecipe, npt.NDArray[np.floating]] = {}
        for network, members in self._passes:
            outputs = network.features(np.stack(cropped(members[0].crop)))
            parts |= {recipe: to_store(outputs[recipe.layer], recipe) for recipe in members}
        return np.concatenate([parts[recipe] for recipe in self.recipes], axis=1)


def check_finite(features: npt.NDArray[np.floating], store_dtype: str) -> None:
    """Raise `BadImage` if any of the features [..., D] is not finite in the store's dtype."""
    if not np.isfinite(features).all():
        raise BadImage(
            f"The features of a picture are not finite in {store_dtype}. Use another picture, or a "
            "head trained on features of `fec extract --store-dtype float32`."
        )


def _load(recipes: Sequence[FeatureRecipe], weights: str | None, device: str) -> Network:
    """The network of recipes that share everything but their layers."""
    first = recipes[0]
    layers = tuple(recipe.layer for recipe in recipes)
    backbone = load_backbone(first.backbone, weights, layers, expected_identity=first.weights)
    return Network(backbone, choose_device(device), first.precision, flip=first.flip)


def _weights_for(recipe: FeatureRecipe, files: Sequence[str], is_only: bool) -> str | None:
    if is_only and files:
        return files[0]
    for file in files:
        if Path(file).is_file():
            digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
            if recipe.weights == f"sha256:{digest}":
                return file
    return ":".join(recipe.weights.split(":")[:2]) if recipe.has_random_weights else None
