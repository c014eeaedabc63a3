"""The house rules: imports point upstream, modules and functions stay small."""

import ast
import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fec_cache"
MODULES = sorted(path.relative_to(ROOT) for path in PACKAGE.rglob("*.py"))
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
    "export",
    "reports",
    "workflows",
    "cli",
    "testing",
]
# One home per library; what bends the rule says why in its module's first lines.
HOMES = {
    "h5py": {"cache", "export"},
    "torchvision": {"backbones", "inference"},
    "torchcodec": {"inference"},
    "timm": {"backbones"},
    "sklearn": {"evaluation"},
    "torch": {"backbones", "inference", "extraction", "heads", "training", "evaluation", "testing"},
    "safetensors": {"backbones", "runs"},
    "click": {"cli"},
    "rich": {"cli"},
    "matplotlib": {"reports"},
    "jinja2": {"reports"},
    "PIL": {"faces", "testing"},
    "simplejpeg": {"faces"},
    "pandas": {"datasets"},
    "scipy": {"pairs", "evaluation"},
    "filelock": {"cache"},
    "optuna": {"search"},
    "pyarrow": {"export"},
    "httpx": {"datasets"},
    "httpcore": {"datasets", "testing"},
}
GUESTS = {
    ("PIL", "drawing"): "drawing is making a picture, not loading one",
    ("PIL", "canvas"): "drawing",
    ("PIL", "sketch"): "drawing",
    ("filelock", "download"): "one download in a data folder",
    ("torch", "resize"): "its resize of 8-bit pictures is several times as fast as Pillow's",
    ("simplejpeg", "gpu_jpegs"): "looks at a JPEG's head before a GPU decodes it",
    ("simplejpeg", "nvjpeg"): "makes a file to try a GPU on",
    ("PIL", "plots"): "packs crops into the report page",
}


def tree_of(path):
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def floor_of(path):
    parts = path.with_suffix("").parts
    return parts[1] if len(parts) > 1 and parts[1] in FLOORS else None


def imported_modules(path):
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return names


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_point_upstream(path):
    own = floor_of(path)
    for name in imported_modules(path):
        parts = name.split(".")
        if parts[0] != "fec_cache" or own is None or len(parts) == 1:
            continue
        assert FLOORS.index(parts[1]) <= FLOORS.index(own), f"{path} imports {name}, downstream"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_libraries_stay_at_home(path):
    floor = floor_of(path)
    for name in imported_modules(path):
        library = name.split(".")[0]
        if library in HOMES and floor not in HOMES[library]:
            assert (library, path.stem) in GUESTS, f"{path} imports {library}"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_modules_and_functions_are_small(path):
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= 300
    assert path.stem not in {"utils", "util", "helpers", "misc", "common"}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno + 1 <= 40, f"{path}: {node.name}"


def test_every_module_is_on_a_floor():
    strangers = [p for p in MODULES if floor_of(p) is None and p.name not in ("__init__.py",)]
    assert strangers == []


def test_extraction_never_sees_labels_and_heads_never_see_images():
    for path in MODULES:
        names = imported_modules(path)
        if floor_of(path) in ("backbones", "inference", "cache", "extraction"):
            assert not any(name.startswith("fec_cache.pairs") for name in names)
        if floor_of(path) in ("heads", "training", "runs", "evaluation", "search", "pairs"):
            assert "fec_cache.faces.images" not in names


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_every_public_name_has_a_docstring(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path}: {node.name}"


# A count is a number of things: `len(...)` or a name that begins with num_.
_IS_COUNT = re.compile(r"^len\(|(^|\.)num_\w+$")
_ARE_THINGS = re.compile(r"\s(?:[a-z]+ )?[a-z]*[^s\W]s\b(?<! is)(?<! as)(?<! was)(?<! has)")


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_numbers_of_things_are_told_by_one_function(path):
    texts = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.JoinedStr)]
    for value, following in (pair for text in texts for pair in itertools.pairwise(text.values)):
        if isinstance(value, ast.FormattedValue) and isinstance(following, ast.Constant):
            is_count = _IS_COUNT.search(ast.unparse(value.value))
            assert not (is_count and _ARE_THINGS.match(following.value)), (
                f"{path}:{value.lineno} says '1{following.value}'; take counted()"
            )
