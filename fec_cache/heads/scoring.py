"""Features and row numbers -> logits, for validation, evaluation and prediction."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fec_cache.heads.base import PairHead
from fec_cache.pairs.build import PAIRS_OF_TRIPLET, TripletTable
from fec_cache.pairs.credit import triplet_credit

# Triplets or faces at a time: bounds the memory of their intermediate values.
_BATCH = 4096
_SAMPLE = 65536


def triplet_logits(head: PairHead, prepared: Tensor, rows: Tensor) -> Tensor:
    """Logits of the three pairs of each triplet: [T, 3]; pair j is the pair without face j.

    What a face contributes to a pair is computed once per face, not once per pair.

    Args:
        head: in evaluation mode.
        prepared: [N, K] float32, features as `head.prepare` gives them; ideally only of the faces
            in `rows`.
        rows: [T, 3] int64.
    """
    parts = []
    # 51,060 triplets of 45,000 faces take 0.17 to 0.56 s on two cores, depending on the head
    # (docs/performance.md).
    with torch.inference_mode():
        firsts, seconds = head.roles(prepared)
        for batch in rows.split(_BATCH):
            pairs = [
                head.meet(firsts.index_select(0, batch[:, i]), seconds.index_select(0, batch[:, j]))
                for i, j in PAIRS_OF_TRIPLET
            ]
            parts.append(torch.stack(pairs, dim=1))
    return torch.cat(parts) if parts else torch.empty((0, 3))


def triplet_accuracy(logits: Tensor, odd: Tensor) -> float:
    """Share of triplets whose most similar pair is the raters'; k equal pairs count 1/k each.

    Args:
        logits: [T, 3], pair j is the pair without face j.
        odd: [T] int64, the odd faces.
    """
    credit = triplet_credit(logits.cpu().numpy(), odd.cpu().numpy())
    return float(torch.from_numpy(credit).mean())


def similar_pairs(table: TripletTable) -> Tensor:
    """Which of the three pairs of each triplet is the similar one: [T, 3] bool."""
    return torch.from_numpy(table.odd)[:, None] == torch.arange(3)


def sample_triplets(table: TripletTable) -> TripletTable:
    """Evenly spaced triplets, enough to estimate a loss."""
    return table.take(np.arange(0, len(table), -(-len(table) // _SAMPLE)))


def table_logits(head: PairHead, prepared: Tensor, table: TripletTable) -> Tensor:
    """Logits [T, 3] of a table's triplets, on the CPU.

    Args:
        head: in evaluation mode.
        prepared: [N, K] float32, features as `head.prepare` gives them.
        table: T triplets, whose rows are rows of `prepared`.
    """
    return triplet_logits(head, prepared, torch.from_numpy(table.rows).to(prepared.device)).cpu()


def similarity_of(
    head: PairHead, features: npt.NDArray[np.floating], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Logits of triplets, from plain arrays: [T, 3] float32 for rows [T, 3]."""
    head.eval()
    faces, inverse = np.unique(rows, return_inverse=True)
    with torch.inference_mode():
        prepared = prepared_faces(head, features, faces)
        logits = triplet_logits(head, prepared, torch.from_numpy(inverse.reshape(rows.shape)))
    scores: npt.NDArray[np.float32] = logits.float().numpy()
    return scores


def prepared_faces(
    head: PairHead, features: npt.NDArray[np.floating], faces: npt.NDArray[np.int64]
) -> Tensor:
    """Prepared features [n, K] float32 of some rows [n] of a matrix [N, D] of any float dtype."""
    parts = [
        head.prepare(torch.from_numpy(features[faces[start : start + _BATCH]].astype(np.float32)))
        for start in range(0, len(faces), _BATCH)
    ]
    return torch.cat(parts) if parts else torch.empty(0, features.shape[1])


def probability_of(head: PairHead, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Calibrated P(similar) of logits [...]: the same shape, float32 in [0, 1]."""
    with torch.inference_mode():
        result: npt.NDArray[np.float32] = head.probability(torch.from_numpy(logits)).numpy()
    return result


def pair_logits(
    head: PairHead, a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]
) -> npt.NDArray[np.float32]:
    """Logits [B] of features a and b, both [B, D]."""
    head.eval()
    with torch.inference_mode():
        logits = head(
            torch.from_numpy(a.astype(np.float32)), torch.from_numpy(b.astype(np.float32))
        )
    result: npt.NDArray[np.float32] = logits.numpy()
    return result


def embeddings_of(head: PairHead, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Faces in the head's own space: [n, k] float32 of unit length, for features [n, D].

    Only for heads with `has_embedding`.
    """
    head.eval()
    with torch.inference_mode():
        first, _ = head.roles(head.prepare(torch.from_numpy(features.astype(np.float32))))
    result: npt.NDArray[np.float32] = first.numpy()
    return result
