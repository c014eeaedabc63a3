"""Numbers of things in words, for every surface."""


def counted(number: int, thing: str, things: str = "") -> str:
    """`1 face`, `2 faces`, `0 people`.

    Args:
        number: how many.
        thing: the noun for one.
        things: the noun for several, where it is not `thing` with an s.
    """
    return f"{number} {thing if number == 1 else things or thing + 's'}"
