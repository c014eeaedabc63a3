"""`config.json` of a run: how a head was trained; checked field by field when it is read."""

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fec_cache.cache.recipe import FeatureRecipe, blocks_of, label_of
from fec_cache.errors import BadOption, HeadMismatch, MissingData
from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.config import PairConfig
from fec_cache.runs.files import CONFIG_NAME
from fec_cache.training.config import TrainConfig

FORMAT_VERSION = 2
_FIRST_VERSION = 1

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class RunConfig:
    """How a head was trained: enough to train it again and to refuse other features.

    `recipes` are those of the caches side by side, in order. `files` maps the names of the run's
    other files that belong to this configuration to their sha256.
    """

    recipes: tuple[FeatureRecipe, ...]
    head: HeadConfig
    train: TrainConfig
    pairs: PairConfig
    data: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def recipe(self) -> FeatureRecipe:
        """The first cache's recipe, whose crop is used to show faces."""
        return self.recipes[0]

    @property
    def features(self) -> str:
        """Backbones and layers as the command line names them."""
        return label_of(self.recipes)

    @property
    def width(self) -> int:
        """D: number of features per face in all caches together."""
        return sum(recipe.width for recipe in self.recipes)

    @property
    def is_original(self) -> bool:
        """Whether head and training are the original recipe's, with any seed and features."""
        head = dataclasses.replace(self.head, blocks=())
        return head == HeadConfig() and dataclasses.replace(self.train, seed=0) == TrainConfig()

    def to_json(self) -> str:
        """JSON text with a format version and the recipes' fingerprints."""
        fields = {
            "format_version": FORMAT_VERSION,
            "features": self.features,
            "fingerprints": [recipe.fingerprint for recipe in self.recipes],
            "recipes": [json.loads(recipe.canonical_json()) for recipe in self.recipes],
            "head": dataclasses.asdict(self.head),
            "train": dataclasses.asdict(self.train),
            "pairs": dataclasses.asdict(self.pairs),
            "data": dict(self.data),
            "files": dict(self.files),
        }
        return json.dumps(fields, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "RunConfig":
        """Read it back; configurations of version 1, with a single recipe, too.

        Raises:
            ValueError: the text is not a run's configuration.
        """
        fields = _mapping(json.loads(text), "the file")
        version = fields.get("format_version")
        if type(version) is not int or not _FIRST_VERSION <= version <= FORMAT_VERSION:
            raise ValueError(
                f"format_version is {version!r}, but {_FIRST_VERSION} to {FORMAT_VERSION} are known"
            )
        try:
            return cls(
                recipes=_recipes(fields, version),
                head=_record(HeadConfig, fields["head"]),
                train=_record(TrainConfig, fields["train"]),
                pairs=_record(PairConfig, fields["pairs"]),
                data=_mapping(fields["data"], "data"),
                files=_files(fields.get("files", {})),
            )._checked()
        except KeyError as error:
            raise ValueError(f"{error} is missing") from error
        except (BadOption, TypeError) as error:
            raise ValueError(str(error)) from error

    def _checked(self) -> "RunConfig":
        if self.head.blocks != blocks_of(self.recipes):
            raise ValueError(f"blocks {self.head.blocks} are not the widths of the recipes")
        return self


def load_config(folder: Path) -> RunConfig:
    """The configuration of a run.

    Raises:
        MissingData: the folder is not a run.
        HeadMismatch: its configuration cannot be read.
    """
    path = folder / CONFIG_NAME
    try:
        return RunConfig.from_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingData(
            f"{folder} is not a run: it has no {CONFIG_NAME}. Run: fec train-head"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise HeadMismatch(
            f"{path} cannot be read as a run's configuration ({error}). Train the head again."
        ) from error


def digest_of_bytes(content: bytes) -> str:
    """Sha256 in hex."""
    return hashlib.sha256(content).hexdigest()


def _recipes(fields: Mapping[str, Any], version: int) -> tuple[FeatureRecipe, ...]:
    if version == _FIRST_VERSION:
        listed, fingerprints = [fields["recipe"]], [fields["fingerprint"]]
    else:
        listed, fingerprints = fields["recipes"], fields["fingerprints"]
    if not isinstance(listed, list) or not listed:
        raise ValueError("recipes is not a list of recipes")
    recipes = tuple(FeatureRecipe.from_json(json.dumps(recipe)) for recipe in listed)
    if [recipe.fingerprint for recipe in recipes] != fingerprints:
        raise ValueError("a recipe does not match its fingerprint, so one of them was changed")
    return recipes


def _files(fields: object) -> dict[str, str]:
    return {str(name): str(value) for name, value in _mapping(fields, "files").items()}


def _mapping(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {type(value).__name__}, but it must be a JSON object")
    return value


def _record(kind: type[Kind], value: object) -> Kind:
    """A configuration from JSON, each field checked against its type."""
    fields = _mapping(value, kind.__name__)
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(fields) - set(hints))
    if unknown:
        raise ValueError(f"{kind.__name__} has no {', '.join(unknown)}")
    return kind(**{name: _typed(name, entry, hints[name]) for name, entry in fields.items()})


def _typed(name: str, value: object, hint: Any) -> object:
    """A JSON value as its field's type: lists become tuples, and 1 is a valid float."""
    if typing.get_origin(hint) is tuple and isinstance(value, list):
        inner = typing.get_args(hint)[0]
        return tuple(_typed(name, entry, inner) for entry in value)
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        kinds = typing.get_args(hint)
        if value is None and type(None) in kinds:
            return None
        return _typed(name, value, next(kind for kind in kinds if kind is not type(None)))
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise ValueError(
            f"{name} is {value!r}, which is not a valid {getattr(hint, '__name__', hint)}"
        )
    return value
