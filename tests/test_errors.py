"""The tree drawn in the module's docstring is the tree of its classes."""

import errno
import inspect
import re

import pytest

from fec_cache import errors
from fec_cache.errors import FecError, system_advice

CLASSES = {
    name: thing
    for name, thing in vars(errors).items()
    if inspect.isclass(thing) and issubclass(thing, FecError)
}


def drawn():
    """Each class's parent as the docstring draws it; four columns are one level."""
    parents, above = {}, []
    for line in errors.__doc__.splitlines():
        match = re.fullmatch(r"([│├└─ ]*)(\w+)", line)
        if match:
            depth = len(match[1]) // 4
            above[depth:] = [match[2]]
            parents[match[2]] = above[depth - 1] if depth else "Exception"
    return parents


def test_the_drawn_tree_is_the_real_one():
    assert drawn() == {name: thing.__bases__[0].__name__ for name, thing in CLASSES.items()}


def test_each_docstring_says_when_the_error_is_raised():
    parents = {thing.__bases__[0] for thing in CLASSES.values()} - {errors.BadOption}
    for name, thing in CLASSES.items():
        start = "Parent of " if thing in parents else "Raised "
        assert thing.__doc__.startswith(start), name


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space or choose another folder"),
        (errno.EDQUOT, "free some space or choose another folder"),
        (errno.EACCES, "check file permissions or choose another folder"),
        (errno.ENAMETOOLONG, "use a shorter name"),
        (errno.ENOENT, "check the path"),
        (errno.EROFS, "choose a folder on a writable disk"),
        (errno.EIO, "choose a folder on another disk: this one is failing"),
        (errno.EBADF, "check the path and the disk"),
    ],
)
def test_advice_fits_the_systems_error(number, advice):
    assert system_advice(OSError(number, "text")) == f"{advice}, then run the command again."
