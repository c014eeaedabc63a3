"""What can be set, with its defaults and limits: written here once and read everywhere.

Everything that changes a feature stands in `FeatureRecipe`; everything that changes a trained
head stands in `HeadConfig` and `TrainConfig`.
"""

import dataclasses
import hashlib
import json
import math
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fec_cache.errors import BadOption

WIDEST_SCATTER, SCATTER_DIRECTIONS = 1024, 512
MOST_COMPONENTS = 512
RECIPE_VERSION = 2
PRECISIONS, DECODERS = ("fp32", "bf16", "fp16"), ("scaled", "full", "gpu")
STORE_DTYPES = ("float16", "float32")
HEADS = ("concat", "symmetric", "embedding", "scatter")
INITS = ("random", "scatter")
LOSSES = ("bce", "triplet", "odd-one-out", "contrastive")
OPTIMIZERS = ("adam", "adamw", "sgd")
PREPARATIONS = ("none", "l2", "standardize", "pca:K", "whiten:K")


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise `BadOption` unless `value` is one of `allowed`."""
    if value not in allowed:
        raise BadOption(f"{name} is {value!r}, but it must be one of: {', '.join(allowed)}.")


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise `BadOption` unless `value` is finite and low <= value <= high."""
    if not (math.isfinite(value) and low <= value <= high):
        wanted = "at least {:.12g}" if math.isinf(high) else "between {:.12g} and {:.12g}"
        raise BadOption(f"{name} is {value:.12g}, but it must be {wanted.format(low, high)}.")


def split_preparation(words: str) -> tuple[str, int | None]:
    """`pca:128` -> ("pca", 128), `l2` -> ("l2", None).

    Raises:
        BadOption: not one of `PREPARATIONS`.
    """
    kind, colon, number = words.partition(":")
    if colon and f"{kind}:K" in PREPARATIONS and re.fullmatch("[1-9][0-9]{0,8}", number):
        return kind, int(number)
    check_choice("prepare", words, PREPARATIONS)
    if words.endswith(":K"):
        raise BadOption(f"prepare is {words!r}: K stands for a number, as in {kind}:128.")
    return words, None


@dataclass(frozen=True)
class CropConfig:
    """How a box becomes the square picture that the backbone sees.

    The box is grown to a square around its centre, with `margin` of the longer side added on each
    side, and resized to `input_size` pixels with antialiasing; beyond the image its edge pixels are
    repeated. With `decode` "scaled" a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where the
    square keeps 1.25 `input_size` pixels or more, with "full" whole, with "gpu" too, by nvJPEG.
    """

    input_size: int = 224
    margin: float = 0.1
    pad: str = "edge"
    resize: str = "bilinear-antialias"
    colour: str = "RGB"
    decode: str = "scaled"

    def __post_init__(self) -> None:
        """Check every field."""
        check_range("input size", self.input_size, 1, 4096)
        check_range("crop margin", self.margin, 0.0, 2.0)
        check_choice("pad", self.pad, ("edge",))
        check_choice("resize", self.resize, ("bilinear-antialias",))
        check_choice("colour order", self.colour, ("RGB",))
        check_choice("decode", self.decode, DECODERS)
        # 0 and 0.0 are one margin and must have one spelling, or one recipe had two fingerprints.
        object.__setattr__(self, "input_size", operator.index(self.input_size))
        object.__setattr__(self, "margin", _number(self.margin))


@dataclass(frozen=True)
class FeatureRecipe:
    """Everything that changes a feature, and nothing else.

    `weights` is `sha256:<hex of the weights file>` or `random:<seed>:<digest of the tensors>`.
    `width` is D, the length of one feature vector; `shape` is the vector unflattened. With `flip`
    it is the mean with the mirrored face's. Caches of `version` 1 can be read, but not be made.
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
        object.__setattr__(self, "shape", tuple(map(operator.index, self.shape)))
        object.__setattr__(self, "mean", tuple(map(_number, self.mean)))
        object.__setattr__(self, "std", tuple(map(_number, self.std)))

    @property
    def width(self) -> int:
        """D: how many numbers one face has."""
        return math.prod(self.shape)

    @property
    def has_random_weights(self) -> bool:
        """Whether the backbone was never trained, so that figures mean little."""
        return self.weights.startswith("random:")

    @property
    def weights_label(self) -> str:
        """The weights in few letters, for tables: `random:0` or `sha256:f37072fd`."""
        return ":".join(self.weights.split(":")[:2])[:15]

    @property
    def label(self) -> str:
        """Backbone and layer in the words of the command line, random weights named."""
        plain = f"{self.backbone}:{self.layer}{' mirrored' * self.flip}"
        return f"{plain} ({self.weights_label} weights)" if self.has_random_weights else plain

    def canonical_json(self) -> str:
        """The recipe as JSON with sorted keys and no spaces, one spelling for one recipe."""
        fields = dataclasses.asdict(self)
        if self.version == 1:
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
        """Each field that differs, with both values, in words."""
        mine, theirs = _flat(dataclasses.asdict(self)), _flat(dataclasses.asdict(other))
        return [f"{k}: {mine[k]} here, {theirs[k]} there" for k in mine if mine[k] != theirs[k]]

    @classmethod
    def from_json(cls, text: str) -> "FeatureRecipe":
        """Read a recipe back.

        Raises:
            ValueError, TypeError, KeyError, BadOption: the text is not a recipe of this version.
        """
        fields = json.loads(text)
        if fields["version"] not in (1, RECIPE_VERSION):
            raise ValueError(f"version {fields['version']}, but {RECIPE_VERSION} is known here")
        old = {"decode": "full"} if fields["version"] == 1 else {}
        fields["crop"] = CropConfig(**fields["crop"] | old)
        return cls(**fields)


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a recipe, those of its crop named `crop.margin`."""
    crop = {f"crop.{name}": value for name, value in fields["crop"].items()}
    return {name: value for name, value in fields.items() if name != "crop"} | crop


