"""Labels -> triplets: two faces of one expression from two people, and one of another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fec_cache.sources.labelled import LabelledFace

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
    for group in groups:
        share = round(wanted * len(group) / max(1, len(faces)))
        found.extend(_Group(faces, group, rng).draw(share))
    return found


class _Group:
    """The faces of one group by word, ready to be drawn from."""

    def __init__(
        self, faces: Sequence[LabelledFace], rows: Sequence[int], rng: np.random.Generator
    ) -> None:
        self._faces, self._rng = faces, rng
        self._by_word: dict[str, list[int]] = {}
        for row in rows:
            self._by_word.setdefault(faces[row].expression, []).append(row)
        self._words = sorted(self._by_word)

    def draw(self, wanted: int) -> list[LabelTriplet]:
        """Up to `wanted` different triplets."""
        alike = [word for word in self._words if self._has_two_people(word)]
        if not alike or len(self._words) < 2:
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

    def _one(self, word: str) -> LabelTriplet | None:
        first, second = self._rng.choice(self._by_word[word], 2, replace=False).tolist()
        if self._same_person(first, second):
            return None
        other = self._word([name for name in self._words if name != word])
        odd = int(self._rng.choice(self._by_word[other]))
        order = self._rng.permutation(3).tolist()
        rows = [(first, second, odd)[place] for place in order]
        return LabelTriplet((rows[0], rows[1], rows[2]), order.index(2) + 1)

    def _word(self, words: Sequence[str]) -> str:
        weights = np.sqrt([len(self._by_word[word]) for word in words])
        return words[int(self._rng.choice(len(words), p=weights / weights.sum()))]

    def _same_person(self, first: int, second: int) -> bool:
        identity = self._faces[first].identity
        if not identity:
            return self._faces[first].image == self._faces[second].image
        return identity == self._faces[second].identity

    def _has_two_people(self, word: str) -> bool:
        rows = self._by_word[word]
        return any(not self._same_person(rows[0], row) for row in rows[1:])
