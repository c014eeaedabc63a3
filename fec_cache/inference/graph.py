"""A frozen network as one straight line of operations, with oneDNN's fused ones on a CPU.

The network is not read, it is run once on tensors without numbers, and what it does is noted down
(batch normalisation is folded before, see `fusion`). In that list a convolution takes over the
activation behind it and the sum with a residual branch, its weights are brought into oneDNN's own
order once and not at every pass, and max pooling is done by strided maxima. In float32, where a
core's arithmetic is the limit, convolutions of 3 x 3 go by Winograd's algorithm. The numbers
stay the same but for roundings.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx
from torch.func import functionalize
from torch.fx.experimental.proxy_tensor import make_fx

from fec_cache.inference.pooling import pooled_convolution, rows_at_once, strided_max
from fec_cache.inference.winograd import is_worthwhile, winograd_convolution, winograd_weights

_ATEN: Any = torch.ops.aten
_ONEDNN: Any = torch.ops.mkldnn
_ACTIVATIONS = {
    _ATEN.relu.default: "relu",
    _ATEN.hardtanh.default: "hardtanh",
    _ATEN.hardswish.default: "hardswish",
    _ATEN.silu.default: "swish",
}


def traced(forward: Callable[[Tensor], Mapping[str, Tensor]], images: Tensor) -> fx.GraphModule:
    """What a forward pass does to images of one shape, without changes in place.

    Args:
        forward: images [B, 3, S, S] -> {name: [B, ...]}; a network that looks at numbers on its
            way fails here, with torch's own errors of many kinds.
        images: of the shape, dtype, device and memory order that will be run.
    """
    pure = functionalize(forward, remove="mutations")
    with torch.no_grad():
        trace = make_fx(pure, tracing_mode="fake", _allow_non_fake_inputs=True)
        graph: fx.GraphModule = trace(images)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def use_onednn(graph: fx.GraphModule) -> bool:
    """Put oneDNN's fused operations into a traced network on a CPU; the graph is changed.

    Returns:
        Whether most convolutions took something over, so that it is worth while.
    """
    nodes = list(graph.graph.nodes)
    num_fused = 0
    for node in nodes:
        if _is_ours(node):
            num_fused += _fuse(graph, node)
        elif _is_usual_pool(node):
            _pool(graph, node)
    graph.graph.eliminate_dead_code()
    _overwrite_residuals(graph)
    graph.recompile()
    return 2 * num_fused > sum(_is_convolution(node) for node in nodes)


def _args(node: Any) -> list[Any]:
    return list(node.args)


def _value(node: Any) -> Tensor:
    """A stand-in for the tensor that a node gives: shape and dtype, no numbers."""
    value: Tensor = node.meta["val"]
    return value


def _is_convolution(node: fx.Node) -> bool:
    return node.target is _ATEN.convolution.default


def _is_ours(node: fx.Node) -> bool:
    return _is_convolution(node) and _value(node).ndim == 4 and not _args(node)[6]


def _is_usual_pool(node: fx.Node) -> bool:
    """Whether this takes the maxima, and not their places, from a pool that `strided_max` knows."""
    if node.target is not operator.getitem or node.args[1] != 0:
        return False
    pool: Any = node.args[0]
    # More arguments would be a dilation, or sizes that are rounded up.
    if pool.target is not _ATEN.max_pool2d_with_indices.default or len(pool.args) > 4:
        return False
    images, *sizes = _pool_args(pool)
    shape = _value(images).shape
    is_plane = len(shape) == 4 and all(len(pair) == 2 for pair in sizes)
    return is_plane and all(_reaches_all(*each) for each in zip(shape[2:], *sizes, strict=True))


def _pool_args(pool: Any) -> list[Any]:
    """Images, kernel, stride and padding; a trace leaves out what is at its default."""
    images, kernel, stride, padding = [*_args(pool), [], [0, 0]][:4]
    return [images, kernel, stride or kernel, padding or [0, 0]]


def _reaches_all(length: int, kernel: int, stride: int, padding: int) -> bool:
    """Whether two places of the kernel lie inside of the picture for every output."""
    last = ((length + 2 * padding - kernel) // stride) * stride
    return sum(last + offset < length for offset in range(kernel - padding)) >= 2


def _pool(graph: fx.GraphModule, node: fx.Node) -> None:
    """Pool by strided maxima, at once with the convolution before if nobody else reads that."""
    images, *sizes = _pool_args(node.args[0])
    sizes.append(_is_rectified(images))
    if images.target is not _ONEDNN._convolution_pointwise.default or _only_user(images) is None:
        _put(node, node, strided_max, [images, *sizes])
        return
    pictures, *convolution = _args(images)
    maps = _value(images)
    rows = rows_at_once(len(maps), maps[0].numel() * maps.dtype.itemsize)
    shape = list(_value(node).shape)
    _put(node, node, pooled_convolution, [pictures, rows, convolution, sizes, shape])


def _is_rectified(node: Any) -> bool:
    if node.target is _ONEDNN._convolution_pointwise.default:
        return bool(node.args[7] == "relu")
    if node.target is winograd_convolution:
        return bool(node.args[4])
    return bool(node.target is _ATEN.relu.default)


def _fuse(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Let a convolution do what stands behind it; whether there was something."""
    if _suits_winograd(graph, node):
        return _fuse_winograd(graph, node)
    images, weight, bias, stride, padding, dilation, _, _, groups = _args(node)
    order = (padding, stride, dilation, groups)
    whole = getattr(graph, weight.target).detach()
    packed = _ONEDNN._reorder_convolution_weight(whole, *order, list(_value(images).shape))
    rest = [_weights(graph, node, packed), bias, *order]
    behind = _only_user(node)
    if behind is not None and _is_sum(behind):
        _fuse_sum(node, behind, images, rest)
        return True
    has_activation = behind is not None and behind.target in _ACTIVATIONS
    last = behind if behind is not None and has_activation else node
    words = ["none", [], ""]
    if last is not node:
        words = [_ACTIVATIONS[last.target], _args(last)[1:], ""]
    _put(node, last, _ONEDNN._convolution_pointwise.default, [images, *rest, *words])
    return last is not node


