"""Numbers of things in words; open to all stages, since every stage tells what it counted."""


def counted(number: int, thing: str, things: str = "", form: str = "") -> str:
    """`1 face`, `2 faces`, `0 people`.

    Args:
        number: how many.
        thing: the noun for one.
        things: the noun for several, where it is not `thing` with an s.
        form: how the number is written, as in a format string: `,` for `1,000 faces`.
    """
    return f"{number:{form}} {thing if number == 1 else things or thing + 's'}"
