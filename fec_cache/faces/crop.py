"""How a face is cut out of its picture: `CropConfig`, part of every recipe."""

import operator
from dataclasses import dataclass

from fec_cache.system.checks import check_choice, check_range

# Each is another recipe: a JPEG decoded at half its size gives slightly sharper pictures. Features
# move about as much as with a box that is moved by 0.4 % of its side (decision 9).
DECODERS = ("scaled", "full", "gpu")


@dataclass(frozen=True)
class CropConfig:
    """How a box becomes the square picture that the backbone sees.

    The box is grown to a square around its centre, with `margin` of the longer side added on each
    side, and resized to `input_size` pixels with antialiasing; beyond the image its edge pixels are
    repeated. `decode` says how JPEGs are decoded: "scaled" at 1/2, 1/4 or 1/8 of their size if the
    square keeps at least 1.25 `input_size` pixels, "full" at full size, "gpu" at full size by
    nvJPEG.
    """

    input_size: int = 224
    margin: float = 0.1
    pad: str = "edge"
    resize: str = "bilinear-antialias"
    colour: str = "RGB"
    decode: str = "scaled"

    def __post_init__(self) -> None:
        """Check every field."""
        check_range("input size", self.input_size, 1, 4096)
        check_range("crop margin", self.margin, 0.0, 2.0)
        check_choice("pad", self.pad, ("edge",))
        check_choice("resize", self.resize, ("bilinear-antialias",))
        check_choice("colour order", self.colour, ("RGB",))
        check_choice("decode", self.decode, DECODERS)
        # 0 and 0.0 are the same margin: with two spellings one recipe would have two fingerprints.
        object.__setattr__(self, "input_size", operator.index(self.input_size))
        object.__setattr__(self, "margin", plain_number(self.margin))


def plain_number(value: float) -> float:
    """Return the only spelling of a number in a recipe: a float, never -0.0."""
    return float(value) + 0.0
