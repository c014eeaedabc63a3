"""Folding batch normalisation into the preceding convolution: same features, fewer operations.

Which of them belong together is observed in a run, not guessed from names: the input of the batch
normalisation is the very tensor that the convolution returned.
"""

import copy
from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_LEAST_COSINE = 0.99999


def fold_batch_norms(module: nn.Module, images: Tensor) -> nn.Module:
    """Return a copy of a frozen network with batch normalisations folded into convolutions.

    Args:
        module: images -> {name: features}, float32, in evaluation mode.
        images: [B, 3, S, S] float32, to compare the features before and after.

    Returns:
        The copy; a plain copy if folding would change the features.
    """
    folded = copy.deepcopy(module)
    if not any(isinstance(part, nn.BatchNorm2d) for part in module.modules()):
        return folded
    with torch.inference_mode():
        pairs, expected = _observe_pairs(folded, images)
    for convolution, norm in pairs:
        _fold(folded, convolution, norm)
    with torch.inference_mode():
        features = folded(images)
    cosines = [smallest_cosine(features[key], expected[key]) for key in expected]
    return folded if min(cosines, default=1.0) >= _LEAST_COSINE else copy.deepcopy(module)


def smallest_cosine(first: Tensor, second: Tensor) -> float:
    """Return the smallest cosine between corresponding rows of two matrices [B, D].

    It is 1 for two rows of zeros, and -1 for rows that are not finite.
    """
    first, second = first.double().flatten(1), second.double().flatten(1)
    lengths = first.norm(dim=1) * second.norm(dim=1)
    cosines = (first * second).sum(1) / lengths.clamp_min(torch.finfo(torch.float64).tiny)
    both_zero = (first == 0).all(1) & (second == 0).all(1)
    cosines = torch.where(both_zero, torch.ones_like(cosines), cosines)
    return float(cosines.nan_to_num(-1.0, -1.0, -1.0).clamp(-1.0, 1.0).min())


def _observe_pairs(
    module: nn.Module, images: Tensor
) -> tuple[list[tuple[str, str]], Mapping[str, Tensor]]:
    """Return the names of each convolution and the norm that reads its output, and the features.

    Only pairs in which both run once and no other norm reads the convolution.
    """
    # The tensor is kept as well: the id of a deleted one could be reused.
    outputs: dict[int, tuple[str, Tensor]] = {}
    runs: Counter[str] = Counter()
    pairs: list[tuple[str, str]] = []
    names = {part: name for name, part in module.named_modules()}

    def observe(part: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        """Record a convolution's output [B, C, H, W], and which norm reads it."""
        runs[names[part]] += 1
        if type(part) is nn.Conv2d:
            outputs[id(output)] = (names[part], output)
        elif isinstance(part, nn.BatchNorm2d) and id(args[0]) in outputs:
            pairs.append((outputs[id(args[0])][0], names[part]))

    hooks = [part.register_forward_hook(observe) for part in names if _is_observed(part)]
    try:
        features: Mapping[str, Tensor] = module(images)
    finally:
        for hook in hooks:
            hook.remove()
    uses = Counter(convolution for convolution, _ in pairs)
    once = [
        (convolution, norm)
        for convolution, norm in pairs
        if runs[convolution] == runs[norm] == uses[convolution] == 1
    ]
    return once, features


def _is_observed(part: nn.Module) -> bool:
    return type(part) is nn.Conv2d or isinstance(part, nn.BatchNorm2d)


def _fold(module: nn.Module, convolution: str, norm: str) -> None:
    old = module.get_submodule(norm)
    # timm's batch normalisation contains its activation.
    rest = [part for name in ("drop", "act") if (part := getattr(old, name, None)) is not None]
    folded: nn.Module = fuse_conv_bn_eval(module.get_submodule(convolution), old)  # type: ignore[type-var,arg-type]
    _replace(module, convolution, folded.requires_grad_(False))
    _replace(module, norm, nn.Sequential(*rest))


def _replace(module: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    old = module.get_submodule(name)
    # The removed part may carry the hook that reads features.
    part._forward_hooks.update(old._forward_hooks)
    setattr(module.get_submodule(parent), last, part.eval())
