"""Nearest faces by a head: are they the same person, and do they show the same expression?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from fec_cache.heads.base import PairHead

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
_Shares = tuple[float, ...]

RANKS = (1, 5, 10)
# A pair head without an embedding compares every pair anew: so many are a matter of seconds.
_MOST_QUERIES, _MOST_FACES = 200, 1000


@dataclass(frozen=True)
class Neighbours:
    """What stands nearest to a face.

    `same_person` is the share of faces whose nearest face shows the same person, among
    `num_with_person` faces that have another picture of theirs in the set; `same_person_chance` is
    what a random nearest face gives. `precision[k]` is the share of the k nearest faces of other
    people that show the same expression word, `precision_chance` that of all such faces.
    `confusion[v][w]` counts faces of word v whose nearest face of another person shows word w.
    """

    num_faces: int
    num_with_person: int
    same_person: float
    same_person_chance: float
    num_with_expression: int
    precision: dict[int, float]
    precision_chance: float
    confusion: tuple[tuple[int, ...], ...] = ()


def nearest_figures(
    head: PairHead,
    features: npt.NDArray[np.floating],
    rows: Ints,
    identity: Ints,
    expression: Ints,
    seed: int = 0,
) -> Neighbours:
    """Rank faces by similarity to each query face.

    Args:
        head: a trained head; one without an embedding is asked about 200 faces among 1,000.
        features: [N, D].
        rows: [n], the faces that take part, each once.
        identity: [N], -1 unknown; a face of nobody known is a person of its own.
        expression: [N], -1 unknown.
        seed: of the choice of faces, where not all take part.
    """
    rng = np.random.default_rng(seed)
    similarity_of, is_cheap = _comparer(head, features)
    rows = _some(rows, len(rows) if is_cheap else _MOST_FACES, rng)
    queries = _some(np.arange(len(rows)), len(rows) if is_cheap else _MOST_QUERIES, rng)
    people = np.where(identity[rows] >= 0, identity[rows], -2 - np.arange(len(rows)))
    of_person, of_word = list[_Shares](), list[_Shares]()
    confusion = np.zeros([int(expression.max(initial=-1)) + 1] * 2, np.int64)
    for query in queries.tolist():
        similarity = similarity_of(int(rows[query]), rows)
        of_person += _person_hits(similarity, people, query)
        of_word += _word_hits(similarity, people, expression[rows], query, confusion)
    person, word = _means(of_person, 2), _means(of_word, len(RANKS) + 1)
    return Neighbours(
        num_faces=len(rows),
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


def _some(items: Ints, most: int, rng: np.random.Generator) -> Ints:
    return items if len(items) <= most else np.sort(rng.choice(items, most, replace=False))


def _person_hits(similarity: npt.NDArray[np.floating], people: Ints, query: int) -> list[_Shares]:
    """Whether the nearest face is the same person, and what chance gives; none if it is alone."""
    others = np.arange(len(people)) != query
    same = others & (people == people[query])
    if not same.any():
        return []
    return [(_top(similarity, same, others, 1), float(same.sum() / others.sum()))]


def _word_hits(
    similarity: npt.NDArray[np.floating],
    people: Ints,
    words: Ints,
    query: int,
    confusion: Ints,
) -> list[_Shares]:
    """Precision among the nearest of other people at each rank, and what chance gives.

    The nearest one's word is counted in `confusion`.
    """
    strangers = (people != people[query]) & (words >= 0)
    if words[query] < 0 or strangers.sum() < max(RANKS):
        return []
    alike = strangers & (words == words[query])
    nearest = np.flatnonzero(strangers)[similarity[strangers].argmax()]
    confusion[words[query], words[nearest]] += 1
    tops = (_top(similarity, alike, strangers, k) for k in RANKS)
    return [(*tops, float(alike.sum() / strangers.sum()))]


def _top(similarity: npt.NDArray[np.floating], hits: Bools, allowed: Bools, k: int) -> float:
    """Share of hits among the k most similar allowed faces; ties on the edge count in part."""
    values, is_hit = similarity[allowed], hits[allowed]
    edge = np.partition(values, len(values) - k)[len(values) - k]
    above, tied = values > edge, values == edge
    share = (k - above.sum()) / tied.sum()
    return float((is_hit[above].sum() + share * is_hit[tied].sum()) / k)


def _comparer(
    head: PairHead, features: npt.NDArray[np.floating]
) -> tuple[Callable[[int, Ints], npt.NDArray[np.floating]], bool]:
    """Similarity of one row to many, and whether it costs next to nothing."""
    head.eval()
    embed = getattr(head, "embed", None)
    with torch.inference_mode():
        matrix = torch.from_numpy(features.astype(np.float32))
        if embed is not None:
            embedded = embed(matrix).numpy()
        prepared = head.prepare(matrix) if embed is None else matrix

    def by_embedding(row: int, rows: Ints) -> npt.NDArray[np.floating]:
        """Minus squared distance."""
        gaps = embedded[rows] - embedded[row]
        return np.asarray(-(gaps**2).sum(axis=1))

    def by_pairs(row: int, rows: Ints) -> npt.NDArray[np.floating]:
        """Logits, query first."""
        with torch.inference_mode():
            others = prepared[torch.from_numpy(rows)]
            query = prepared[row].expand(len(rows), -1)
            return np.asarray(head.compare(query, others).numpy())

    return (by_embedding, True) if embed is not None else (by_pairs, False)
