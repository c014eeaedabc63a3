"""What a head is trained to make small."""

import torch
from torch import Tensor
from torch.nn import functional

from fec_cache.heads.model import PairHead

# Margins of the paper: 0.1 where the three faces are of one class, 0.2 for the others.
TRIPLET_MARGINS = (0.1, 0.2, 0.2)


def bce_loss(logits: Tensor, is_similar: Tensor) -> Tensor:
    """Binary cross-entropy of logits [B] against `is_similar` [B], mean."""
    return functional.binary_cross_entropy_with_logits(logits, is_similar.to(logits.dtype))


def triplet_loss(head: PairHead, logits: Tensor, odd: Tensor, types: Tensor) -> Tensor:
    """Hinge on both differences of distances of each triplet, mean over triplets.

    Args:
        head: gives the distance that belongs to a logit.
        logits: [B, 3]; pair j is the pair without face j.
        odd: [B] int64, the odd face, and so the similar pair.
        types: [B] int64, 0 one-class, 1 two-class, 2 three-class; picks the margin.

    Source: Vemulapalli & Agarwala, CVPR 2019, arXiv:1811.11283, equation 1.
    """
    distances = head.distance(logits)
    similar = distances.gather(1, odd[:, None])
    margins = torch.tensor(TRIPLET_MARGINS, device=logits.device)[types]
    hinge = (similar - distances + margins[:, None]).clamp(min=0.0)
    # The similar pair against itself is no term of the loss.
    is_other = torch.ones_like(hinge).scatter(1, odd[:, None], 0.0)
    return (hinge * is_other).sum(dim=1).mean()
