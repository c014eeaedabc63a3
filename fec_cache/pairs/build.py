"""Annotated triplets -> row numbers and labels: `TripletTable` and `PairTable`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fec_cache.datasets.annotations import TRIPLET_TYPES, FaceRef, Triplet
from fec_cache.system.wording import counted

Rows = npt.NDArray[np.int64]

# Pair j of a triplet is the pair without face j: it is the similar one where face j is odd.
PAIRS_OF_TRIPLET = ((1, 2), (0, 2), (0, 1))


@dataclass(frozen=True)
class TripletTable:
    """T triplets as numbers.

    Attributes:
        rows: [T, 3] int64, rows of the feature matrix.
        odd: [T] int64, position 0..2 of the odd face by majority of the raters.
        types: [T] int64: 0 one-class, 1 two-class, 2 three-class.
        votes: [T, 3] int64, number of raters that named each face the odd one.
    """

    rows: Rows
    odd: Rows
    types: Rows
    votes: Rows

    def __len__(self) -> int:
        """T."""
        return len(self.rows)

    def take(self, keep: npt.NDArray[np.generic]) -> "TripletTable":
        """The triplets selected by a mask [T] bool or by an index array [K] int64."""
        return TripletTable(self.rows[keep], self.odd[keep], self.types[keep], self.votes[keep])


@dataclass(frozen=True)
class PairTable:
    """P pairs: `rows` [P, 2] int64 into the feature matrix and `is_similar` [P] bool."""

    rows: Rows
    is_similar: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TripletCounts:
    """How many rows of an annotation file were used or lost; all parts add up to `num_rows`."""

    num_rows: int
    num_rejected: int
    num_without_feature: int
    num_same_face: int
    num_ties: int
    num_below_agreement: int
    num_used: int

    def in_words(self) -> str:
        """One line for people; losses that did not occur are left out."""
        losses = (
            (self.num_rejected, "rejected"),
            (self.num_without_feature, "without a feature"),
            (self.num_same_face, "with the same face twice"),
            (self.num_ties, "without a majority"),
            (self.num_below_agreement, "below the minimum agreement"),
        )
        parts = [f"{self.num_used} used", *(f"{num} {words}" for num, words in losses if num)]
        return f"{counted(self.num_rows, 'row')}: {', '.join(parts)}"


def build_triplets(
    triplets: Sequence[Triplet],
    face_ids: Mapping[FaceRef, str],
    rows: Mapping[str, int],
    min_agreement: float = 0.0,
    num_rejected: int = 0,
) -> tuple[TripletTable, TripletCounts]:
    """Label triplets by majority and replace their faces by rows of the feature matrix.

    Args:
        triplets: the annotated triplets.
        face_ids: face_id of each face that has an image.
        rows: face_id -> row of the feature matrix.
        min_agreement: minimum share of raters that agree with the majority, 0..1.
        num_rejected: rows of the file that could not be parsed, for the counts.

    Returns:
        The usable triplets in order, and the number of triplets lost for each reason: a face
        without a feature, the same face twice (one picture under two names), a tie, or too little
        agreement. A triplet with several reasons is counted under the first one.
    """
    indices = _rows_of(triplets, face_ids, rows)
    votes = _votes_of(triplets)
    types = np.array([TRIPLET_TYPES.index(triplet.type) for triplet in triplets], np.int64)
    top = np.sort(votes, axis=1)
    # 1e-9: two of three raters must reach an agreement of 2 / 3 in spite of rounding.
    checks = {
        "without_feature": (indices < 0).any(axis=1),
        "same_face": _has_same_face(indices),
        "ties": top[:, 2] == top[:, 1],
        "below_agreement": top[:, 2] < min_agreement * votes.sum(axis=1) - 1e-9,
    }
    usable = np.ones(len(triplets), bool)
    counts: dict[str, int] = {}
    for name, is_bad in checks.items():
        counts[f"num_{name}"] = int((usable & is_bad).sum())
        usable &= ~is_bad
    table = TripletTable(indices, votes.argmax(axis=1), types, votes).take(usable)
    num_rows = len(triplets) + num_rejected
    return table, TripletCounts(num_rows, num_rejected, num_used=len(table), **counts)


def pairs_from_triplets(table: TripletTable) -> PairTable:
    """Turn each triplet into one similar and two different pairs.

    Returns:
        `rows` [3T, 2] int64 and `is_similar` [3T] bool, in triplet order; pair j of a triplet is
        the one without face j.

    Source: Vemulapalli & Agarwala, CVPR 2019, arXiv:1811.11283.
    """
    rows = table.rows[:, PAIRS_OF_TRIPLET].reshape(-1, 2)
    is_similar = (table.odd[:, None] == np.arange(3)).reshape(-1)
    return PairTable(rows, is_similar)


def _rows_of(
    triplets: Sequence[Triplet], face_ids: Mapping[FaceRef, str], rows: Mapping[str, int]
) -> Rows:
    """Row of every face, -1 where it has none: [T, 3]."""
    row_of = {face: rows.get(face_id, -1) for face, face_id in face_ids.items()}
    row_of_each = (row_of.get(face, -1) for triplet in triplets for face in triplet.faces)
    return np.fromiter(row_of_each, np.int64, 3 * len(triplets)).reshape(-1, 3)


def _votes_of(triplets: Sequence[Triplet]) -> Rows:
    """Number of raters that named each face the odd one: [T, 3]."""
    votes: list[tuple[int, ...]] = []
    # Counted once per distinct answer: six raters can give only 3^6 = 729 of them.
    votes_of_answers: dict[tuple[int, ...], tuple[int, ...]] = {}
    for triplet in triplets:
        counts = votes_of_answers.get(triplet.answers)
        if counts is None:
            counts = tuple(triplet.answers.count(face) for face in (1, 2, 3))
            votes_of_answers[triplet.answers] = counts
        votes.append(counts)
    return np.array(votes, np.int64).reshape(-1, 3)


def _has_same_face(rows: Rows) -> npt.NDArray[np.bool_]:
    first, second, third = rows.T
    same: npt.NDArray[np.bool_] = (first == second) | (first == third) | (second == third)
    return same
