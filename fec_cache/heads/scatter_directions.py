"""Directions in which different pairs differ more than similar ones, in closed form.

Kin to linear discriminant analysis, to within-class covariance normalisation (Hatch, Kajarekar &
Stolcke, Interspeech 2006) and to KISSME (Koestinger et al., "Large scale metric learning from
equivalence constraints", CVPR 2012), but from pairs alone: with S the mean of (a - b)(a - b)' over
similar pairs and D over different ones, the generalised eigenvectors of D v = l S v are scaled to
v' S v = 1 and weighed by sqrt(l - 1), so that distances are those of the metric
S^-1 D S^-1 - S^-1. (KISSME's S^-1 - D^-1 weighs the same vectors by sqrt(1 - 1 / l), which was
worse on real faces.) S is shrunk towards a multiple of the identity (Ledoit & Wolf, 2004).

The mean over pairs is F'LF with L the Laplacian of the pairs' graph, which is sparse: the cost
grows with faces, not with pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fec_cache.heads.preparation import symmetric_eigen
from fec_cache.heads.scoring import triplet_accuracy
from fec_cache.pairs.build import PAIRS_OF_TRIPLET, TripletTable

# Numbers of directions, and shrinkages, that are tried.
COMPONENTS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
# All of them together take 4.8 s on FEC's 404,000 training triplets with D = 512.
SHRINKAGES = (0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
# Scatters of similar and of different pairs, [K, K] float64 each.
Scatters = tuple[Tensor, Tensor]
_BATCH = 8192
# A direction in which similar pairs never differ would get an infinite weight.
_FLOOR = 1e-7


@dataclass(frozen=True)
class Scatter:
    """A point of the grid: `projection` is [K, k] float32, strongest direction first."""

    projection: Tensor
    shrinkage: float
    val_triplet_accuracy: float


def find_scatter(
    prepared: Tensor,
    train: TripletTable,
    validation: TripletTable,
    shrinkages: Sequence[float] = SHRINKAGES,
    components: Sequence[int] = COMPONENTS,
    scatters: Scatters | None = None,
) -> Scatter:
    """The best projection of a grid by validation triplet accuracy.

    Of equals, the most shrunk one with the fewest components wins.

    Args:
        prepared: [N, K] float32, features as `head.prepare` gives them.
        train: triplets whose pairs are scattered.
        validation: triplets to choose by.
        shrinkages: shares of the identity, in [0, 1].
        components: numbers of directions; those beyond K count as K.
        scatters: what `pair_scatters` gives for the training triplets, if it is known.
    """
    counts = sorted({min(count, prepared.shape[1]) for count in components})
    rows, triplets = _compact(validation, prepared.device)
    faces, odd = prepared[rows], torch.from_numpy(validation.odd).to(prepared.device)
    similar, different = scatters or pair_scatters(prepared, train)
    best: Scatter | None = None
    for shrinkage in sorted(shrinkages, reverse=True):
        projection = contrast_directions(similar, different, shrinkage, counts[-1])
        projection = projection.to(prepared.device)
        accuracies = _accuracies(faces @ projection, triplets, odd, counts)
        for count, accuracy in zip(counts, accuracies, strict=True):
            if best is None or accuracy > best.val_triplet_accuracy:
                best = Scatter(projection[:, :count], shrinkage, accuracy)
    assert best is not None
    return best


def pair_scatters(prepared: Tensor, train: TripletTable) -> Scatters:
    """Mean of (a - b)(a - b)' over similar and over different pairs: [K, K] float64 on the CPU.

    A pair counts as similar with the share of raters who called it similar, and as different with
    the rest; with one rater per triplet these are its labels.

    Args:
        prepared: [N, K] float32.
        train: T triplets.
    """
    rows, triplets = _compact(train, prepared.device)
    faces = prepared[rows]
    pairs = triplets[:, torch.tensor(PAIRS_OF_TRIPLET)].reshape(-1, 2)
    votes = torch.from_numpy(train.votes).to(prepared.device).float()
    # Shares of votes gain 0.8 to 1.0 points over the majority's answer (docs/experiments.md).
    similar = (votes / votes.sum(dim=1, keepdim=True)).flatten()
    return _scatter(faces, pairs, similar), _scatter(faces, pairs, 1.0 - similar)


def contrast_directions(
    similar: Tensor, different: Tensor, shrinkage: float, num_kept: int
) -> Tensor:
    """Directions that separate different pairs from similar ones: [K, k] float32.

    Args:
        similar: [K, K] float64, scatter of similar pairs.
        different: [K, K] float64, of different ones.
        shrinkage: share of the identity in the similar scatter, in [0, 1].
        num_kept: k, at most K.
    """
    variances, axes = symmetric_eigen(similar)
    mean = variances.mean()
    shrunk = ((1.0 - shrinkage) * variances + shrinkage * mean).clamp(min=_FLOOR * mean)
    sphere = axes * shrunk.rsqrt()  # [K, K], sphere' S sphere = identity
    ratios, turned = symmetric_eigen(sphere.T @ different @ sphere)
    weights = (ratios - 1.0).clamp(min=0.0).sqrt()
    directions: Tensor = (sphere @ turned) * weights
    return directions.flip(1)[:, :num_kept].float()


def _scatter(faces: Tensor, pairs: Tensor, weights: Tensor) -> Tensor:
    """F'LF of the graph with these pairs [P, 2] as its edges, over the sum of the weights."""
    num_faces = len(faces)
    used = weights > 0
    pairs, weights = pairs[used], weights[used]
    degrees = torch.zeros(num_faces, device=faces.device)
    degrees.index_add_(0, pairs.T.flatten(), weights.repeat(2))
    size = (num_faces, num_faces)
    graph = torch.sparse_coo_tensor(pairs.T, weights, size, check_invariants=False).coalesce()
    across = faces.T @ (graph @ faces)
    scatter = faces.T @ (degrees[:, None] * faces) - across - across.T
    return scatter.cpu().double() / float(weights.sum())


