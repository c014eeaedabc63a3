"""Adam, AdamW and SGD for K heads side by side, each with its own learning rate and weight decay.

torch's own optimisers have one learning rate per tensor. On a CPU their fused kernels are called
for each head's slice; elsewhere the same formulas are written out, so that one compiled kernel or
one CUDA graph holds them.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fec_cache.training.batched.kernels import Compiled
from fec_cache.training.batched.parameters import Parameters, laid_out, side_by_side, slice_of
from fec_cache.training.config import TrainConfig

SGD_MOMENTUM = 0.9
_BETAS, _EPS = (0.9, 0.999), 1e-8
_FUSED = {
    "adam": "_fused_adam_",
    "adamw": "_fused_adamw_",
    "sgd": "_fused_sgd_",
}


class Optimiser(ABC):
    """Moves parameters [*k, ...] along their gradients, in place."""

    def __init__(self, parameters: Parameters, configs: Sequence[TrainConfig]) -> None:
        """Start with moments of zero.

        Args:
            parameters: of K heads.
            configs: K, of one kind of optimiser.
        """
        self.num_heads = len(configs)
        num_moments = 1 if configs[0].optimizer == "sgd" else 2
        # One list for each moment: Adam's two, or the momentum.
        self.moments = [[torch.zeros_like(p) for p in parameters.swept] for _ in range(num_moments)]
        self.num_steps = torch.zeros((), device=parameters.swept[0].device)
        self._one = torch.ones_like(self.num_steps)

    @abstractmethod
    def step(self) -> None:
        """One step with the gradients as they are."""

    def state_of(self, indices: Sequence[int]) -> list[Tensor]:
        """Copies of the moments of some heads, and the number of steps [] last; all float32.

        Moments are shaped like what is swept: [*k, ...], and one padded vector [n] for one head.
        """
        if not indices:
            return []
        state: list[Tensor] = []
        for tensors in self.moments:
            chosen = [
                side_by_side([slice_of(m, index, self.num_heads) for index in indices])
                for m in tensors
            ]
            # One head alone is swept as a single vector.
            state += [laid_out(chosen)[0]] if len(indices) == 1 < self.num_heads else chosen
        return [*state, self.num_steps.clone()]

    def tensors(self) -> list[Tensor]:
        """The moments [*k, ...] and the number of steps [] themselves, not copies."""
        return [*(tensor for tensors in self.moments for tensor in tensors), self.num_steps]

    def restore(self, state: Sequence[Tensor]) -> None:
        """Continue from what `state_of` gave: moments [*k, ...], then the number of steps []."""
        for tensor, value in zip(self.tensors(), state, strict=True):
            tensor.copy_(value)


class FusedOptimiser(Optimiser):
    """torch's fused kernels, one call per head."""

    def __init__(self, parameters: Parameters, configs: Sequence[TrainConfig]) -> None:
        super().__init__(parameters, configs)
        self._is_first = True
        calls = []
        for index, config in enumerate(configs):
            parts = [
                [slice_of(tensor, index, len(configs)) for tensor in tensors]
                for tensors in (parameters.swept, parameters.swept_grads, *self.moments)
            ]
            calls.append(_fused_call(config, parts, self.num_steps))
        self._calls: tuple[Callable[[bool], object], ...] = tuple(calls)

    def step(self) -> None:
        """One step of each head."""
        self.num_steps.add_(self._one)
        for call in self._calls:
            call(self._is_first)
        self._is_first = False

    def restore(self, state: Sequence[Tensor]) -> None:
        """Continue from what `state_of` gave: moments [*k, ...], then the number of steps []."""
        super().restore(state)
        self._is_first = bool(self.num_steps == 0)


