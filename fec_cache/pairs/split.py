"""`TripletTable` -> training and validation triplets that share no face."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fec_cache.errors import NothingToTrain
from fec_cache.pairs.build import TripletTable
from fec_cache.system.wording import counted

# If faces are split at random, few triplets stay whole: a share q of the faces keeps only q^3 of
# the triplets for validation and (1 - q)^3 for training. 1,000 validation triplets are enough to
# rank heads (standard error about 1.5 points) and leave most of a large set for training.
_ENOUGH_TRIPLETS = 1000


@dataclass(frozen=True)
class Split:
    """Triplets for training and for validation.

    Attributes:
        train, validation: the two sides; they share no face.
        method: `components` (whole parts of the set that share no face; nothing is dropped) or
            `faces` (faces are split, and triplets with faces on both sides are dropped).
        num_dropped: triplets that are on neither side.
    """

    train: TripletTable
    validation: TripletTable
    method: str
    num_dropped: int


def split_triplets(table: TripletTable, validation_share: float, seed: int) -> Split:
    """Split triplets so that no face is on both sides.

    Whole connected components of the graph of faces go to one side or the other if that comes
    close to the requested share. If it does not, faces are split at random and triplets that cross
    are dropped, unless a single larger component would leave more triplets for training.

    Args:
        table: T triplets.
        validation_share: requested share of the triplets, 0 < share < 1.
        seed: random seed; the same seed gives the same split.

    Raises:
        NothingToTrain: one of the sides would be empty.

    Source: docs/decisions/0004.
    """
    rng = np.random.default_rng(seed)
    wanted = validation_share * len(table)
    components = _component_of_triplet(table)
    # Splitting faces at random left a synthetic set of 3,200 triplets with hardly any on one of the
    # sides (docs/experiments.md, 2026-11-22), so whole components come first.
    chosen = _choose_components(components, wanted, rng)
    if chosen is not None:
        is_validation = np.isin(components, chosen)
        split = Split(table.take(~is_validation), table.take(is_validation), "components", 0)
    else:
        split = _split_faces(table, min(wanted, _ENOUGH_TRIPLETS), rng)
        split = _one_component_if_better(table, components, wanted, split)
    if not len(split.train) or not len(split.validation):
        raise NothingToTrain(
            f"{counted(len(table), 'usable triplet')} cannot be split into training and "
            "validation without sharing faces. Add triplets or change --validation-share."
        )
    return split


def _component_of_triplet(table: TripletTable) -> npt.NDArray[np.int64]:
    """Index of each triplet's connected component in the graph of faces: [T] int64."""
    if not len(table):
        return np.empty(0, np.int64)
    faces, compact = np.unique(table.rows, return_inverse=True)
    compact = compact.reshape(-1, 3)
    left = np.concatenate([compact[:, 0], compact[:, 1]])
    right = np.concatenate([compact[:, 1], compact[:, 2]])
    # tocsr adds up the values of repeated edges: bool cannot wrap around to zero as int8 would.
    graph = coo_array((np.ones(len(left), bool), (left, right)), (len(faces), len(faces)))
    labels = connected_components(graph.tocsr(), directed=False)[1]
    return np.asarray(labels[compact[:, 0]], np.int64)


def _choose_components(
    components: npt.NDArray[np.int64], wanted: float, rng: np.random.Generator
) -> npt.NDArray[np.int64] | None:
    """Components for validation that hold 0.5 to 1.5 times `wanted` triplets; None if none do.

    At least one triplet is left for training.
    """
    sizes = np.bincount(components) if len(components) else np.empty(0, np.int64)
    chosen: list[int] = []
    total = 0
    for component in rng.permutation(len(sizes)).tolist():
        if total >= wanted:
            break
        if total + sizes[component] <= min(1.5 * wanted, len(components) - 1):
            chosen.append(component)
            total += int(sizes[component])
    return np.array(chosen, np.int64) if total >= 0.5 * wanted and total > 0 else None


def _one_component_if_better(
    table: TripletTable, components: npt.NDArray[np.int64], wanted: float, other: Split
) -> Split:
    """The split by one component with more than `wanted` triplets, if it leaves training more."""
    sizes = np.bincount(components)
    large = np.flatnonzero((sizes >= wanted) & (sizes <= len(table) / 2))
    if not len(large):
        return other
    smallest = large[sizes[large].argmin()]
    if len(table) - sizes[smallest] <= len(other.train):
        return other
    is_validation = components == smallest
    return Split(table.take(~is_validation), table.take(is_validation), "components", 0)


def _split_faces(table: TripletTable, wanted: float, rng: np.random.Generator) -> Split:
    """Give validation the fewest faces, in random order, that keep `wanted` triplets whole."""
    faces, compact = np.unique(table.rows, return_inverse=True)
    rank = rng.permutation(len(faces))[compact.reshape(-1, 3)]
    # A triplet is whole in validation once the last of its faces is: at rank.max.
    last = np.sort(rank.max(axis=1))
    num_whole = min(len(last), max(1, round(wanted)))
    limit = last[num_whole - 1] if len(last) else 0
    is_validation = rank.max(axis=1) <= limit
    is_train = rank.min(axis=1) > limit
    dropped = int((~is_validation & ~is_train).sum())
    return Split(table.take(is_train), table.take(is_validation), "faces", dropped)
