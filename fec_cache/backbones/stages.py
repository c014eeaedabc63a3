"""Stages: what the layer words mean in a given network.

The flow inside `backbones`: `load` builds a network, this module finds its stages by one dry run,
`layers` reads them.

A stage's map is the output of the last of the outermost modules at its stride: ResNet's `layer1`
to `layer4`, EfficientNet's `features.2`, `.3`, `.5` and all of `features`. A network of tokens
(ViT) has no strides: its stages are the blocks at 1/4, 2/4, 3/4 and 4/4 of the depth, without the
class token, arranged as the square of patches in reading order.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fec_cache.backbones.layers import LAYER_WORD, NUM_STAGES, POOL, Form, Stage
from fec_cache.errors import BadOption

Shapes = dict[str, tuple[int, ...]]

_MAX_DEPTH = 1


def find_stages(network: nn.Module, input_size: int, pool_path: str) -> dict[str, Stage]:
    """Find what the layer words mean in a network, by one dry run.

    Args:
        network: the network in evaluation mode, its classifier replaced by `nn.Identity`.
        input_size: S of the images [B, 3, S, S] that it takes.
        pool_path: dotted name of the module whose output is what the classifier read.

    Returns:
        "avgpool" and those of "layer1" to "layer4" that the network has.

    Raises:
        BadOption: the output of the network is not one tensor [B, C] or [B, C, H, W].
    """
    shapes = _dry_run(network, input_size)
    pool = shapes.get(pool_path, ())
    if len(pool) not in (2, 4):
        raise BadOption(
            f"{type(network).__name__} does not return one vector per image. "
            "Choose another backbone."
        )
    stages = _stages_by_stride(network, shapes, input_size, pool_path)
    if len(stages) < 2:
        # A ViT's one map is its patch embedding.
        stages = _stages_by_depth(network, shapes) or stages
    before = shapes.get(POOL, ())
    # VGG and AlexNet pool to 7 x 7 or 6 x 6 and hand all of it to the classifier.
    if len(before) == 4 and math.prod(before) == math.prod(pool):
        pool_path, pool = POOL, before
    return {POOL: Stage(pool_path, Form.POOLED, pool[1]), **stages}


def _dry_run(network: nn.Module, input_size: int) -> Shapes:
    """Return the output shape of every module that runs, in the order in which they end."""
    tensors = (*network.named_parameters(), *network.named_buffers())
    # Meta tensors have a shape but no values: milliseconds even for the largest network.
    weightless = {name: tensor.detach().to("meta") for name, tensor in tensors}
    images = torch.zeros(1, 3, input_size, input_size)
    with _recording_shapes(network) as shapes, torch.no_grad():
        try:
            # Untied: torch would leave meta tensors in modules that are registered twice.
            functional_call(network, weightless, (images.to("meta"),), tie_weights=False)
        except (NotImplementedError, RuntimeError):
            # A few networks read values in their forward pass, which meta tensors do not have.
            shapes.clear()
            network(images)
    return shapes


@contextmanager
def _recording_shapes(network: nn.Module) -> Iterator[Shapes]:
    shapes: Shapes = {}
    names = {module: name for name, module in network.named_modules()}

    def record(module: nn.Module, args: object, output: object) -> None:
        """Record the shape of a module's output."""
        shapes.pop(names[module], None)  # a module that runs twice counts by its last run
        if isinstance(output, Tensor) and output.shape[0] == 1:
            shapes[names[module]] = tuple(output.shape)

    hooks = [module.register_forward_hook(record) for module in names]
    try:
        yield shapes
    finally:
        for hook in hooks:
            hook.remove()


def _stages_by_stride(
    network: nn.Module, shapes: Shapes, input_size: int, pool_path: str
) -> dict[str, Stage]:
    stages: dict[str, Stage] = {}
    depths: dict[str, int] = {}
    for path, shape in shapes.items():
        stage = _stage_of_map(path, shape)
        if stage is None or path in ("", pool_path):
            continue
        # Rounded on a log scale: convolutions without padding turn 299 into 71, not 75.
        name = f"layer{round(math.log2(input_size / stage.side)) - 1}"
        depth = _depth(network, path)
        if LAYER_WORD.fullmatch(name) and depth <= depths.get(name, _MAX_DEPTH):
            stages[name], depths[name] = stage, depth
    return stages


def _depth(network: nn.Module, path: str) -> int:
    """Return a module's depth; children of an outermost chain count as outermost themselves."""
    outermost = network.get_submodule(path.partition(".")[0])
    is_in_chain = "." in path and isinstance(outermost, (nn.Sequential, nn.ModuleList))
    return path.count(".") - is_in_chain


def _stage_of_map(path: str, shape: tuple[int, ...]) -> Stage | None:
    if len(shape) == 4 and shape[2] == shape[3]:
        return Stage(path, Form.CHANNELS_FIRST, shape[1], shape[2])
    if len(shape) == 4 and shape[1] == shape[2]:
        return Stage(path, Form.CHANNELS_LAST, shape[3], shape[1])
    return None


def _stages_by_depth(network: nn.Module, shapes: Shapes) -> dict[str, Stage]:
    blocks: dict[tuple[object, ...], list[str]] = {}
    for path, shape in shapes.items():
        module = network.get_submodule(path)
        if len(shape) == 3 and not isinstance(module, nn.Identity):
            kind = (path.rpartition(".")[0], type(module), shape)
            blocks.setdefault(kind, []).append(path)
    longest = max(blocks.values(), key=len, default=[])
    if len(longest) < NUM_STAGES:
        return {}
    _, num_tokens, channels = shapes[longest[0]]
    ends = [math.ceil(len(longest) * k / NUM_STAGES) - 1 for k in range(1, NUM_STAGES + 1)]
    return {
        f"layer{k}": Stage(longest[end], Form.TOKENS, channels, math.isqrt(num_tokens))
        for k, end in enumerate(ends, 1)
    }
