"""A frozen network as a flat list of operations, with oneDNN's fused operations on a CPU.

The network is traced: it runs once on tensors without values, and its operations are recorded
(batch normalisation was folded before, see `folding`). In that list each convolution is fused with
the following activation and residual sum, its weights are brought into oneDNN's memory layout once
instead of in every pass, and max pooling uses strided maxima. In float32, where arithmetic is the
limit, 3 x 3 convolutions use Winograd's algorithm. Values change by rounding only.

Measured with ResNet18 (docs/performance.md): half the time in bf16, 10 % less in fp32, and with
Winograd's algorithm 0.78 of the time in fp32.
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


def trace(forward: Callable[[Tensor], Mapping[str, Tensor]], images: Tensor) -> fx.GraphModule:
    """Return the operations of a forward pass on images of one shape, without in-place changes.

    Args:
        forward: images [B, 3, S, S] -> {name: [B, ...]}.
        images: with the shape, dtype, device and memory format that will be run.

    Raises:
        Exception: many of torch's own types, if the control flow depends on values.
    """
    pure = functionalize(forward, remove="mutations")
    with torch.no_grad():
        make_graph = make_fx(pure, tracing_mode="fake", _allow_non_fake_inputs=True)
        graph: fx.GraphModule = make_graph(images)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def use_onednn(graph: fx.GraphModule) -> bool:
    """Replace operations of a traced network on a CPU by oneDNN's fused ones, in place.

    Returns:
        Whether most convolutions were fused with another operation, so that it pays off.
    """
    nodes = list(graph.graph.nodes)
    num_fused = 0
    for node in nodes:
        if _is_plane_convolution(node):
            num_fused += _fuse(graph, node)
        elif _is_supported_pool(node):
            _replace_pool(graph, node)
    graph.graph.eliminate_dead_code()
    # After all fusing, because until then a reader of the residual may still move behind the sum.
    _overwrite_residuals(graph)
    graph.recompile()
    return 2 * num_fused > sum(_is_convolution(node) for node in nodes)


def _args(node: Any) -> list[Any]:
    return list(node.args)


def _value(node: Any) -> Tensor:
    """Return a fake tensor with shape and dtype of a node's output, without values."""
    value: Tensor = node.meta["val"]
    return value


def _is_convolution(node: fx.Node) -> bool:
    return node.target is _ATEN.convolution.default


def _is_plane_convolution(node: fx.Node) -> bool:
    """Whether this is a 2-d convolution, and not a transposed one."""
    return _is_convolution(node) and _value(node).ndim == 4 and not _args(node)[6]


def _is_supported_pool(node: fx.Node) -> bool:
    """Whether a node reads the maxima, not their positions, of a pool that `strided_max` can do."""
    if node.target is not operator.getitem or node.args[1] != 0:
        return False
    pool: Any = node.args[0]
    # More arguments would be a dilation or ceil_mode.
    if pool.target is not _ATEN.max_pool2d_with_indices.default or len(pool.args) > 4:
        return False
    images, *sizes = _pool_args(pool)
    shape = _value(images).shape
    is_plane = len(shape) == 4 and all(len(pair) == 2 for pair in sizes)
    return is_plane and all(
        _has_two_inputs_everywhere(*each) for each in zip(shape[2:], *sizes, strict=True)
    )


def _pool_args(pool: Any) -> list[Any]:
    """Return images, kernel, stride and padding; a trace omits arguments with default values."""
    images, kernel, stride, padding = [*_args(pool), [], [0, 0]][:4]
    return [images, kernel, stride or kernel, padding or [0, 0]]


