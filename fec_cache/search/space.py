"""Options and their values -> the points of a search, each distinct head once."""

import dataclasses
import hashlib
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fec_cache.errors import BadOption
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.kinds import head_kinds, head_names, kind_of
from fec_cache.search.values import HEAD_FIELDS, Axis, listed
from fec_cache.system.checks import check_type
from fec_cache.training.config import TrainConfig

# The grid of a search without options: twelve points that take seconds each.
# Hidden units, dropout, weight decay and batch size are those of the embedding heads that gained
# 7 to 20 points over the original recipe on real faces (docs/experiments.md, 2026-11-23).
DEFAULT_GRID: Mapping[str, tuple[object, ...]] = {
    "head": tuple(kind.name for kind in head_kinds() if kind.in_default_grid),
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


@dataclass(frozen=True)
class Point:
    """One setting of a head and its training."""

    head: HeadConfig
    train: TrainConfig

    def on(self, blocks: tuple[int, ...]) -> "Point":
        """The same point on the concatenated features of several caches, by their widths."""
        return dataclasses.replace(self, head=dataclasses.replace(self.head, blocks=blocks))

    def settings(self) -> dict[str, object]:
        """All values, seed included, in JSON's own types, so that they survive the ledger."""
        values = {**dataclasses.asdict(self.head), **dataclasses.asdict(self.train)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    def canonical(self) -> "Point":
        """The same head in its canonical form: options without effect are at their defaults."""
        head, train = self.head, self.train
        fields = unread_defaults(head.head)
        if head.prepare is not None and {head.prepare} == _own_preparations(head):
            fields["prepare"] = None
        if head.has_random_start:
            fields |= {name: _default(name) for name in head.kind.start_reads}
        if not head.hidden:  # dropout follows hidden layers only
            fields["dropout"] = _default("dropout")
        if train.patience >= train.epochs:
            fields["patience"] = _default("patience")
        return self.replaced(fields)

    def unread(self) -> tuple[str, ...]:
        """Options that differ from their default although the head never reads them."""
        values = {**dataclasses.asdict(self.head), **dataclasses.asdict(self.train)}
        defaults = unread_defaults(self.head.head)
        return tuple(name for name, default in defaults.items() if values[name] != default)

    def replaced(self, values: Mapping[str, object]) -> "Point":
        """The point with other values of some options.

        Raises:
            BadOption: a value is not valid for its field.
        """
        head = {k: v for k, v in values.items() if k in HEAD_FIELDS}
        train = {k: v for k, v in values.items() if k not in HEAD_FIELDS}
        return Point(
            dataclasses.replace(self.head, **head),  # type: ignore[arg-type]
            dataclasses.replace(self.train, **train),  # type: ignore[arg-type]
        )

    @property
    def epochs(self) -> int:
        """Maximum number of epochs; a head in closed form counts as one."""
        return 1 if self.is_closed else self.train.epochs

    @property
    def is_closed(self) -> bool:
        """Whether the head is solved in closed form rather than trained by gradient steps."""
        return self.head.kind.is_closed_form

    def with_seed(self, seed: int) -> "Point":
        """The same setting with another seed."""
        return Point(self.head, dataclasses.replace(self.train, seed=seed))

    def settings_key(self) -> str:
        """Canonical JSON of everything but the seed; repeats of a setting share it."""
        plain = {n: v for n, v in self.canonical().settings().items() if n != "seed"}
        return json.dumps(plain, sort_keys=True)

    def key(self, scope: str) -> str:
        """Key of the point within a scope (features, triplets, split, code): 16 hex digits."""
        return key_of(scope, self.canonical().settings())


def key_of(scope: str, settings: Mapping[str, object]) -> str:
    """Key of canonical settings within a scope: 16 hex digits."""
    text = json.dumps([scope, settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def point_of(settings: Mapping[str, object]) -> Point:
    """The point of settings that were read from a ledger."""
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    return PLAIN.replaced(values)


PLAIN = Point(HeadConfig(), TrainConfig())


@dataclass(frozen=True)
class Space:
    """What a search may try: settings by their axes, each with every seed.

    `blocks` are the widths of several concatenated caches; see `HeadConfig`.
    """

    axes: tuple[Axis, ...]
    seeds: tuple[int, ...] = (TrainConfig.seed,)
    blocks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check that there is a seed."""
        if not self.seeds:
            raise BadOption("A search needs a seed.")

    @property
    def num_combinations(self) -> int:
        """Number of combinations in the grid, before duplicates of one head are merged."""
        count = 1
        for axis in self.axes:
            count *= len(axis.values)
        return count

    def settings(self) -> tuple[Point, ...]:
        """Every distinct setting of the grid, with the first seed; the last axis varies fastest.

        Raises:
            BadOption: a value is not valid for its field.
        """
        distinct: dict[str, Point] = {}
        for combination in itertools.product(*(axis.values for axis in self.axes)):
            point = self.point(dict(zip(self.names, combination, strict=True)))
            distinct.setdefault(point.settings_key(), point)
        return tuple(distinct.values())

    def unread(self) -> dict[str, tuple[str, ...]]:
        """Requested options by the heads that do not read them.

        Values that equal the default grid count as not requested.
        """
        values = {axis.name: axis.values for axis in self.axes}
        asked = {
            name
            for name, own in values.items()
            if own != tuple(DEFAULT_GRID.get(name, (_default(name),)))
        }
        heads = map(str, values.get("head", (HeadConfig.head,)))
        unread = {head: tuple(n for n in unread_options(head) if n in asked) for head in heads}
        return {head: names for head, names in unread.items() if names}

    def point(self, values: Mapping[str, object]) -> Point:
        """One setting with the first seed.

        Raises:
            BadOption: a value is not valid for its field.
        """
        # A value that is meant for one head must not be an error for another that ignores it.
        unread = unread_defaults(str(values.get("head", HeadConfig.head)))
        point = PLAIN.replaced({**values, "seed": self.seeds[0], **unread})
        return point.on(self.blocks).canonical()

    @property
    def names(self) -> tuple[str, ...]:
        """The axes' names."""
        return tuple(axis.name for axis in self.axes)

    def of_seeds(self, setting: Point) -> tuple[Point, ...]:
        """A setting with every seed; with one only if the head does not read it."""
        points = (setting.with_seed(seed).canonical() for seed in self.seeds)
        return tuple(dict.fromkeys(points))

    def points(self) -> tuple[Point, ...]:
        """Every point of the grid; the seeds of a setting are adjacent."""
        return tuple(point for s in self.settings() for point in self.of_seeds(s))


def space_of(values: Mapping[str, Sequence[object]]) -> Space:
    """A space of lists.

    Args:
        values: fields of `HeadConfig` or `TrainConfig` -> values to try; `seed` gives the seeds.

    Raises:
        BadOption: a field is unknown, or its values are not a list of at least one value.
    """
    check_type("settings", values, Mapping, 'fields with lists of values, as {"lr": [1e-3, 1e-2]}')
    values = {name: listed(name, given) for name, given in values.items()}
    axes = tuple(Axis(k, tuple(v)) for k, v in values.items() if k != "seed")
    seeds = values.get("seed", (TrainConfig.seed,))
    return Space(axes, tuple(seeds))  # type: ignore[arg-type]


def space_from(axes: Mapping[str, Axis], repeat_seeds: int | None = None) -> Space:
    """A space of axes by their names, `seed` among them.

    Args:
        axes: fields of `HeadConfig` or `TrainConfig`.
        repeat_seeds: number of seeds, counted up from the only one of the axis `seed`.

    Raises:
        BadOption: both a list of seeds and a number of them were given.
    """
    seeds = tuple(axes["seed"].values) if "seed" in axes else (TrainConfig.seed,)
    if repeat_seeds is not None and len(seeds) > 1:
        raise BadOption(
            "Both --seed with a list and --repeat-seeds were given. Use only one of them."
        )
    first = seeds[0]
    if repeat_seeds is not None and isinstance(first, int):
        seeds = tuple(range(first, first + repeat_seeds))
    others = tuple(axis for name, axis in axes.items() if name != "seed")
    return Space(others, seeds)  # type: ignore[arg-type]


def grid(values: Mapping[str, Sequence[object]]) -> tuple[Point, ...]:
    """Every distinct point of lists of values, each once.

    Raises:
        BadOption: a value is outside of what its field may be.
    """
    return space_of(values).points()


def unread_options(head: str) -> tuple[str, ...]:
    """Options that a head never reads: settings that differ in nothing else are one head.

    Args:
        head: a name; a head that is not known, as in an old ledger, counts as reading everything.
    """
    if head not in head_names():
        return ()
    kind = kind_of(head)
    names = tuple(f.name for f in dataclasses.fields(HeadConfig) if not kind.does_read(f.name))
    if kind.is_closed_form:
        return names + tuple(f.name for f in dataclasses.fields(TrainConfig))
    return names


def unread_defaults(head: str) -> dict[str, object]:
    """The default of every option that a head does not read."""
    return {name: _default(name) for name in unread_options(head)}


def _own_preparations(head: HeadConfig) -> set[str]:
    """What the head would choose by default, for narrow and for very wide features."""
    plain = dataclasses.replace(head, prepare=None)
    return {plain.preparation_for(width) for width in (1, sys.maxsize)}


def _default(name: str) -> object:
    return getattr(HeadConfig if name in HEAD_FIELDS else TrainConfig, name)
