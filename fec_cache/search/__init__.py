"""Many heads, each tried once. Calling the package runs a search.

By the public door `search` is a function, and by the layout of the code it is this folder. Python
sets a sub-package as an attribute of its parent whenever it is imported, so the folder itself is
made callable: `fec_cache.search(...)` is `fec_cache.workflows.search.search(...)`.
"""

import importlib
import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """The folder of modules that can also be called."""

    @property
    def __wrapped__(self) -> Any:
        """The function behind the call; `inspect.signature` and doctest look here."""
        return importlib.import_module("fec_cache.workflows.search").search

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Run a search: see `fec_cache.workflows.search.search`."""
        return self.__wrapped__(*args, **options)


sys.modules[__name__].__class__ = _CallablePackage
