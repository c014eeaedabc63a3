"""Nearest faces: are they the same person, and do they show the same expression?"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]
_Shares = tuple[float, ...]

RANKS = (1, 5, 10)


@dataclass(frozen=True)
class Neighbours:
    """Figures of the nearest faces of `num_faces` faces.

    `same_person` is the share of faces whose nearest face shows the same person, among the
    `num_with_person` faces whose person has another picture in the set; `same_person_chance` is the
    share for a random face. `precision[k]` is the share of the k nearest faces of other people that
    show the same expression word, `precision_chance` that of all such faces. `confusion[v][w]`
    counts faces of word v whose nearest face of another person shows word w.
    """

    num_faces: int
    num_with_person: int
    same_person: float
    same_person_chance: float
    num_with_expression: int
    precision: dict[int, float]
    precision_chance: float
    confusion: tuple[tuple[int, ...], ...] = ()


def neighbour_figures(
    similarities: Iterable[tuple[int, Floats]], identity: Ints, expression: Ints, num_words: int
) -> Neighbours:
    """Rank faces by their similarity to query faces.

    Args:
        similarities: index of a query face, 0 <= index < n, and its similarities to all faces, [n].
        identity: [n] int64, -1 unknown; a face of unknown identity counts as its own person.
        expression: [n] int64 in -1..num_words-1, -1 unknown.
        num_words: number of expression words.
    """
    # Distinct negative numbers, so that two unknown people never match.
    people = np.where(identity >= 0, identity, -2 - np.arange(len(identity)))
    of_person, of_word = list[_Shares](), list[_Shares]()
    confusion = np.zeros((num_words, num_words), np.int64)
    for query, similarity in similarities:
        of_person += _person_hits(similarity, people, query)
        of_word += _word_hits(similarity, people, expression, query, confusion)
    person, word = _means(of_person, 2), _means(of_word, len(RANKS) + 1)
    return Neighbours(
        num_faces=len(identity),
        num_with_person=len(of_person),
        same_person=float(person[0]),
        same_person_chance=float(person[1]),
        num_with_expression=len(of_word),
        precision={k: float(share) for k, share in zip(RANKS, word[:-1], strict=True)},
        precision_chance=float(word[-1]),
        confusion=tuple(map(tuple, confusion.tolist())),
    )


def _means(hits: list[_Shares], width: int) -> npt.NDArray[np.float64]:
    return np.asarray(np.mean(hits, axis=0) if hits else np.full(width, np.nan), np.float64)


def _person_hits(similarity: Floats, people: Ints, query: int) -> list[_Shares]:
    """Whether the nearest face is the same person, and by chance; empty without such a face."""
    others = np.arange(len(people)) != query
    same = others & (people == people[query])
    if not same.any():
        return []
    return [(_top(similarity, same, others, 1), float(same.sum() / others.sum()))]


def _word_hits(
    similarity: Floats,
    people: Ints,
    words: Ints,
    query: int,
    confusion: Ints,
) -> list[_Shares]:
    """Precision among the nearest faces of other people at each rank, and by chance.

    Empty if too few faces are comparable. Counts the word of the nearest one in `confusion`.
    """
    strangers = (people != people[query]) & (words >= 0)
    if words[query] < 0 or strangers.sum() < max(RANKS):
        return []
    alike = strangers & (words == words[query])
    nearest = np.flatnonzero(strangers)[similarity[strangers].argmax()]
    confusion[words[query], words[nearest]] += 1
    tops = (_top(similarity, alike, strangers, k) for k in RANKS)
    return [(*tops, float(alike.sum() / strangers.sum()))]


def _top(similarity: Floats, hits: Bools, allowed: Bools, k: int) -> float:
    """Share of hits among the k most similar allowed faces; ties at rank k count in part."""
    values, is_hit = similarity[allowed], hits[allowed]
    edge = np.partition(values, len(values) - k)[len(values) - k]
    above, tied = values > edge, values == edge
    share = (k - above.sum()) / tied.sum()
    return float((is_hit[above].sum() + share * is_hit[tied].sum()) / k)
