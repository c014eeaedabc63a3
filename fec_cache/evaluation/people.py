"""Figures that show whether a head looks at the person instead of the expression."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fec_cache.evaluation.measures.bootstrap import FaceBootstrap, Interval
from fec_cache.evaluation.measures.metrics import pair_balanced_accuracy
from fec_cache.evaluation.measures.neighbours import Neighbours
from fec_cache.pairs.build import PAIRS_OF_TRIPLET, TripletTable, pairs_from_triplets

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RowLabels:
    """Labels by row of the feature matrix.

    `identity` and `expression` [N] int64 are indices of people and of `words`; -1 is unknown.
    """

    identity: Ints
    expression: Ints
    words: tuple[str, ...]

    @classmethod
    def of_rows(cls, num_rows: int, labels: Mapping[int, tuple[str, str]]) -> "RowLabels":
        """From the identity and expression word of each labelled row; an empty text is unknown."""
        names = sorted({identity for identity, _ in labels.values() if identity})
        words = sorted({word for _, word in labels.values() if word})
        identity = np.full(num_rows, -1, np.int64)
        expression = np.full(num_rows, -1, np.int64)
        of_name, of_word = ({n: i for i, n in enumerate(known)} for known in (names, words))
        for row, (name, word) in labels.items():
            identity[row] = of_name.get(name, -1)
            expression[row] = of_word.get(word, -1)
        return cls(identity, expression, tuple(words))

    def units(self, rows: Ints) -> Ints:
        """Units that a bootstrap resamples for rows [T, 3] int64: the person, else the face."""
        people = self.identity[rows]
        # Faces of unknown people are numbered after all known people.
        return np.where(people >= 0, people, rows + len(self.words) + self.identity.max() + 1)


@dataclass(frozen=True)
class IdentityGroup:
    """Triplet accuracy of triplets in which the same person occurs twice in one kind of pair."""

    name: str
    num_triplets: int
    accuracy: Interval


@dataclass(frozen=True)
class IdentityFigures:
    """How much a head depends on the identity of people.

    `groups` are triplets in which the raters' similar pair shows one person (identity helps), those
    in which a different pair does (identity misleads), and those of three people. `gap` is the
    accuracy of the first minus that of the second: 0 for a head that ignores identity.
    `same_person` and `different_person` are balanced accuracies of pairs.
    """

    groups: tuple[IdentityGroup, ...]
    gap: float
    num_same_person_pairs: int
    num_different_person_pairs: int
    same_person: float
    different_person: float
    neighbours: Neighbours | None = None
    words: tuple[str, ...] = ()


def identity_figures(
    table: TripletTable,
    credit: npt.NDArray[np.float64],
    says_similar: Bools,
    labels: RowLabels,
    bootstrap: FaceBootstrap,
) -> IdentityFigures:
    """Figures by identity on triplets whose three people are known.

    Args:
        table: T triplets.
        credit: [T] in [0, 1], as `triplet_credit` gives.
        says_similar: [3T] bool, the head's answers to the pairs, in triplet order.
        labels: labels of the feature matrix.
        bootstrap: over the same triplets.
    """
    people = labels.identity[table.rows]
    is_known = np.asarray((people >= 0).all(axis=1), np.bool_)
    same = np.stack([people[:, i] == people[:, j] for i, j in PAIRS_OF_TRIPLET], axis=1)
    masks = _kinds(table, is_known, same)
    intervals = bootstrap.means(credit, list(masks.values()))
    groups = tuple(
        IdentityGroup(name, int(mask.sum()), interval)
        for (name, mask), interval in zip(masks.items(), intervals, strict=True)
    )
    pairs = pairs_from_triplets(table).is_similar
    known, is_same = np.repeat(is_known, 3), same.reshape(-1)
    of_kind = [known & is_same, known & ~is_same]
    scores = [_balanced(says_similar[kind], pairs[kind]) for kind in of_kind]
    return IdentityFigures(
        groups=groups,
        gap=groups[0].accuracy.value - groups[1].accuracy.value,
        num_same_person_pairs=int(of_kind[0].sum()),
        num_different_person_pairs=int(of_kind[1].sum()),
        same_person=scores[0],
        different_person=scores[1],
    )


def _kinds(table: TripletTable, is_known: Bools, same: Bools) -> dict[str, Bools]:
    """Masks [T] of triplets by which of their pairs shows the same person, if exactly one does."""
    is_one_pair = is_known & (same.sum(axis=1) == 1)
    is_similar_pair = np.take_along_axis(same, table.odd[:, None], axis=1)[:, 0]
    return {
        "same person is the similar pair": is_one_pair & is_similar_pair,
        "same person is a different pair": is_one_pair & ~is_similar_pair,
        "three people": is_known & (same.sum(axis=1) == 0),
    }


def people_on_both_sides(
    test: Sequence[str | None], trained: Sequence[str | None]
) -> frozenset[str]:
    """Names that occur on both sides; unknown ones (None or empty) are ignored."""
    return frozenset(name for name in set(test) & set(trained) if name)


def _balanced(says_similar: Bools, is_similar: Bools) -> float:
    return pair_balanced_accuracy(says_similar, is_similar) if len(is_similar) else float("nan")
