"""Lists of values -> the points of a grid."""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fec_cache.config import HeadConfig, TrainConfig

# What a search without options tries: twelve points that take seconds each.
DEFAULT_GRID: Mapping[str, tuple[object, ...]] = {
    "head": ("concat", "symmetric", "embedding"),
    "hidden": ((128,),),
    "dropout": (0.5,),
    "embedding_dim": (16,),
    "prepare": (None,),
    "lr": (3e-4, 1e-3),
    "epochs": (20,),
    "batch_size": (128,),
    "loss": ("bce", "triplet"),
    "optimizer": ("adamw",),
    "weight_decay": (0.1,),
    "patience": (0,),
    "seed": (0,),
}

_HEAD_FIELDS = {field.name for field in dataclasses.fields(HeadConfig)}


@dataclass(frozen=True)
class Point:
    """One setting of a head and its training."""

    head: HeadConfig
    train: TrainConfig

    def on(self, blocks: tuple[int, ...]) -> "Point":
        """The same point on features of several caches side by side, by their widths."""
        return dataclasses.replace(self, head=dataclasses.replace(self.head, blocks=blocks))

    def settings(self) -> dict[str, object]:
        """All values, seed included, in JSON's own types: a ledger gives back what it was told."""
        values = {**dataclasses.asdict(self.head), **dataclasses.asdict(self.train)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    def settings_key(self) -> str:
        """One spelling of everything but the seed: points that repeat each other share it."""
        plain = {name: value for name, value in self.settings().items() if name != "seed"}
        return json.dumps(plain, sort_keys=True)

    def key(self, scope: str) -> str:
        """Name of the point within a scope (features, triplets and split): 16 hex digits."""
        text = json.dumps([scope, self.settings()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def grid(values: Mapping[str, Sequence[object]]) -> tuple[Point, ...]:
    """Every combination of the values, each once; the last name varies fastest.

    Args:
        values: fields of `HeadConfig` or `TrainConfig` -> the values to try.

    Raises:
        BadOption: a value is outside of what its field may be.
    """
    names = list(values)
    points: dict[Point, None] = {}
    for combination in itertools.product(*values.values()):
        setting = dict(zip(names, combination, strict=True))
        head = {k: v for k, v in setting.items() if k in _HEAD_FIELDS}
        train = {k: v for k, v in setting.items() if k not in _HEAD_FIELDS}
        points[Point(HeadConfig(**head), TrainConfig(**train))] = None  # type: ignore[arg-type]
    return tuple(points)
