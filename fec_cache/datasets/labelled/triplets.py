"""Labels -> triplets: two faces of one expression from two people, and one of another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fec_cache.datasets.labelled.read import LabelledFace

_TRIES = 20


@dataclass(frozen=True)
class LabelTriplet:
    """Three row numbers in drawn order and the place of the odd one, 1, 2 or 3."""

    faces: tuple[int, int, int]
    answer: int


def sample_triplets(
    faces: Sequence[LabelledFace],
    groups: Sequence[Sequence[int]],
    wanted: int,
    rng: np.random.Generator,
) -> list[LabelTriplet]:
    """Draw different triplets, each within one group, in shares of the groups' sizes.

    Words are drawn by the square root of their number of faces: frequent ones do not drown the
    rare ones, and the few faces of a rare word are not drawn over and over.

    Args:
        faces: all faces.
        groups: row numbers of faces that may meet in a triplet; no face in two groups.
        wanted: triplets over all groups if `groups` held every face; a part of the faces gives the
            same part of the triplets.
        rng: random source.

    Returns:
        As many as were found; fewer where the labels do not give so many different ones.
    """
    found: list[LabelTriplet] = []
    num_seen = due = 0
    for group in groups:
        # Rounded over all groups so far: many small groups do not round a small number to nothing.
        num_seen += len(group)
        share = round(wanted * num_seen / max(1, len(faces))) - due
        due += share
        found.extend(_Group(faces, group, rng).draw(share))
    return found


class _Group:
    """The faces of one group by word, ready to be drawn from."""

    def __init__(
        self, faces: Sequence[LabelledFace], rows: Sequence[int], rng: np.random.Generator
    ) -> None:
        self._faces, self._rng = faces, rng
        by_word: dict[str, list[int]] = {}
        for row in rows:
            by_word.setdefault(faces[row].expression, []).append(row)
        self._rows = [np.array(by_word[word], np.int64) for word in sorted(by_word)]
        self._weights = np.sqrt([len(rows_of_word) for rows_of_word in self._rows])

    def draw(self, wanted: int) -> list[LabelTriplet]:
        """Up to `wanted` different triplets."""
        alike = np.array([self._has_two_people(rows) for rows in self._rows], bool)
        if not alike.any() or len(self._rows) < 2:
            return []
        seen: set[frozenset[int]] = set()
        found: list[LabelTriplet] = []
        for _ in range(_TRIES * wanted):
            if len(found) == wanted:
                break
            triplet = self._one(self._word(alike))
            if triplet is not None and frozenset(triplet.faces) not in seen:
                seen.add(frozenset(triplet.faces))
                found.append(triplet)
        return found

    def _one(self, word: int) -> LabelTriplet | None:
        first, second = self._rng.choice(self._rows[word], 2, replace=False).tolist()
        if self._same_person(first, second):
            return None
        other = self._word(np.arange(len(self._rows)) != word)
        odd = int(self._rng.choice(self._rows[other]))
        order = self._rng.permutation(3).tolist()
        rows = [(first, second, odd)[place] for place in order]
        return LabelTriplet((rows[0], rows[1], rows[2]), order.index(2) + 1)

    def _word(self, allowed: npt.NDArray[np.bool_]) -> int:
        weights = np.where(allowed, self._weights, 0.0)
        return int(self._rng.choice(len(weights), p=weights / weights.sum()))

    def _same_person(self, first: int, second: int) -> bool:
        identity = self._faces[first].identity
        if not identity:
            return self._faces[first].image == self._faces[second].image
        return identity == self._faces[second].identity

    def _has_two_people(self, rows: npt.NDArray[np.int64]) -> bool:
        first, *others = rows.tolist()
        return any(not self._same_person(first, row) for row in others)
