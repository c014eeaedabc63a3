"""A face's box in its image: the one type, order and check for all stages."""

from collections.abc import Iterable

Box = tuple[float, float, float, float]
"""Left, right, top, bottom, FEC's order, as fractions of the upright image's width and height."""

SIDES = ("left", "right", "top", "bottom")
WHOLE_PICTURE: Box = (0.0, 1.0, 0.0, 1.0)


def check_box(left: float, right: float, top: float, bottom: float) -> Box:
    """The four sides as a box: 0 <= left < right <= 1 and 0 <= top < bottom <= 1.

    Raises:
        ValueError: a side is not a fraction, or the box is empty; a clause without a full stop.
    """
    box = (left, right, top, bottom)
    for name, side in zip(SIDES, box, strict=True):
        if not 0.0 <= side <= 1.0:  # also true for NaN
            raise ValueError(
                f"{name} is {side:g}, but box sides are fractions of the picture, between 0 and 1"
            )
    if not (left < right and top < bottom):
        shown = ", ".join(f"{name} {side}" for name, side in zip(SIDES, box, strict=True))
        raise ValueError(f"empty box: {shown}; expected left < right and top < bottom")
    return box


def as_box(box: Iterable[float]) -> Box:
    """A box of any four numbers as plain floats.

    Raises:
        ValueError: the box is not four numbers, or lies outside the picture.
    """
    try:
        left, right, top, bottom = (float(side) for side in box)
    except (TypeError, ValueError):
        raise ValueError("expected four numbers: left, right, top, bottom") from None
    return check_box(left, right, top, bottom)