def _suits_winograd(graph: fx.GraphModule, node: fx.Node) -> bool:
    images, weight, _, stride, padding, dilation, _, _, groups = _args(node)
    kernel = tuple(getattr(graph, weight.target).shape[2:])
    is_usual = kernel == (3, 3) and groups == 1 and {*stride, *padding, *dilation} == {1}
    _, channels, height, width = _value(images).shape
    outputs = _value(node).shape[1]
    is_float32 = _value(images).dtype == torch.float32
    return is_usual and is_float32 and is_worthwhile(channels, outputs, height, width)


def _fuse_winograd(graph: fx.GraphModule, node: fx.Node) -> bool:
    images, weight, bias, *_ = _args(node)
    inside = winograd_weights(getattr(graph, weight.target).detach())
    last, other = node, None
    behind = _only_user(node)
    if behind is not None and _is_sum(behind):
        last, other = behind, _other_of(behind, node)
    last, has_relu = _with_relu(last)
    words = [_weights(graph, node, inside), bias, other, has_relu]
    _put(last, last, winograd_convolution, [images, *words])
    return last is not node


def _weights(graph: fx.GraphModule, node: fx.Node, values: Tensor) -> fx.Node:
    """Keep the weights of a convolution in the graph, ready for the operation that takes over."""
    name = f"weights_of_{node.name}"
    graph.register_buffer(name, values, persistent=False)
    with graph.graph.inserting_before(node):
        return graph.graph.create_node("get_attr", name)


def _fuse_sum(node: fx.Node, total: fx.Node, images: fx.Node, rest: list[Any]) -> None:
    last, has_relu = _with_relu(total)
    words = ["add", 1.0, "relu" if has_relu else None, [], None]
    arguments = [images, _other_of(total, node), *rest, *words]
    _put(last, last, _ONEDNN._convolution_pointwise.binary, arguments)


def _other_of(total: fx.Node, node: fx.Node) -> fx.Node:
    """The other part of a sum."""
    other: fx.Node = next(part for part in _args(total) if part is not node)
    return other


def _with_relu(node: fx.Node) -> tuple[fx.Node, bool]:
    """The rectification of a node, if that is all that reads it; else the node itself."""
    behind = _only_user(node)
    if behind is not None and behind.target is _ATEN.relu.default:
        return behind, True
    return node, False


def _overwrite_residuals(graph: fx.GraphModule) -> None:
    """Let sums write into the residual where nobody reads it afterwards.

    Once all is fused: until then a reader may still move behind the sum.
    """
    for node in graph.graph.nodes:
        if node.target is winograd_convolution:
            images, weights, bias, other, has_relu = node.args
            if _is_free(images, other, node):
                node.args = (images, weights, bias, other, has_relu, True)
        elif node.target is _ONEDNN._convolution_pointwise.binary:
            images, other, *rest = node.args
            if _is_free(images, other, node):
                node.target = _ONEDNN._convolution_pointwise_.binary
                node.args = (other, images, *rest)


def _is_free(images: fx.Node, other: fx.Node | None, total: fx.Node) -> bool:
    # oneDNN reads its images while it writes.
    return other is not None and other is not images and _may_be_overwritten(other, total)


def _is_sum(node: fx.Node) -> bool:
    if node.target is not _ATEN.add.Tensor or node.kwargs:
        return False
    first, second = _args(node)
    if not isinstance(second, fx.Node) or first is second:
        return False
    one, other = _value(first), _value(second)
    return one.shape == other.shape and one.dtype == other.dtype


def _may_be_overwritten(other: fx.Node, total: fx.Node) -> bool:
    """Whether a tensor is the graph's own, is seen through no view, and is read by a sum last."""
    if not all(_is_fresh(node) for node in (other, *other.users) if node is not total):
        return False
    after = total.next
    while after.op != "root":
        if after in other.users:
            return False
        after = after.next
    return True


# By name: a torch without oneDNN does not have them all.
_FRESH = {
    "aten.convolution.default",
    "aten.relu.default",
    "aten._to_copy.default",
    "mkldnn._convolution_pointwise.default",
    "mkldnn._convolution_pointwise.binary",
    "mkldnn._convolution_pointwise_.binary",
}


def _is_fresh(node: fx.Node) -> bool:
    """Whether a node gives a tensor of its own, no view of what it reads."""
    return (
        node.target in (strided_max, pooled_convolution, winograd_convolution)
        or str(node.target) in _FRESH
    )


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _put(place: fx.Node, replaced: fx.Node, target: Callable[..., object], args: list[Any]) -> None:
    """Call something before one node, in the place of another."""
    with place.graph.inserting_before(place):
        fused = place.graph.create_node("call_function", target, tuple(args))
    fused.meta = dict(replaced.meta)
    replaced.replace_all_uses_with(fused)
