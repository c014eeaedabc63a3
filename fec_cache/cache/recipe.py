"""`FeatureRecipe`: everything that changes a feature, and so the name of a cache."""

import dataclasses
import hashlib
import json
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fec_cache.faces.crop import CropConfig, plain_number
from fec_cache.inference.config import PRECISIONS
from fec_cache.system.checks import check_choice

RECIPE_VERSION = 2
STORE_DTYPES = ("float16", "float32")


# Not in the recipe: folding, fusing, Winograd's algorithm, compiling, batch size, threads, library
# versions. They change features by rounding (cosine 0.9999999 in fp32), and a repair on a machine
# without a compiler must not begin a new cache. Runs record them as provenance (decision 9).
@dataclass(frozen=True)
class FeatureRecipe:
    """Everything that changes a feature, and nothing else; docs/cache-format.md lists the fields.

    `weights` is `sha256:<hex of the weights file>` or `random:<seed>:<digest of the tensors>`.
    `width` is D, the length of one feature vector; `shape` is its shape before
    flattening. With `flip`, a feature is the mean of the face's and the mirrored face's. Caches of
    `version` 1 can be read but not created.
    """

    backbone: str
    weights: str
    layer: str
    shape: tuple[int, ...]
    crop: CropConfig
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    precision: str = "fp32"
    flip: bool = False
    store_dtype: str = "float16"
    version: int = RECIPE_VERSION

    def __post_init__(self) -> None:
        """Check every field that a user can set."""
        check_choice("store dtype", self.store_dtype, STORE_DTYPES)
        check_choice("precision", self.precision, PRECISIONS)
        # NumPy scalars, integers and -0.0 would give equal recipes different JSON.
        object.__setattr__(self, "shape", tuple(map(operator.index, self.shape)))
        object.__setattr__(self, "mean", tuple(map(plain_number, self.mean)))
        object.__setattr__(self, "std", tuple(map(plain_number, self.std)))

    @property
    def width(self) -> int:
        """D, the length of one feature vector."""
        return math.prod(self.shape)

    @property
    def has_random_weights(self) -> bool:
        """Whether the backbone is untrained, so that results mean little."""
        return self.weights.startswith("random:")

    @property
    def weights_label(self) -> str:
        """The weights in short, for tables: `random:0` or `sha256:f37072fd`."""
        return ":".join(self.weights.split(":")[:2])[:15]

    @property
    def label(self) -> str:
        """Backbone and layer as the command line names them; random weights are marked."""
        plain = f"{self.backbone}:{self.layer}{' mirrored' * self.flip}"
        return f"{plain} ({self.weights_label} weights)" if self.has_random_weights else plain

    def canonical_json(self) -> str:
        """The recipe as JSON with sorted keys and no spaces: equal recipes give equal text."""
        fields = dataclasses.asdict(self)
        if self.version == 1:
            # Version 1 had no such field: with it, old caches would get another fingerprint.
            del fields["crop"]["decode"]
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))

    @property
    def fingerprint(self) -> str:
        """Sha256 of the canonical JSON, 64 hex digits."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()

    @property
    def folder_name(self) -> str:
        """Name of the cache folder, e.g. `resnet18-avgpool-3f9c2a71`."""
        words = f"{self.backbone}-{self.layer}".replace(":", "-").replace("/", "-")
        return f"{words}-{self.fingerprint[:8]}"

    def differences(self, other: "FeatureRecipe") -> list[str]:
        """A phrase for each field that differs, with both values."""
        mine, theirs = _flat(dataclasses.asdict(self)), _flat(dataclasses.asdict(other))
        return [f"{k}: {mine[k]} here, {theirs[k]} there" for k in mine if mine[k] != theirs[k]]

    @classmethod
    def from_json(cls, text: str) -> "FeatureRecipe":
        """Parse a recipe.

        Raises:
            ValueError, TypeError, KeyError, BadOption: the text is not a recipe of a known version.
        """
        fields = json.loads(text)
        if fields["version"] not in (1, RECIPE_VERSION):
            raise ValueError(
                f"version {fields['version']}, but this release reads 1 and {RECIPE_VERSION}"
            )
        old = {"decode": "full"} if fields["version"] == 1 else {}
        fields["crop"] = CropConfig(**fields["crop"] | old)
        return cls(**fields)


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a recipe; those of its crop are named like `crop.margin`."""
    crop = {f"crop.{name}": value for name, value in fields["crop"].items()}
    return {name: value for name, value in fields.items() if name != "crop"} | crop


def random_weights_notes(recipes: Sequence[FeatureRecipe]) -> tuple[str, ...]:
    """A warning for each backbone that was never trained."""
    named = {(r.backbone, r.weights_label): None for r in recipes if r.has_random_weights}
    return tuple(
        f"{backbone} has {weights} weights: it was never trained, and figures on its features say "
        "little."
        for backbone, weights in named
    )


def blocks_of(recipes: Sequence[FeatureRecipe]) -> tuple[int, ...]:
    """Widths of the parts of a joined feature; empty for a single recipe."""
    return tuple(recipe.width for recipe in recipes) if len(recipes) > 1 else ()


def label_of(recipes: Sequence[FeatureRecipe]) -> str:
    """Backbones and layers as the command line names them; random weights are marked."""
    return " + ".join(recipe.label for recipe in recipes)
