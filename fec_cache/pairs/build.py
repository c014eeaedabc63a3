"""Triplets -> row numbers and labels: `TripletTable` and `PairTable`."""

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

    `rows` [T, 3] int64 into the feature matrix; `odd` [T] int64, the odd face's place 0..2 by
    majority of the raters; `types` [T] int64, 0 one-class, 1 two-class, 2 three-class; `votes`
    [T, 3] int64, how many raters named each face.
    """

    rows: Rows
    odd: Rows
    types: Rows
    votes: Rows

    def __len__(self) -> int:
        """T."""
        return len(self.rows)

    def take(self, keep: npt.NDArray[np.generic]) -> "TripletTable":
        """The triplets that a mask [T] or an index array selects."""
        return TripletTable(self.rows[keep], self.odd[keep], self.types[keep], self.votes[keep])


@dataclass(frozen=True)
class PairTable:
    """P pairs: `rows` [P, 2] int64 into the feature matrix and `is_similar` [P] bool."""

    rows: Rows
    is_similar: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TripletCounts:
    """What became of each row of an annotation file; the parts add up to `num_rows`."""

    num_rows: int
    num_rejected: int
    num_without_feature: int
    num_same_face: int
    num_ties: int
    num_below_agreement: int
    num_used: int

    def in_words(self) -> str:
        """One line for people, losses named only where there are some."""
        losses = (
            (self.num_rejected, "rejected"),
            (self.num_without_feature, "without a feature"),
            (self.num_same_face, "with one face twice"),
            (self.num_ties, "without a majority"),
            (self.num_below_agreement, "below the asked agreement"),
        )
        told = ", ".join(f"{count} {words}" for count, words in losses if count)
        return f"{counted(self.num_rows, 'row')}: {self.num_used} used" + (
            f", {told}" if told else ""
        )


def build_triplets(
    triplets: Sequence[Triplet],
    face_ids: Mapping[FaceRef, str],
    rows: Mapping[str, int],
    min_agreement: float = 0.0,
    num_rejected: int = 0,
) -> tuple[TripletTable, TripletCounts]:
    """Label triplets by majority and point them into the feature matrix.

    Args:
        triplets: as annotated.
        face_ids: identity of each face that has an image.
        rows: face_id -> row of the feature matrix.
        min_agreement: smallest share of raters that must stand behind the majority.
        num_rejected: rows of the file that could not be parsed, for the counts.

    Returns:
        The usable triplets in order, and what became of the others: faces without a feature, one
        face twice (the same picture under two names), ties, too little agreement.
    """
    indices = _rows_of(triplets, face_ids, rows)
    votes = _votes_of(triplets)
    types = np.array([TRIPLET_TYPES.index(triplet.type) for triplet in triplets], np.int64)
    top = np.sort(votes, axis=1)
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
        `rows` [3T, 2] int64 and `is_similar` [3T] bool, in triplet order; within a triplet the
        pair without the first face comes first.

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
    found = (row_of.get(face, -1) for triplet in triplets for face in triplet.faces)
    return np.fromiter(found, np.int64, 3 * len(triplets)).reshape(-1, 3)


def _votes_of(triplets: Sequence[Triplet]) -> Rows:
    """How many raters named each face: [T, 3]."""
    votes: list[tuple[int, ...]] = []
    known: dict[tuple[int, ...], tuple[int, ...]] = {}
    for triplet in triplets:
        counts = known.get(triplet.answers)
        if counts is None:
            counts = tuple(triplet.answers.count(face) for face in (1, 2, 3))
            known[triplet.answers] = counts
        votes.append(counts)
    return np.array(votes, np.int64).reshape(-1, 3)


def _has_same_face(rows: Rows) -> npt.NDArray[np.bool_]:
    first, second, third = rows.T
    same: npt.NDArray[np.bool_] = (first == second) | (first == third) | (second == third)
    return same
