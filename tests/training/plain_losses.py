"""The losses in plain torch with autograd: the reference for the hand-written gradients."""

import torch
from torch.nn import functional

from fec_cache.pairs.build import PAIRS_OF_TRIPLET
from fec_cache.training.losses import CONTRASTIVE_MARGIN, PAIR_LOSSES, TRIPLET_MARGINS, bce_loss


def triplet_loss(head, logits, odd, types):
    """Hinge loss on both differences of distances in each triplet, mean over triplets.

    Args:
        head: converts logits to distances.
        logits: [B, 3]; pair j is the pair without face j.
        odd: [B] int64, the odd face, and so the similar pair.
        types: [B] int64, 0 one-class, 1 two-class, 2 three-class; picks the margin.

    Source: Vemulapalli & Agarwala, CVPR 2019, arXiv:1811.11283, equation 1.
    """
    distances = head.distance(logits)
    similar = distances.gather(1, odd[:, None])
    margins = torch.tensor(TRIPLET_MARGINS, device=logits.device)[types]
    hinge = (similar - distances + margins[:, None]).clamp(min=0.0)
    # The similar pair must not be compared with itself: its hinge would add the margin.
    is_other = torch.ones_like(hinge).scatter(1, odd[:, None], 0.0)
    return (hinge * is_other).sum(dim=1).mean()


def contrastive_loss(head, logits, is_similar):
    """Pull similar pairs together and push different ones beyond a margin, mean over pairs.

    Args:
        head: converts logits to distances (squared distances for the embedding head).
        logits: [B].
        is_similar: [B], 1 or 0.

    Source: Chopra, Hadsell & LeCun, "Learning a similarity metric discriminatively", CVPR 2005.
    """
    distances = head.distance(logits)
    similar = is_similar.to(logits.dtype)
    apart = (CONTRASTIVE_MARGIN - distances).clamp(min=0.0)
    return (similar * distances + (1.0 - similar) * apart).mean()


def odd_one_out_loss(logits, shares):
    """Cross-entropy between the softmax of a triplet's similarities and the vote shares, mean.

    Assumes that each rater, with some noise, names the face whose removal leaves the most similar
    pair. So the votes of a triplet are soft labels, and doubtful triplets weigh less.

    Args:
        logits: [B, 3]; pair j is the pair without face j.
        shares: [B, 3] float32, share of the raters who named face j, summing to 1.

    Source: Zheng, Pereira, Baker & Hebart, "Revealing interpretable object representations from
    human behavior", ICLR 2019, arXiv:1901.02915, equation 2, with vote shares instead of answers.
    """
    return -(shares * functional.log_softmax(logits, dim=1)).sum(dim=1).mean()


def batch_loss(loss, head, faces, answers):
    """The loss of one batch, a scalar.

    Args:
        loss: one of `config.LOSSES`.
        head: gives logits for prepared features.
        faces: [B, 2, D] or [B, 3, D] prepared features, by the rows of `training_columns`.
        answers: the batch of the columns behind the rows.
    """
    if loss in PAIR_LOSSES:
        logits = head.compare(faces[:, 0], faces[:, 1])
        if loss == "bce":
            return bce_loss(logits, answers[0])
        return contrastive_loss(head, logits, answers[0])
    logits = torch.stack(
        [head.compare(faces[:, i], faces[:, j]) for i, j in PAIRS_OF_TRIPLET], dim=1
    )
    if loss == "odd-one-out":
        return odd_one_out_loss(logits, answers[0])
    return triplet_loss(head, logits, answers[0], answers[1])
