"""Time 3 x 3 convolutions in float32: Winograd's algorithm against oneDNN's direct one.

    python benchmarks/winograd.py                            # shapes, then whole networks
    python benchmarks/winograd.py --backbones resnet18 vgg16

One thread, CPU time per face, minimum over several interleaved passes. Errors are against float64.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional

from fec_cache.backbones.load import load_backbone
from fec_cache.inference import graph
from fec_cache.inference.compilation import fuse_network
from fec_cache.inference.folding import smallest_cosine
from fec_cache.inference.network import Network
from fec_cache.inference.winograd import is_worthwhile, winograd_convolution, winograd_weights

BATCH = 16
ROUNDS = 15
SHAPES = ((64, 56), (128, 28), (256, 14), (512, 7), (96, 35), (448, 8), (32, 112))
BACKBONES = ("resnet18", "resnet50", "wide_resnet50_2", "vgg11", "vgg16", "googlenet",
             "inception_v3", "squeezenet1_1")  # fmt: skip
ONE = [1, 1]


def least_ms(passes: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Minimum CPU time of each per face, in ms; all take turns."""
    spent: dict[str, list[float]] = {name: [] for name in passes}
    for _ in range(rounds):
        for name, work in passes.items():
            started = time.thread_time()
            work()
            spent[name].append(time.thread_time() - started)
    return {name: 1e3 * min(times) / BATCH for name, times in spent.items()}


def compare_shape(channels: int, side: int) -> None:
    """One convolution with its bias and activation."""
    drawn = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH, channels, side, side, generator=drawn).relu()
    images = images.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 3, 3, generator=drawn) * (2 / 9 / channels) ** 0.5
    bias = torch.randn(channels, generator=drawn) / 10
    order = (ONE, ONE, ONE, 1)
    packed = torch.ops.mkldnn._reorder_convolution_weight(weight, *order, list(images.shape))
    transformed = winograd_weights(weight)

    def direct() -> Tensor:
        activation = ("relu", [], "")
        return torch.ops.mkldnn._convolution_pointwise(images, packed, bias, *order, *activation)

    def winograd() -> Tensor:
        return winograd_convolution(images, transformed, bias, None, True)

    expected = functional.conv2d(images.double(), weight.double(), bias.double(), padding=1).relu()
    errors = [float((work() - expected).norm() / expected.norm()) for work in (direct, winograd)]
    ms = least_ms({"direct": direct, "winograd": winograd})
    note = "" if is_worthwhile(channels, channels, side, side) else "  (not used)"
    print(
        f"{channels:4d} channels, {side:3d} x {side:3d}: direct {ms['direct']:.2f} ms, Winograd "
        f"{ms['winograd']:.2f} ms, {ms['direct'] / ms['winograd']:.2f} times as fast; errors "
        f"{errors[0]:.0e}, {errors[1]:.0e}{note}",
        flush=True,
    )


def compare_network(name: str) -> None:
    """A whole network, fused, without and with Winograd's algorithm."""
    backbone = load_backbone(name, "random:0")
    side = backbone.input_size
    images = torch.randn(BATCH, 3, side, side).contiguous(memory_format=torch.channels_last)
    networks = {}
    for word, patch in (("direct", lambda *_: False), ("winograd", graph._suits_winograd)):
        network = Network(backbone, torch.device("cpu"))
        with mock.patch.object(graph, "_suits_winograd", patch):
            reason = fuse_network(network, BATCH)
        if reason or network.fixed is None:
            print(f"{name}: {reason}")
            return
        networks[word] = network.fixed.forward
    ms = least_ms({word: lambda run=run: run(images) for word, run in networks.items()}, 7)
    features = [networks[word](images)["avgpool"] for word in networks]
    cosine = smallest_cosine(*features)
    print(
        f"{name:16s} direct {ms['direct']:6.1f} ms, with Winograd {ms['winograd']:6.1f} ms, "
        f"{ms['direct'] / ms['winograd']:.2f} times as fast; cosine {cosine:.9f}",
        flush=True,
    )


def main() -> None:
    """Print one line per shape and per network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", nargs="*", default=BACKBONES, help="networks to measure")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread, batches of {BATCH}")
    with torch.inference_mode():
        for channels, side in SHAPES:
            compare_shape(channels, side)
        for name in options.backbones:
            compare_network(name)


if __name__ == "__main__":
    main()
