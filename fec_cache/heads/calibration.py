"""Logits -> probabilities that mean what they say."""

import torch
from torch import Tensor
from torch.nn import functional

from fec_cache.heads.model import PairHead

_MAX_STEPS = 200


def fit_calibration(head: PairHead, logits: Tensor, is_similar: Tensor) -> None:
    """Fit slope and offset of the logits on pairs that the head was not trained on.

    The slope is kept positive, so that calibration never turns the ranking around.

    Args:
        head: its `calibration` buffer is set.
        logits: [P] float.
        is_similar: [P] bool.

    Source: Platt, "Probabilistic outputs for support vector machines", 1999.
    """
    values, target = logits.detach().double().cpu(), is_similar.double().cpu()
    spread = values.std(correction=0).clamp(min=1e-6)
    unit = (values - values.mean()) / spread
    log_slope = torch.zeros((), dtype=torch.float64, requires_grad=True)
    offset = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [log_slope, offset], max_iter=_MAX_STEPS, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        """The loss and its gradient."""
        optimizer.zero_grad()
        logit = log_slope.exp() * unit + offset
        loss = functional.binary_cross_entropy_with_logits(logit, target)
        # A breath of regularisation keeps perfectly parted pairs from an endless slope.
        loss = loss + 1e-6 * (log_slope.square() + offset.square())
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        slope = log_slope.exp() / spread
        fitted = torch.stack([slope, offset - slope * values.mean()])
        if torch.isfinite(fitted).all():
            head.calibration.copy_(fitted)
