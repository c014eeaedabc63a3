"""Which heads exist and what each reads, known without torch.

Each head's file describes itself in a literal `KIND = HeadKind(...)`. That assignment is read from
the source, so that `fec --help` and the check of a configuration do not import torch.
"""

import ast
import importlib.util
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fec_cache.errors import BadOption
from fec_cache.system.checks import check_choice

RANDOM_START = "random"
_FOLDER = Path(__file__).parent
_PACKAGE = __name__.rpartition(".")[0]


@dataclass(frozen=True)
class HeadKind:
    """What the rest of the package needs to know about a head.

    Attributes:
        name: what `HeadConfig.head` calls it.
        summary: one clause for `--help`.
        reads: fields of `HeadConfig` that change the head, beside `head`, `prepare` and `blocks`,
            which always do.
        steps: the hand-written training steps that fit the head, one of
            `training.batched.engine.STEPS`. The default trains any head, more slowly.
        default_preparation: `prepare` for the features of one cache; features of several caches
            are standardized unless something else is asked for.
        is_closed_form: the head is solved instead of trained by steps and reads no `TrainConfig`.
        is_symmetric: its answers never depend on the order of the two faces.
        has_embedding: `roles` gives one unit vector per face: a space to find neighbours in.
        starts: values of `HeadConfig.init` that the head accepts, and how many units each needs in
            every hidden layer for each dimension of the embedding (0: any number).
        start_reads: fields of `HeadConfig` that are read only with a start that is not random.
        in_default_grid: whether a search without options tries it.
        order: position in lists; heads of equal order are sorted by name.
    """

    name: str
    summary: str
    reads: tuple[str, ...] = ()
    # Declared, not inherited: a subclass may change what is computed (decision 10).
    steps: str = "autograd"
    default_preparation: str = "standardize"
    is_closed_form: bool = False
    is_symmetric: bool = False
    has_embedding: bool = False
    starts: Mapping[str, int] = field(default_factory=lambda: {RANDOM_START: 0})
    start_reads: tuple[str, ...] = ()
    in_default_grid: bool = False
    order: int = 100

    def does_read(self, name: str) -> bool:
        """Whether a field of `HeadConfig` can change this head."""
        return name in ("head", "prepare", "blocks", *self.reads, *self.start_reads)


_kinds: dict[str, HeadKind] = {}
# Modules of the package's own heads, by the heads' names: imported when one is built.
_modules: dict[str, str] = {}


def head_kinds() -> tuple[HeadKind, ...]:
    """Every known head: those in this folder, and those registered from elsewhere."""
    if not _modules:
        _discover()
    # The default grid and the samplers' draws follow this order: by name alone, searches of earlier
    # releases could not be continued (decision 10).
    return tuple(sorted(_kinds.values(), key=lambda kind: (kind.order, kind.name)))


def head_names() -> tuple[str, ...]:
    """Names of all heads, in order."""
    return tuple(kind.name for kind in head_kinds())


def kind_of(name: str) -> HeadKind:
    """The description of a head.

    Raises:
        BadOption: there is no such head.
    """
    check_choice("head", name, head_names())
    return _kinds[name]


def start_names() -> tuple[str, ...]:
    """Every value that `HeadConfig.init` can have with some head."""
    return tuple(dict.fromkeys(start for kind in head_kinds() for start in kind.starts))


def summaries() -> str:
    """All heads with their summaries, for `--help`."""
    return "; ".join(f"{kind.name}: {kind.summary}" for kind in head_kinds())


def module_of(name: str) -> str | None:
    """The module of a head in this folder; None for a head registered from elsewhere."""
    head_kinds()
    return _modules.get(name)


def add_kind(kind: HeadKind) -> None:
    """Make a head known. Adding the same description again changes nothing.

    Raises:
        BadOption: another head has this name.
    """
    if head_kinds() and _kinds.setdefault(kind.name, kind) != kind:
        raise BadOption(f"There is a head named {kind.name!r} already. Choose another name.")


def remove_kind(name: str) -> None:
    """Forget a head that was registered from elsewhere; the package's own heads stay."""
    if module_of(name) is None:
        _kinds.pop(name, None)


def _discover() -> None:
    for module in pkgutil.iter_modules([str(_FOLDER)]):
        full_name = f"{_PACKAGE}.{module.name}"
        kind = _kind_in(full_name)
        if kind is not None:
            _kinds[kind.name] = kind
            _modules[kind.name] = full_name


def _kind_in(module_name: str) -> HeadKind | None:
    """The `KIND` of a module; None for a module that is no head.

    Importing a head takes as long as importing torch (seconds), parsing it a millisecond.
    """
    # Neither a table beside the classes, which would be a second file to edit for a new head, nor
    # classes made in functions that import torch, which cannot be pickled (decision 10).
    spec = importlib.util.find_spec(module_name)
    # Not `importlib.abc.InspectLoader`: its module loads tempfile and bz2, 10 ms of each command.
    get_source = getattr(spec.loader if spec else None, "get_source", None)
    source = get_source(module_name) if get_source else None
    if source is None or "\nKIND = " not in source:
        return None
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            targets = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if targets == ["KIND"]:
                fields = {str(k.arg): ast.literal_eval(k.value) for k in node.value.keywords}
                return HeadKind(**fields)
    return None
