"""Name of a head -> its class; importing this module loads torch."""

import importlib
from typing import TypeVar

from fec_cache.errors import BadOption
from fec_cache.heads.base import PairHead
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.kinds import add_kind, module_of, remove_kind

Head = TypeVar("Head", bound=PairHead)

_classes: dict[str, type[PairHead]] = {}


def register(head_class: type[Head]) -> type[Head]:
    """Class decorator: make a head available under the name in its `kind`.

    Raises:
        BadOption: another head has this name.
    """
    add_kind(head_class.kind)
    _classes[head_class.kind.name] = head_class
    return head_class


def unregister(name: str) -> None:
    """Forget a head that was registered outside of this package, as a test does."""
    if module_of(name) is None:
        _classes.pop(name, None)
        remove_kind(name)


def head_class(name: str) -> type[PairHead]:
    """The class of a head; its module is imported if it has not been yet.

    Raises:
        BadOption: there is no such head.
    """
    module = module_of(name)
    if name not in _classes and module is not None:
        importlib.import_module(module)
    if name not in _classes:
        raise BadOption(f"No class is registered for the head {name!r}. Import its module first.")
    return _classes[name]


def build_head(config: HeadConfig, width: int) -> PairHead:
    """A fresh head for features [N, width], initialised from torch's global random state."""
    return head_class(config.head)(config, width)
