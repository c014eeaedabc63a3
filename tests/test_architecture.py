"""The house rules: floors, sizes, homes of libraries, docstrings, tests that mirror modules."""

import ast
import itertools
import re
from collections import Counter
from pathlib import Path

import pytest

import fec_cache

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fec_cache"
MODULES = sorted(path.relative_to(ROOT) for path in PACKAGE.rglob("*.py"))
MOST_MODULES, MOST_LINES, MOST_FUNCTION_LINES, MOST_PARAMETERS = 14, 300, 40, 7
NEEDS_TEST_LINES = 40
# Data flows down this list: a folder imports from those above it only.
FLOORS = [
    "errors",
    "system",
    "datasets",
    "faces",
    "backbones",
    "inference",
    "cache",
    "extraction",
    "pairs",
    "heads",
    "training",
    "runs",
    "evaluation",
    "search",
    "judge",
    "export",
    "reports",
    "workflows",
    "web",
    "cli",
    "testing",
]
# Where a library may be imported. What is in no list may be imported anywhere.
HOMES = {
    "click": {"cli"},
    "filelock": {"cache", "workflows"},
    "h5py": {"cache", "export"},
    "httpcore": {"datasets", "testing"},
    "httpx": {"datasets", "testing"},
    "jinja2": {"reports"},
    "matplotlib": {"reports"},
    "optuna": {"search"},
    "PIL": {"datasets", "faces", "reports", "testing"},
    "pyarrow": {"export"},
    "rich": {"cli"},
    "safetensors": {"backbones", "runs"},
    "scipy": {"pairs", "evaluation"},
    "simplejpeg": {"faces", "inference"},
    "sklearn": {"evaluation"},
    "timm": {"backbones"},
    "torchcodec": {"inference"},
    "torchvision": {"backbones", "inference"},
}
NO_TORCH = {"errors", "system", "datasets", "pairs", "reports", "cli"}


def name_of(path):
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TEXTS = {path: (ROOT / path).read_text(encoding="utf-8") for path in MODULES}
TREES = {path: ast.parse(text) for path, text in TEXTS.items()}
NAMES = {name_of(path): path for path in MODULES}


def floor_of(name):
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else None


def imported_names(path):
    """Modules and their members that a module imports anywhere in it, TYPE_CHECKING included."""
    names = set()
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return names


IMPORTS = {path: imported_names(path) for path in MODULES}


def functions_of(path):
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [node for node in ast.walk(TREES[path]) if isinstance(node, kinds)]


def is_public(node):
    return not node.name.startswith("_")


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_point_upstream(path):
    own = floor_of(name_of(path))
    if own is None:
        return  # the public door imports from everywhere
    assert own in FLOORS, f"{path} is in no folder of the design"
    for name in IMPORTS[path]:
        if name.startswith("fec_cache.") and floor_of(name) in FLOORS:
            assert FLOORS.index(floor_of(name)) <= FLOORS.index(own), f"{path} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_libraries_stay_at_home(path):
    own = floor_of(name_of(path))
    for library in {name.split(".")[0] for name in IMPORTS[path]}:
        assert own in HOMES.get(library, {own}), f"{path} imports {library}"
        assert library != "torch" or own not in NO_TORCH, f"{path} imports torch"


def test_no_modules_import_each_other_in_a_circle():
    graph = {
        name: {other for other in IMPORTS[path] if other in NAMES and other != name}
        for name, path in NAMES.items()
        if name != "fec_cache"
    }
    while leaves := [name for name, others in graph.items() if not others & graph.keys()]:
        for name in leaves:
            del graph[name]
    # What is left imports a circle, or stands on one.
    assert sorted(graph) == []