def _has_two_inputs_everywhere(length: int, kernel: int, stride: int, padding: int) -> bool:
    """Whether the kernel covers at least two positions of the map for every output."""
    last = ((length + 2 * padding - kernel) // stride) * stride
    return sum(last + offset < length for offset in range(kernel - padding)) >= 2


def _replace_pool(graph: fx.GraphModule, node: fx.Node) -> None:
    """Pool by strided maxima, together with the convolution if nothing else reads its output."""
    images, *sizes = _pool_args(node.args[0])
    sizes.append(_is_rectified(images))
    if images.target is not _ONEDNN._convolution_pointwise.default or _only_user(images) is None:
        _insert_call(node, node, strided_max, [images, *sizes])
        return
    pictures, *convolution = _args(images)
    maps = _value(images)
    rows = rows_at_once(len(maps), maps[0].numel() * maps.dtype.itemsize)
    shape = list(_value(node).shape)
    _insert_call(node, node, pooled_convolution, [pictures, rows, convolution, sizes, shape])


def _is_rectified(node: Any) -> bool:
    if node.target is _ONEDNN._convolution_pointwise.default:
        return bool(node.args[7] == "relu")
    if node.target is winograd_convolution:
        return bool(node.args[4])
    return bool(node.target is _ATEN.relu.default)


def _fuse(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Fuse a convolution with the operations after it; whether there were any to fuse."""
    if _suits_winograd(graph, node):
        return _fuse_winograd(graph, node)
    images, weight, bias, stride, padding, dilation, _, _, groups = _args(node)
    # oneDNN's operations take their arguments in another order than aten's convolution.
    sizes = (padding, stride, dilation, groups)
    original = getattr(graph, weight.target).detach()
    packed = _ONEDNN._reorder_convolution_weight(original, *sizes, list(_value(images).shape))
    arguments = [_add_weights(graph, node, packed), bias, *sizes]
    following = _only_user(node)
    if following is not None and _is_sum(following):
        _fuse_sum(node, following, images, arguments)
        return True
    has_activation = following is not None and following.target in _ACTIVATIONS
    last = following if following is not None and has_activation else node
    activation = ["none", [], ""]
    if last is not node:
        activation = [_ACTIVATIONS[last.target], _args(last)[1:], ""]
    target = _ONEDNN._convolution_pointwise.default
    _insert_call(node, last, target, [images, *arguments, *activation])
    return last is not node


def _suits_winograd(graph: fx.GraphModule, node: fx.Node) -> bool:
    images, weight, _, stride, padding, dilation, _, _, groups = _args(node)
    kernel = tuple(getattr(graph, weight.target).shape[2:])
    is_plain = kernel == (3, 3) and groups == 1 and {*stride, *padding, *dilation} == {1}
    _, channels, height, width = _value(images).shape
    outputs = _value(node).shape[1]
    is_float32 = _value(images).dtype == torch.float32
    return is_plain and is_float32 and is_worthwhile(channels, outputs, height, width)


def _fuse_winograd(graph: fx.GraphModule, node: fx.Node) -> bool:
    images, weight, bias, *_ = _args(node)
    transformed = winograd_weights(getattr(graph, weight.target).detach())
    last, other = node, None
    following = _only_user(node)
    if following is not None and _is_sum(following):
        last, other = following, _other_summand(following, node)
    last, has_relu = _with_relu(last)
    weights = _add_weights(graph, node, transformed)
    _insert_call(last, last, winograd_convolution, [images, weights, bias, other, has_relu])
    return last is not node


def _add_weights(graph: fx.GraphModule, node: fx.Node, values: Tensor) -> fx.Node:
    """Store prepared weights of a convolution in the graph; the node that reads them."""
    name = f"weights_of_{node.name}"
    graph.register_buffer(name, values, persistent=False)
    with graph.graph.inserting_before(node):
        return graph.graph.create_node("get_attr", name)


def _fuse_sum(node: fx.Node, total: fx.Node, images: fx.Node, arguments: list[Any]) -> None:
    last, has_relu = _with_relu(total)
    operations = ["add", 1.0, "relu" if has_relu else None, [], None]
    arguments = [images, _other_summand(total, node), *arguments, *operations]
    _insert_call(last, last, _ONEDNN._convolution_pointwise.binary, arguments)


def _other_summand(total: fx.Node, node: fx.Node) -> fx.Node:
    other: fx.Node = next(part for part in _args(total) if part is not node)
    return other


def _with_relu(node: fx.Node) -> tuple[fx.Node, bool]:
    """Return the ReLU after a node if nothing else reads the node; otherwise the node itself."""
    following = _only_user(node)
    if following is not None and following.target is _ATEN.relu.default:
        return following, True
    return node, False


def _overwrite_residuals(graph: fx.GraphModule) -> None:
    """Let sums write into the residual if nothing reads it afterwards."""
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
    # Not the images: oneDNN still reads them while it writes the result.
    return other is not None and other is not images and _may_be_overwritten(other, total)


def _is_sum(node: fx.Node) -> bool:
    if node.target is not _ATEN.add.Tensor or node.kwargs:
        return False
    first, second = _args(node)
    if not isinstance(second, fx.Node) or first is second:
        return False
    left, right = _value(first), _value(second)
    return left.shape == right.shape and left.dtype == right.dtype


def _may_be_overwritten(other: fx.Node, total: fx.Node) -> bool:
    """Whether the graph owns a tensor, has no views of it, and reads it last in a sum."""
    if not all(_allocates(node) for node in (other, *other.users) if node is not total):
        return False
    after = total.next
    while after.op != "root":
        if after in other.users:
            return False
        after = after.next
    return True


# By name, because a torch without oneDNN lacks some of them.
_ALLOCATING = {
    "aten.convolution.default",
    "aten.relu.default",
    "aten._to_copy.default",
    "mkldnn._convolution_pointwise.default",
    "mkldnn._convolution_pointwise.binary",
    "mkldnn._convolution_pointwise_.binary",
}


def _allocates(node: fx.Node) -> bool:
    """Whether a node returns a new tensor, not a view of an input."""
    return (
        node.target in (strided_max, pooled_convolution, winograd_convolution)
        or str(node.target) in _ALLOCATING
    )


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _insert_call(
    before: fx.Node, replaced: fx.Node, target: Callable[..., object], args: list[Any]
) -> None:
    """Insert a call before one node, and use its output instead of another node's."""
    with before.graph.inserting_before(before):
        fused = before.graph.create_node("call_function", target, tuple(args))
    fused.meta = dict(replaced.meta)
    replaced.replace_all_uses_with(fused)
