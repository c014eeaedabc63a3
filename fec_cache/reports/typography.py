"""How numbers are set on the report page."""

from fec_cache.system.wording import percent

NO_FIGURE = "–"
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
# Narrow, and it never breaks a line between a number and its sign.
THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"


def page_percent(share: float) -> str:
    """A share as percent with one digit and a thin space; a dash where it is undefined."""
    return percent(share, space=THIN_SPACE, dash=NO_FIGURE)