def _number(value: float) -> float:
    return float(value) + 0.0  # -0.0 becomes 0.0


@dataclass(frozen=True)
class HeadConfig:
    """The shape of a pair classifier. The defaults are the original recipe.

    `prepare` is what happens to features before the first layer: `none`, `l2` (unit length),
    `standardize` (mean 0 and variance 1 per feature), `pca:K` (then the K directions of largest
    variance) or `whiten:K` (with variance 1 in each), all fitted on training faces and then brought
    to one length. None means: the head's own default. `blocks` are the widths of several caches'
    features side by side, empty for one cache: each block gets the same share of that length, so
    that a wide grid does not drown a pool.

    `init` is where the `embedding` head starts: `random`, or `scatter` for the first
    `embedding_dim` directions of the `scatter` head. `both_orders` makes `concat` symmetric: it is
    trained on both orders of each pair and answers the mean of both. `shrinkage` and `components`
    are the `scatter` head's; None means: chosen by validation triplet accuracy.
    """

    head: str = "concat"
    hidden: tuple[int, ...] = (256,)
    dropout: float = 0.0
    embedding_dim: int = 16
    prepare: str | None = None
    blocks: tuple[int, ...] = ()
    init: str = "random"
    both_orders: bool = False
    shrinkage: float | None = None
    components: int | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        check_choice("head", self.head, HEADS)
        check_choice("init", self.init, INITS)
        if self.shrinkage is not None:
            check_range("shrinkage", self.shrinkage, 0.0, 1.0)
        if self.components is not None:
            check_range("components", self.components, 1, MOST_COMPONENTS)
        for width in self.blocks:
            check_range("block", width, 1, math.inf)
        for width in self.hidden:
            check_range("hidden", width, 1, 65536)
        check_range("dropout", self.dropout, 0.0, 0.95)
        check_range("embedding dim", self.embedding_dim, 1, 4096)
        if self.prepare is not None:
            split_preparation(self.prepare)
        self._check_start()

    def preparation_for(self, width: int) -> str:
        """The preparation in force for D = `width`: what was asked for, or the head's default."""
        if self.prepare is not None:
            return self.prepare
        if self.head == "concat" and not self.blocks:
            return "none"
        is_closed = self.head == "scatter" or self.init == "scatter"
        # Scatters of many features are slow to decompose and badly known.
        wide = is_closed and width > WIDEST_SCATTER
        return f"pca:{SCATTER_DIRECTIONS}" if wide else "standardize"

    def _check_start(self) -> None:
        if self.init == "scatter":
            if self.head != "embedding":
                raise BadOption(
                    f"init scatter is where the embedding head can start, not {self.head}. Add "
                    "--head embedding."
                )
            if self.hidden and min(self.hidden) < 2 * self.embedding_dim:
                raise BadOption(
                    f"hidden is {'-'.join(map(str, self.hidden))}, but to start from scatter every "
                    f"hidden layer must hold twice the embedding's {self.embedding_dim} numbers: "
                    f"at least {2 * self.embedding_dim}. Widen it, or take --hidden none."
                )


@dataclass(frozen=True)
class TrainConfig:
    """How a head is trained. The defaults are the original recipe.

    `patience` stops after so many epochs without a better validation triplet accuracy; 0 never
    stops early. The best epoch is kept in either case.
    """

    lr: float = 1e-3
    epochs: int = 20
    batch_size: int = 32
    loss: str = "bce"
    optimizer: str = "adam"
    weight_decay: float = 0.0
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every field."""
        check_range("lr", self.lr, 1e-12, 1e3)
        check_range("epochs", self.epochs, 1, 100_000)
        check_range("batch size", self.batch_size, 1, 10_000_000)
        check_choice("loss", self.loss, LOSSES)
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_range("weight decay", self.weight_decay, 0.0, 1e3)
        check_range("patience", self.patience, 0, math.inf)
        check_range("seed", self.seed, 0, 2**63 - 1)


@dataclass(frozen=True)
class PairConfig:
    """Which triplets count, and how train.csv is parted into training and validation."""

    min_agreement: float = 0.0
    validation_share: float = 0.1
    split_seed: int = 0

    def __post_init__(self) -> None:
        """Check every field."""
        check_range("min agreement", self.min_agreement, 0.0, 1.0)
        check_range("validation share", self.validation_share, 0.01, 0.9)
        check_range("split seed", self.split_seed, 0, 2**63 - 1)