def test_folders_are_small():
    folders = Counter(path.parent for path in MODULES if path.name != "__init__.py")
    crowded = {str(folder): num for folder, num in folders.items() if num > MOST_MODULES}
    assert crowded == {}


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_modules_and_functions_are_small(path):
    assert len(TEXTS[path].splitlines()) <= MOST_LINES
    assert path.stem not in {"utils", "util", "helpers", "misc", "common"}
    for node in functions_of(path):
        assert node.end_lineno - node.lineno + 1 <= MOST_FUNCTION_LINES, f"{path}: {node.name}"
        num = len(node.args.posonlyargs + node.args.args + node.args.kwonlyargs)
        is_command = any("command" in ast.dump(decorator) for decorator in node.decorator_list)
        assert num <= MOST_PARAMETERS or is_command, f"{path}: {node.name} takes {num} arguments"


def test_extraction_never_sees_labels_and_heads_never_see_images():
    for path in MODULES:
        own = floor_of(name_of(path))
        if own in ("backbones", "inference", "cache", "extraction"):
            assert not any(name.startswith("fec_cache.pairs") for name in IMPORTS[path])
        if own in ("pairs", "heads", "training", "runs", "search"):
            assert not any(name.startswith("fec_cache.faces.images") for name in IMPORTS[path])


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_names_are_imported_from_where_they_are_defined(path):
    for node in ast.walk(TREES[path]):
        if not isinstance(node, ast.ImportFrom) or node.module not in NAMES:
            continue
        home = NAMES[node.module]
        borrowed = {
            alias.asname or alias.name
            for other in ast.walk(TREES[home])
            if isinstance(other, ast.ImportFrom | ast.Import)
            for alias in other.names
        }
        for alias in node.names:
            assert alias.name not in borrowed, f"{path}: {node.module} only imports {alias.name}"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_every_public_name_has_a_docstring(path):
    assert ast.get_docstring(TREES[path]), f"{path} does not say what it is"
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and is_public(node):
            assert ast.get_docstring(node), f"{path}: {node.name}"


_ARRAY = re.compile(r"\b(Tensor|NDArray|Floats|Ints|Bools|Doubles|Rows|Pixels|Points)\b")
_SHAPE = re.compile(r"\[[^\]\s][^\]]*\]|\bscalar\b")


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_public_functions_of_arrays_say_their_shapes(path):
    for node in ast.walk(TREES[path]):
        if not isinstance(node, ast.FunctionDef) or not is_public(node):
            continue
        arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
        annotations = [arg.annotation for arg in arguments] + [node.returns]
        words = " ".join(ast.unparse(a) for a in annotations if a is not None)
        if _ARRAY.search(words):
            doc = ast.get_docstring(node) or ""
            assert _SHAPE.search(doc), f"{path}: {node.name} does not say the shape of its arrays"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_every_module_has_a_test_module(path):
    if path.name == "__init__.py" or len(TEXTS[path].splitlines()) <= NEEDS_TEST_LINES:
        return
    mirror = ROOT / "tests" / Path(*path.parts[1:-1]) / f"test_{path.name}"
    assert mirror.is_file(), f"{path} has no {mirror.relative_to(ROOT)}"


def test_the_door_is_what_its_page_says():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted(fec_cache.__all__)
    assert all(getattr(fec_cache, name) is not None for name in fec_cache.__all__)


# A count is a number of things: `len(...)` or a name that begins with num_.
_IS_COUNT = re.compile(r"^len\(|(^|\.)num_\w+$")
_ARE_THINGS = re.compile(r"\s(?:[a-z]+ )?[a-z]*[^s\W]s\b(?<! is)(?<! as)(?<! was)(?<! has)")


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_numbers_of_things_are_worded_by_one_function(path):
    texts = [node for node in ast.walk(TREES[path]) if isinstance(node, ast.JoinedStr)]
    for value, following in (pair for text in texts for pair in itertools.pairwise(text.values)):
        if isinstance(value, ast.FormattedValue) and isinstance(following, ast.Constant):
            is_count = _IS_COUNT.search(ast.unparse(value.value))
            assert not (is_count and _ARE_THINGS.match(following.value)), (
                f"{path}:{value.lineno} says '1{following.value}'; use counted()"
            )
