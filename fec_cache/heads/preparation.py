"""What happens to features before a head's first layer: fitted on training faces, stored with it.

`none`         features as they are
`l2`           unit length
`standardize`  mean 0 and variance 1 per feature, then unit length
`pca:K`        standardised, then the K directions of largest variance, then unit length
`whiten:K`     the same with variance 1 in each direction

"Unit length" is unit length times sqrt(width), so that single values stay near 1 at any width.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fec_cache.errors import BadOption, NothingToTrain
from fec_cache.heads.config import split_preparation
from fec_cache.system.wording import counted

# What varies less than this, relative to its size or to the most variable feature, is rounding.
_STILL = 1e-6
_CHUNK = 8192
# Wider covariances are never formed; their leading directions come from subspace iteration.
_WIDEST_EXACT = 2048
_MOST_FACES = 32768
_EXTRA, _ROUNDS = 32, 6


class Preparation(nn.Module):
    """Features [..., D] -> [..., K] float32, with numbers learned from the training faces."""

    mean: Tensor
    scale: Tensor
    projection: Tensor | None

    def __init__(self, text: str, width: int, blocks: tuple[int, ...] = ()) -> None:
        """Make a preparation that is not fitted yet.

        Args:
            text: one of the forms above.
            width: D.
            blocks: widths of several caches' features side by side, empty for one cache. Each gets
                the same share of the length, or of the variance for `pca` and `whiten`.

        Raises:
            BadOption: K is more than the number of features.
        """
        super().__init__()
        self.kind, num_kept = split_preparation(text)
        if num_kept is not None and num_kept > width:
            raise BadOption(
                f"{text} asks for {counted(num_kept, 'direction')}, but these features have only "
                f"{counted(width, 'number')}. Use {self.kind}:{width} or fewer."
            )
        self.width = width if num_kept is None else num_kept
        self.blocks = blocks
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        empty = None if num_kept is None else torch.zeros(width, num_kept)
        self.register_buffer("projection", empty)

    def fit(self, features: Tensor) -> None:
        """Learn from the training faces.

        With fewer than K + 1 faces, directions that they do not span are zero.

        Args:
            features: [N, D] floating point, each training face once.

        Raises:
            NothingToTrain: no feature varies.
        """
        if self.kind in ("none", "l2"):
            return
        mean, deviation = _moments(features)
        size = (mean.square() + deviation.square()).sqrt()
        varies = deviation > _STILL * torch.maximum(size, deviation.max())
        if not varies.any():
            raise NothingToTrain(
                f"The features of {counted(len(features), 'training face')} are all the same "
                f"({counted(features.shape[1], 'number')} each), so nothing can be learned. Check "
                "the pictures, or use another --layer."
            )
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(varies, 1.0 / deviation, 0.0))
        if self.projection is not None:
            self.projection.copy_(self._directions(features))

    def _directions(self, features: Tensor) -> Tensor:
        """Directions of the standardised training faces: [D, K]."""
        for part in self.scale.split(self.blocks) if self.blocks else ():
            part *= math.sqrt(len(self.scale) / (len(self.blocks) * len(part)))
        # More faces than this do not change the directions, but take time.
        sample = self._standardized(features[:: -(-len(features) // _MOST_FACES)])
        variances, directions = principal_directions(sample, self.width)
        if self.kind == "whiten":
            spans = variances > _STILL * variances.max()
            directions = directions * torch.where(spans, variances.rsqrt(), 0.0)
        return functional.pad(directions, (0, self.width - directions.shape[1]))

    def forward(self, features: Tensor) -> Tensor:
        """What the first layer sees of features [..., D]: [..., K] float32."""
        if self.kind == "none":
            return features
        prepared = self._standardized(features)
        if self.projection is not None:
            prepared = prepared @ self.projection
        # On planted faces, where a loud person sets the length, equal lengths cost 2.7 points
        # (docs/experiments.md, 2026-11-23).
        return self._unit(prepared) * math.sqrt(self.width)

    def _unit(self, features: Tensor) -> Tensor:
        """Features of unit length, to which each block gives the same share."""
        if not self.blocks or self.projection is not None:
            return functional.normalize(features, dim=-1)
        parts = features.split(self.blocks, dim=-1)
        unit = torch.cat([functional.normalize(part, dim=-1) for part in parts], dim=-1)
        return unit / math.sqrt(len(parts))

    def _standardized(self, features: Tensor) -> Tensor:
        return (features - self.mean) * self.scale


def principal_directions(features: Tensor, num_kept: int) -> tuple[Tensor, Tensor]:
    """Directions of largest variance, by the covariance or, for wide features, by iteration.

    Covariances of more than 2,048 features are never written out: subspace iteration from a seeded
    start finds the leading directions.

    Args:
        features: [N, D] float32, centred.
        num_kept: K, at most D.

    Returns:
        Variances [k] and directions [D, k], k = min(K, N - 1), largest variance first.

    Source: Halko, Martinsson & Tropp, "Finding structure with randomness", 2011, algorithm 4.4,
    arXiv:0909.4061.
    """
    num_faces, width = features.shape
    num_kept = min(num_kept, num_faces - 1)
    if width <= _WIDEST_EXACT:
        covariance = features.T @ features / num_faces
        variances, directions = symmetric_eigen(covariance)
    else:
        generator = torch.Generator(device=features.device).manual_seed(0)
        size = (width, min(num_kept + _EXTRA, num_faces, width))
        basis = torch.randn(size, generator=generator, device=features.device)
        for _ in range(_ROUNDS):
            basis = torch.linalg.qr(features.T @ (features @ basis)).Q
        seen = features @ basis
        variances, inside = symmetric_eigen(seen.T @ seen / num_faces)
        directions = basis @ inside
    return variances.flip(0)[:num_kept], directions.flip(1)[:, :num_kept]


def symmetric_eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues [K], rising, and eigenvectors [K, K] of a symmetric matrix.

    Features that are zero for most faces leave many eigenvalues at zero, for which torch's LAPACK
    may not converge; numpy's uses another algorithm then.
    """
    try:
        values, vectors = torch.linalg.eigh(matrix)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        parts = np.linalg.eigh(matrix.cpu().double().numpy())
        values, vectors = (torch.from_numpy(part).to(matrix) for part in parts)
    return values, vectors


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each feature, [D] float32 each, summed in float64 by chunks."""
    mean = _chunked_sum(features, lambda chunk: chunk) / len(features)
    square = _chunked_sum(features, lambda chunk: (chunk - mean).square_()) / len(features)
    return mean.float(), square.sqrt().float()


def _chunked_sum(features: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    total = torch.zeros(features.shape[1], dtype=torch.float64, device=features.device)
    for chunk in features.split(_CHUNK):
        total += change(chunk.double()).sum(dim=0)
    return total
