"""Optional libraries: imported when a command needs them, named with their extra when missing."""

import importlib
from types import ModuleType

from fec_cache.errors import MissingExtra


def require(module: str, extra: str) -> ModuleType:
    """Import an optional library.

    Args:
        module: the library's import name, such as `httpx`.
        extra: the extra of fec_cache that installs it, such as `download`.

    Returns:
        The imported module.

    Raises:
        MissingExtra: it cannot be imported; the message names the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        is_absent = isinstance(error, ModuleNotFoundError) and error.name == module
        problem = "is not installed" if is_absent else f"cannot be imported ({error})"
        raise MissingExtra(
            f"This needs {module}, which {problem}. Run: pip install 'fec_cache[{extra}]'"
        ) from error