class WrittenOptimiser(Optimiser):
    """The same formulas in plain torch operations, for all heads at once."""

    def __init__(self, parameters: Parameters, configs: Sequence[TrainConfig]) -> None:
        super().__init__(parameters, configs)
        device, move = self.num_steps.device, _WRITTEN[configs[0].optimizer]
        # On a CPU, compiling could save at most the fifth of a step that is neither products nor
        # Adam, and it takes longer to start than most trainings last (decision 8).
        self._move = Compiled(move) if device.type == "cuda" else move
        self._values, self._grads = parameters.swept, parameters.swept_grads
        lr = torch.tensor([config.lr for config in configs], device=device)
        decay = torch.tensor([config.weight_decay for config in configs], device=device)
        if len(configs) == 1:
            lr, decay = lr[0], decay[0]
        # [*k, 1, ...], to broadcast against each parameter.
        self._rates = [
            (lr.view(*lr.shape, *tail), decay.view(*lr.shape, *tail))
            for tail in ([1] * (p.dim() - lr.dim()) for p in self._values)
        ]

    def step(self) -> None:
        """One step of all heads."""
        self.num_steps.add_(self._one)
        for index, (value, grad) in enumerate(zip(self._values, self._grads, strict=True)):
            moments = [tensors[index] for tensors in self.moments]
            self._move(value, grad, *self._rates[index], self.num_steps, *moments)


def _sgd(
    value: Tensor, grad: Tensor, lr: Tensor, decay: Tensor, _: Tensor, momentum: Tensor
) -> None:
    momentum.mul_(SGD_MOMENTUM).add_(grad + decay * value)
    value.sub_(lr * momentum)


def _adam(
    value: Tensor, grad: Tensor, lr: Tensor, decay: Tensor, steps: Tensor, *moments: Tensor
) -> None:
    _adam_move(value, grad + decay * value, lr, steps, *moments)


def _adamw(
    value: Tensor, grad: Tensor, lr: Tensor, decay: Tensor, steps: Tensor, *moments: Tensor
) -> None:
    value.mul_(1.0 - lr * decay)
    _adam_move(value, grad, lr, steps, *moments)


def _adam_move(
    value: Tensor, grad: Tensor, lr: Tensor, steps: Tensor, first: Tensor, second: Tensor
) -> None:
    one, two = _BETAS
    first.lerp_(grad, 1.0 - one)
    second.mul_(two).addcmul_(grad, grad, value=1.0 - two)
    # 1 - beta ** steps without the cancellation that float32 cannot represent.
    corrections = [-torch.expm1(steps * math.log(beta)) for beta in _BETAS]
    size = (second / corrections[1]).sqrt().add_(_EPS)
    value.sub_(lr / corrections[0] * first / size)


_WRITTEN: dict[str, Callable[..., None]] = {"adam": _adam, "adamw": _adamw, "sgd": _sgd}


def make_optimiser(parameters: Parameters, configs: Sequence[TrainConfig]) -> Optimiser:
    """The fastest optimiser for the parameters of K heads.

    Args:
        parameters: changed in place.
        configs: K, of one kind of optimiser.
    """
    is_fused = hasattr(torch, _FUSED[configs[0].optimizer])
    if parameters.swept[0].device.type == "cpu" and is_fused:
        return FusedOptimiser(parameters, configs)
    return WrittenOptimiser(parameters, configs)


def _fused_call(
    config: TrainConfig, parts: list[list[Tensor]], step: Tensor
) -> Callable[[bool], object]:
    kernel = getattr(torch, _FUSED[config.optimizer])
    lr, weight_decay = config.lr, config.weight_decay
    if config.optimizer == "sgd":
        parameters, grads, momenta = parts

        def sgd(is_first: bool) -> object:
            """One step; the first one sets the momentum."""
            return kernel(
                parameters, grads, momenta, lr=lr, weight_decay=weight_decay,
                momentum=SGD_MOMENTUM, dampening=0.0, nesterov=False, maximize=False,
                is_first_step=is_first,
            )  # fmt: skip

        return sgd
    parameters, grads, first, second = parts
    steps = [step] * len(parameters)

    def adam(_: bool) -> object:
        """One step."""
        return kernel(
            parameters, grads, first, second, [], steps, lr=lr, beta1=_BETAS[0], beta2=_BETAS[1],
            weight_decay=weight_decay, eps=_EPS, amsgrad=False, maximize=False,
        )  # fmt: skip

    return adam
