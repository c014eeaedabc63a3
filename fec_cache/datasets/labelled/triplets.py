"""Labels -> triplets: two faces of one expression from two people, and one of another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fec_cache.datasets.labelled.read import LabelledFace

# Rejection sampling: a draw fails if both similar faces show one person or if the triplet was
# drawn before. The limit ends the search where the labels hold fewer triplets than requested.
_DRAWS_PER_TRIPLET = 20


@dataclass(frozen=True)
class LabelTriplet:
    """Three row numbers, in random order, and the position of the odd face: 1, 2 or 3."""

    faces: tuple[int, int, int]
    answer: int


def sample_triplets(
    faces: Sequence[LabelledFace],
    groups: Sequence[Sequence[int]],
    num_wanted: int,
    rng: np.random.Generator,
) -> list[LabelTriplet]:
    """Draw distinct triplets, each within one group, in proportion to the groups' sizes.

    The expression shared by two faces is drawn with a probability proportional to the square root
    of its number of faces: frequent expressions do not dominate, and the few faces of a rare one
    are not repeated over and over.

    Args:
        faces: all faces.
        groups: row numbers of faces that may share a triplet; no face is in two groups.
        num_wanted: number of triplets if the groups held every face; groups that hold a part of
            the faces get the same part of the triplets.
        rng: random source.

    Returns:
        The triplets; fewer than requested where the labels do not allow as many.
    """
    triplets: list[LabelTriplet] = []
    num_seen = num_due = 0
    for group in groups:
        # Rounding the running total keeps small shares: rounded per group, many small groups
        # could all get zero triplets.
        num_seen += len(group)
        share = round(num_wanted * num_seen / max(1, len(faces))) - num_due
        num_due += share
        triplets.extend(_Group(faces, group, rng).draw(share))
    return triplets


class _Group:
    """The faces of one group, sorted by expression for drawing."""

    def __init__(
        self, faces: Sequence[LabelledFace], rows: Sequence[int], rng: np.random.Generator
    ) -> None:
        self._faces, self._rng = faces, rng
        by_word: dict[str, list[int]] = {}
        for row in rows:
            by_word.setdefault(faces[row].expression, []).append(row)
        # Sorted, so that the draws do not depend on which expression comes first in the source.
        self._rows = [np.array(by_word[word], np.int64) for word in sorted(by_word)]
        self._weights = np.sqrt([len(rows_of_word) for rows_of_word in self._rows])

    def draw(self, num_wanted: int) -> list[LabelTriplet]:
        """Up to `num_wanted` distinct triplets."""
        has_similar_pair = np.array([self._has_two_people(rows) for rows in self._rows], bool)
        if not has_similar_pair.any() or len(self._rows) < 2:
            return []
        seen: set[frozenset[int]] = set()
        triplets: list[LabelTriplet] = []
        for _ in range(_DRAWS_PER_TRIPLET * num_wanted):
            if len(triplets) == num_wanted:
                break
            triplet = self._draw_triplet(self._draw_word(has_similar_pair))
            if triplet is not None and frozenset(triplet.faces) not in seen:
                seen.add(frozenset(triplet.faces))
                triplets.append(triplet)
        return triplets

    def _draw_triplet(self, word: int) -> LabelTriplet | None:
        """Two faces of one expression and one of another; None if one person shows both."""
        first, second = self._rng.choice(self._rows[word], 2, replace=False).tolist()
        if self._is_same_person(first, second):
            return None
        other = self._draw_word(np.arange(len(self._rows)) != word)
        odd = int(self._rng.choice(self._rows[other]))
        order = self._rng.permutation(3).tolist()
        rows = [(first, second, odd)[position] for position in order]
        return LabelTriplet((rows[0], rows[1], rows[2]), order.index(2) + 1)

    def _draw_word(self, allowed: npt.NDArray[np.bool_]) -> int:
        weights = np.where(allowed, self._weights, 0.0)
        return int(self._rng.choice(len(weights), p=weights / weights.sum()))

    def _is_same_person(self, first: int, second: int) -> bool:
        identity = self._faces[first].identity
        if not identity:
            return self._faces[first].image == self._faces[second].image
        return identity == self._faces[second].identity

    def _has_two_people(self, rows: npt.NDArray[np.int64]) -> bool:
        first, *others = rows.tolist()
        return any(not self._is_same_person(first, row) for row in others)