def _accuracies(
    projected: Tensor, triplets: Tensor, odd: Tensor, counts: Sequence[int]
) -> list[float]:
    """Triplet accuracy by the cosine of the first k directions, for each k of `counts`.

    Args:
        projected: [n, K] of the faces.
        triplets: [T, 3] rows of `projected`.
        odd: [T], the odd faces.
        counts: rising.
    """
    lengths = _running(projected.square(), counts).sqrt()  # [n, len(counts)]
    cosines = []
    for batch in triplets.split(_BATCH):
        pairs = [
            _running(projected[batch[:, i]] * projected[batch[:, j]], counts)
            / (lengths[batch[:, i]] * lengths[batch[:, j]]).clamp(min=1e-12)
            for i, j in PAIRS_OF_TRIPLET
        ]
        cosines.append(torch.stack(pairs, dim=1))
    return [triplet_accuracy(similarity, odd) for similarity in torch.cat(cosines).unbind(dim=-1)]


def _running(terms: Tensor, counts: Sequence[int]) -> Tensor:
    """Sums of the first k of terms [..., K], for each k: [..., len(counts)]."""
    parts = [terms[..., low:high].sum(dim=-1) for low, high in pairwise((0, *counts))]
    return torch.stack(parts, dim=-1).cumsum(dim=-1)


def _compact(table: TripletTable, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows [n] of the faces in triplets, and the triplets as indices [T, 3] into these rows."""
    rows, inverse = np.unique(table.rows, return_inverse=True)
    # numpy 1 gives a flat inverse, numpy 2 one of the table's shape.
    indices: npt.NDArray[np.int64] = inverse.reshape(-1, 3)
    return torch.from_numpy(rows).to(device), torch.from_numpy(indices).to(device)
