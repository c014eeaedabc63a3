"""Numbers as words: counts, shares, durations and sizes."""

import math


def counted(number: int, thing: str, things: str = "", form: str = "") -> str:
    """`1 face`, `2 faces`, `0 people`.

    Args:
        number: how many.
        thing: the noun for one.
        things: the noun for several, where it is not `thing` with an s.
        form: how the number is written, as in a format string: `,` for `1,000 faces`.
    """
    return f"{number:{form}} {thing if number == 1 else things or thing + 's'}"


def percent(share: float, digits: int = 1) -> str:
    """A share as percent; a dash where it is not defined."""
    return "-" if math.isnan(share) else f"{100.0 * share:.{digits}f} %"


def duration(seconds: float) -> str:
    """Seconds in the unit that people would use."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
