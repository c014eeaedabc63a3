"""Logits -> probabilities that mean what they say."""

import torch
from torch import Tensor
from torch.nn import functional

from fec_cache.heads.model import PairHead

_MAX_STEPS = 200
# Logits that vary less than this, beside their own size, are float32's rounding.
_CONSTANT = 1e-6
# Regularisation so light that it only keeps perfectly parted pairs from an endless slope.
_BREATH = 1e-6


def fit_calibration(head: PairHead, logits: Tensor, is_similar: Tensor) -> None:
    """Fit slope and offset of the logits on pairs that the head was not trained on.

    Args:
        head: its `calibration` buffer is set.
        logits: [P] float.
        is_similar: [P] bool.
    """
    head.calibration.copy_(torch.tensor(fit_platt(logits, is_similar)))


def fit_platt(logits: Tensor, is_similar: Tensor) -> tuple[float, float]:
    """Slope and offset with which sigmoid(slope * logit + offset) is P(similar).

    The slope is never negative, so that calibration never turns the ranking around. Logits that
    are all the same say nothing: the slope is then 0 and the probability the share of similar
    pairs.

    Args:
        logits: [P] float.
        is_similar: [P] bool.

    Source: Platt, "Probabilistic outputs for support vector machines", 1999.
    """
    values, target = logits.detach().double().cpu(), is_similar.double().cpu()
    mean, spread = values.mean(), values.std(correction=0)
    if not spread > _CONSTANT * values.square().mean().sqrt():
        # One pair of each kind is added, so that a single kind gives no endless offset.
        share = (target.sum() + 1.0) / (len(target) + 2.0)
        return 0.0, float(torch.logit(share))
    unit_slope, offset = _fit_unit((values - mean) / spread, target)
    slope = unit_slope / float(spread)
    return slope, offset - slope * float(mean)


def _fit_unit(unit: Tensor, target: Tensor) -> tuple[float, float]:
    """The same for logits [P] float64 of mean 0 and spread 1.

    The gradient is worked out by hand: autograd would start a thread for each device it sees, and
    a process that has such threads forks children that can use it no more.
    """
    log_slope, offset = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    optimizer = torch.optim.LBFGS(
        [log_slope, offset], max_iter=_MAX_STEPS, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        """The loss; sets the gradient."""
        logit = log_slope.exp() * unit + offset
        loss = functional.binary_cross_entropy_with_logits(logit, target)
        error = (torch.sigmoid(logit) - target) / len(target)
        log_slope.grad = (error * unit).sum() * log_slope.exp() + 2 * _BREATH * log_slope
        offset.grad = error.sum() + 2 * _BREATH * offset
        return float(loss + _BREATH * (log_slope.square() + offset.square()))

    optimizer.step(closure)
    return float(log_slope.exp()), float(offset)
