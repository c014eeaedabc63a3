"""Whether a head looks at the person instead of the expression, where people are known."""

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

    `identity` and `expression` [N] int64 are numbers of people and of `words`; -1 is unknown.
    """

    identity: Ints
    expression: Ints
    words: tuple[str, ...]

    @classmethod
    def of_rows(cls, num_rows: int, labels: Mapping[int, tuple[str, str]]) -> "RowLabels":
        """From identity and expression word of each labelled row; an empty word is unknown."""
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
        """What a bootstrap redraws for rows [T, 3]: the person, or the face of nobody known."""
        people = self.identity[rows]
        return np.where(people >= 0, people, rows + len(self.words) + self.identity.max() + 1)


@dataclass(frozen=True)
class IdentityGroup:
    """Triplet accuracy of triplets of one kind, by where the same person stands twice."""

    name: str
    num_triplets: int
    accuracy: Interval


@dataclass(frozen=True)
class IdentityFigures:
    """How much a head leans on who the people are.

    `groups` are triplets in which the raters' similar pair shows one person (looking at the person
    helps), those in which another pair does (it misleads), and those of three people. `gap` is the
    accuracy of the first less that of the second: 0 for a head that does not see the person.
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
        credit: [T], how right each is.
        says_similar: [3T], what the head says of the pairs, in triplet order.
        labels: of the feature matrix' rows.
        bootstrap: over the same triplets.
    """
    people = labels.identity[table.rows]
    is_known = np.asarray((people >= 0).all(axis=1), np.bool_)
    same = np.stack([people[:, i] == people[:, j] for i, j in PAIRS_OF_TRIPLET], axis=1)
    masks = _kinds(table, is_known, same)
    found = bootstrap.means(credit, list(masks.values()))
    groups = tuple(
        IdentityGroup(name, int(mask.sum()), interval)
        for (name, mask), interval in zip(masks.items(), found, strict=True)
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
    """Masks of triplets by the place of their one pair that shows the same person."""
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
    """Names that stand on both sides; unknown ones (None or empty) say nothing."""
    return frozenset(name for name in set(test) & set(trained) if name)


def _balanced(says_similar: Bools, is_similar: Bools) -> float:
    return pair_balanced_accuracy(says_similar, is_similar) if len(is_similar) else float("nan")
