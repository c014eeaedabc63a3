"""Layer words, the same for every backbone, and how they are read from a network.

The flow inside `backbones`: `load` builds a network, `stages` finds the modules that the words
mean, this module returns one vector per word.

`avgpool`       what the classifier reads: the global pool, [C] (the class token of a ViT)
`layerK`        average over the map of stage K, [C]; stages 1, 2, 3, 4 have stride 4, 8, 16, 32
`layerK:gridN`  that map, average-pooled to N x N cells, [C, N, N], row-major when flattened
`layerK:map`    the whole map, [H * W, C]: one row per position, in reading order
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import torch
from torch import Tensor, nn

from fec_cache.errors import BadOption

POOL = "avgpool"
NUM_STAGES = 4
LAYER_WORD = re.compile(rf"{POOL}|(layer[1-{NUM_STAGES}])(?::(map|grid([1-9][0-9]*)))?")


class Form(Enum):
    """Layout of a module's output."""

    POOLED = "[B, C], or [B, C, ...] with positions still to be averaged"
    CHANNELS_FIRST = "[B, C, H, W]"
    CHANNELS_LAST = "[B, H, W, C]"
    TOKENS = "[B, P + H * W, C], the first P without a position in the image"


@dataclass(frozen=True)
class Stage:
    """A module of a network whose output can be read.

    `path` is its dotted name, "" for the network itself; `side` is H = W of its map.
    """

    path: str
    form: Form
    channels: int
    side: int = 1

    def map_of(self, output: Tensor) -> Tensor:
        """Return the module's output as a map [B, C, H, W] float32."""
        if self.form is Form.CHANNELS_LAST:
            output = output.permute(0, 3, 1, 2)
        elif self.form is Form.TOKENS:
            positions = output[:, -self.side * self.side :].transpose(1, 2)  # [B, C, H * W]
            output = positions.reshape(*positions.shape[:2], self.side, self.side)
        # Under autocast the map is in half precision, in which its mean would lose digits.
        return output.float()


@dataclass(frozen=True)
class Readout:
    """A layer word bound to a stage: how the stage's output becomes a vector."""

    word: str
    stage: Stage
    grid: int | None = None
    is_map: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one face's feature before it is flattened."""
        if self.is_map:
            return (self.stage.side * self.stage.side, self.stage.channels)
        if self.grid is not None:
            return (self.stage.channels, self.grid, self.grid)
        return (self.stage.channels,)

    @property
    def width(self) -> int:
        """D, the number of values of one face's feature."""
        return math.prod(self.shape)

    def read(self, output: Tensor) -> Tensor:
        """Turn the stage's output for B images into features [B, D] float32."""
        if self.stage.form is Form.POOLED:
            return output.float().flatten(2).mean(2) if output.ndim > 2 else output.float()
        maps = self.stage.map_of(output)
        if self.is_map:
            # Always a copy: the network may change its map in place afterwards.
            positions = maps.permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format)
            return positions.flatten(1)
        # The global pool forgets where on the face something happens. On real faces 4 x 4 cells of
        # layer3 are worth 6.5 to 6.9 points, 7 x 7 cells another 1.4 to 1.9 (docs/experiments.md).
        if self.grid is not None:
            return nn.functional.adaptive_avg_pool2d(maps, self.grid).flatten(1)
        return maps.mean((2, 3))


def check_words(words: Sequence[str]) -> tuple[str, ...]:
    """Return the layer words without repetitions.

    Raises:
        BadOption: there are none, or one is not a layer word.
    """
    words = (words,) if isinstance(words, str) else tuple(dict.fromkeys(words))
    if not words:
        raise BadOption(f"No layer is given. Give one or more, such as {POOL}.")
    for word in words:
        if not LAYER_WORD.fullmatch(word):
            raise BadOption(
                f"Unknown layer {word!r}. Expected {POOL} or layer1 to layer{NUM_STAGES}, "
                f"the latter also as layer3:grid4 (4 x 4 cells) or layer4:map (the whole map)."
            )
    return words


def bind_words(words: Sequence[str], stages: Mapping[str, Stage], backbone: str) -> list[Readout]:
    """Bind layer words to the stages of a network.

    Args:
        words: layer words.
        stages: the stages of the network by name, see `find_stages`.
        backbone: the network's name, for messages.

    Raises:
        BadOption: a word is not a layer word, names a stage that this network lacks, or asks for
            a grid that is finer than the map.
    """
    readouts = []
    for word in check_words(words):
        name, _, _ = word.partition(":")
        if name not in stages:
            raise BadOption(f"{backbone} has no {name}. It has {_list_words(stages)}.")
        match = LAYER_WORD.fullmatch(word)
        grid = match and match[3]
        readout = Readout(word, stages[name], int(grid) if grid else None, word.endswith(":map"))
        side = readout.stage.side
        if readout.grid is not None and readout.grid > side:
            raise BadOption(
                f"{word} is finer than {name} of {backbone}, whose map is {side} x {side}. "
                f"Use {name}:grid{side} or coarser."
            )
        readouts.append(readout)
    return readouts


def _list_words(stages: Mapping[str, Stage]) -> str:
    named = [f"{name}[:gridN|:map]" for name in sorted(stages) if name != POOL]
    return ", ".join([POOL, *named])


class FeatureReader(nn.Module):
    """A frozen network that maps images [B, 3, S, S] to {layer word: features [B, D]}.

    It always stays in evaluation mode, and none of its parameters is trained. Modules behind the
    last stage that is read run in the first pass only. Not thread-safe: each thread needs a copy.
    """

    def __init__(self, network: nn.Module, readouts: Sequence[Readout]) -> None:
        super().__init__()
        self.network = network
        self._words = tuple(readout.word for readout in readouts)
        self._readings = _Readings()
        for path in dict.fromkeys(readout.stage.path for readout in readouts):
            of_module = tuple(readout for readout in readouts if readout.stage.path == path)
            network.get_submodule(path).register_forward_hook(_Tap(of_module, self._readings))
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "FeatureReader":
        """Stay in evaluation mode: batch statistics and dropout would make features random."""
        del mode
        super().train(False)
        return self

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the features of B normalised images [B, 3, S, S], each [B, D] float32."""
        self._readings.num_runs = 0
        # torch offers no way to stop a forward pass other than an exception from a hook.
        try:
            self.network(images)
            self._readings.last_run = self._readings.num_runs
        except _AllReadError:
            pass
        features = {word: self._readings.features[word] for word in self._words}
        self._readings.features.clear()
        return features


class _AllReadError(Exception):
    """Every stage has been read: ends the pass, since the rest of the network is not needed."""


@dataclass
class _Readings:
    """Features read in this pass; `last_run` is the number of runs of tapped modules in a full one.

    A module that runs several times is read at its last run, which is known after a full pass only.
    """

    features: dict[str, Tensor] = field(default_factory=dict)
    num_runs: int = 0
    last_run: int = 0


class _Tap:
    """A forward hook that reads a module's output at once.

    Later would be too late: DenseNet and others change it in place.
    """

    def __init__(self, readouts: Sequence[Readout], readings: _Readings) -> None:
        self.readouts = readouts
        self.readings = readings

    def __call__(self, module: nn.Module, args: object, output: Tensor) -> None:
        for readout in self.readouts:
            self.readings.features[readout.word] = readout.read(output)
        self.readings.num_runs += 1
        if self.readings.num_runs == self.readings.last_run:
            raise _AllReadError
