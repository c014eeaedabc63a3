"""Numbers as words: counts, shares, durations and sizes."""

import math


def counted(number: int, thing: str, things: str = "", form: str = "") -> str:
    """A number with its noun: `1 face`, `2 faces`, `0 people`.

    Args:
        number: the count.
        thing: the singular noun.
        things: the plural noun, if it is not `thing` with an s.
        form: format specification of the number: `,` gives `1,000 faces`.
    """
    return f"{number:{form}} {thing if number == 1 else things or thing + 's'}"


def percent(share: float, digits: int = 1, space: str = " ", dash: str = "-") -> str:
    """A share as percent, `12.3 %`.

    Args:
        share: 1.0 is 100 %.
        digits: after the decimal point.
        space: between number and sign; a typeset page takes a thin one.
        dash: stands for NaN.
    """
    return dash if math.isnan(share) else f"{100.0 * share:.{digits}f}{space}%"


def duration(seconds: float) -> str:
    """Seconds in a readable unit: `12.0 s`, `3.5 min`, `2.0 h`."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def data_size(num_bytes: float, on_disk: bool = False) -> str:
    """Bytes in a readable decimal unit (1 GB is 1e9 bytes): `1.5 GB`, `12.0 kB`, `7 B`.

    Args:
        num_bytes: the size.
        on_disk: for disk space: MB only, and from 0.1 GB on GB with two decimals.
    """
    if on_disk:
        return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e8 else f"{num_bytes / 1e6:.1f} MB"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= factor:
            return f"{num_bytes / factor:.1f} {unit}"
    return f"{num_bytes} B"
