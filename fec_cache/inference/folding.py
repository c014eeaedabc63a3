"""Batch normalisation folded into the convolutions before it: same numbers, fewer passes.

Which of them belong together is not guessed from names but seen in a run: a batch normalisation
whose input is the very tensor that a convolution gave.
"""

import copy
from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_SAME = 0.99999


def fused(module: nn.Module, images: Tensor) -> nn.Module:
    """A copy of a frozen network without the batch normalisations that convolutions can take over.

    Args:
        module: images -> {name: features}, float32, in evaluation mode.
        images: [B, 3, S, S] to try it on.

    Returns:
        The copy; unchanged where folding would change what the network gives.
    """
    folded = copy.deepcopy(module)
    if not any(isinstance(part, nn.BatchNorm2d) for part in module.modules()):
        return folded
    with torch.inference_mode():
        pairs, wanted = _pairs(folded, images)
    for convolution, norm in pairs:
        _fold(folded, convolution, norm)
    with torch.inference_mode():
        found = folded(images)
    is_same = all(smallest_cosine(found[key], wanted[key]) >= _SAME for key in wanted)
    return folded if is_same else copy.deepcopy(module)


def smallest_cosine(found: Tensor, wanted: Tensor) -> float:
    """Smallest cosine between the rows of two matrices [B, D]; 1 where both rows are zero.

    A row that is not finite counts as -1.
    """
    found, wanted = found.double().flatten(1), wanted.double().flatten(1)
    lengths = found.norm(dim=1) * wanted.norm(dim=1)
    cosines = (found * wanted).sum(1) / lengths.clamp_min(torch.finfo(torch.float64).tiny)
    both_zero = (found == 0).all(1) & (wanted == 0).all(1)
    cosines = torch.where(both_zero, torch.ones_like(cosines), cosines)
    return float(cosines.nan_to_num(-1.0, -1.0, -1.0).clamp(-1.0, 1.0).min())


def _pairs(module: nn.Module, images: Tensor) -> tuple[list[tuple[str, str]], Mapping[str, Tensor]]:
    """Names of each convolution and of the normalisation that reads its output, seen in a run.

    Also what the run gave.
    """
    given: dict[int, tuple[str, Tensor]] = {}  # the tensor is kept: its id must stay its own
    runs: Counter[str] = Counter()
    pairs: list[tuple[str, str]] = []
    names = {part: name for name, part in module.named_modules()}

    def note(part: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        """Remember what a convolution gave, and who took it."""
        runs[names[part]] += 1
        if type(part) is nn.Conv2d:
            given[id(output)] = (names[part], output)
        elif isinstance(part, nn.BatchNorm2d) and id(args[0]) in given:
            pairs.append((given[id(args[0])][0], names[part]))

    hooks = [part.register_forward_hook(note) for part in names if _is_of_interest(part)]
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


def _is_of_interest(part: nn.Module) -> bool:
    return type(part) is nn.Conv2d or isinstance(part, nn.BatchNorm2d)


def _fold(module: nn.Module, convolution: str, norm: str) -> None:
    old = module.get_submodule(norm)
    # timm's batch normalisation brings its activation along.
    rest = [part for name in ("drop", "act") if (part := getattr(old, name, None)) is not None]
    folded: nn.Module = fuse_conv_bn_eval(module.get_submodule(convolution), old)  # type: ignore[type-var,arg-type]
    _replace(module, convolution, folded.requires_grad_(False))
    _replace(module, norm, nn.Sequential(*rest))


def _replace(module: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    old = module.get_submodule(name)
    # A tap may sit on the part that goes.
    part._forward_hooks.update(old._forward_hooks)
    setattr(module.get_submodule(parent), last, part.eval())
