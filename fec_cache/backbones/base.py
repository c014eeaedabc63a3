"""What a backbone is: its records, and what a kind of backbone must provide.

Start of the flow inside `backbones`: a kind turns a name into an `Architecture`, `load` fills that
with weights and returns a `Backbone`. This module does not import torch, so that an unknown name
can be reported without loading it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import nn

Colours = tuple[float, float, float]


@dataclass(frozen=True)
class WeightsOrigin:
    """Which weights these are.

    `identity` is "sha256:<64 hex digits of the file>" or "random:<seed>:<16 hex digits of the
    tensors>"; `source` is a path, URL or package to show to people.
    """

    identity: str
    source: str


@dataclass(frozen=True)
class PublishedFile:
    """Where the published weights of a backbone can be found.

    `file_name` contains the first hex digits of the file's sha256, as torchvision's names do; it is
    empty if nothing is published. `url` and `package` (a distribution that contains the file) are
    empty if there is none. `hint` is one more thing that the user can do.
    """

    backbone: str
    file_name: str = ""
    url: str = ""
    package: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Architecture:
    """A network before it has weights.

    `build` returns the whole network; `cut` removes its classifier and returns the path of the
    module whose output the classifier read. `rename` turns tensor names of a weights file into
    those of the network. `unused` names modules whose tensors may be in a file although the
    network does not need them.
    """

    build: "Callable[[], nn.Module]"
    cut: "Callable[[nn.Module], str]"
    unused: tuple[str, ...]
    published: PublishedFile
    input_size: int
    mean: Colours
    std: Colours
    rename: Callable[[str], str] = str


@dataclass(frozen=True)
class Backbone:
    """A frozen network with everything needed to feed it and to identify it.

    `module` maps images [B, 3, S, S] float32, S = `input_size`, normalised as
    (channel in [0, 1] - `mean`) / `std`, to {layer word: features [B, D] float32}.
    `widths` holds D of each layer, `shapes` the shape of one feature before it was flattened in
    row-major order: (512,), (256, 4, 4) for a grid [C, N, N], (49, 512) for a map [H * W, C].
    """

    name: str
    weights: WeightsOrigin
    module: "nn.Module"
    layers: tuple[str, ...]
    widths: Mapping[str, int]
    shapes: Mapping[str, tuple[int, ...]]
    input_size: int
    mean: Colours
    std: Colours


class BackboneKind(ABC):
    """One source of frozen networks; `registry.register_kind` makes it available.

    `prefix` starts every name of a kind that does not list its names. `needs_no_download` is set by
    a kind whose weights come with a Python package: what the user has to do to use it.
    """

    prefix: ClassVar[str] = ""
    needs_no_download: ClassVar[str] = ""

    @abstractmethod
    def names(self) -> Sequence[str]:
        """Return the names to list, in any order; empty if there are too many to list."""

    @abstractmethod
    def architecture(self, name: str) -> Architecture:
        """Return the architecture of a name that `offers` accepts.

        Raises:
            UnknownBackbone: the name has the prefix of this kind, but no network has this name.
            BadOption: the network cannot be used.
            MissingExtra: an extra is not installed.
        """

    def offers(self, name: str) -> bool:
        """Whether a name belongs to this kind."""
        return name.startswith(self.prefix) if self.prefix else name in self.names()

    def is_installed(self) -> bool:
        """Whether the libraries that this kind needs are installed."""
        return True


def colours_of(values: Sequence[float]) -> Colours:
    """Return three numbers, for red, green and blue, as floats."""
    red, green, blue = values
    return (float(red), float(green), float(blue))
