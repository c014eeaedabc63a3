"""Scripts outside of the package keep up with it: what they take from fec_cache exists.

Running each with `--help` would load torch twenty times; reading them takes a second in all.
"""

import ast
import dataclasses
import importlib
import importlib.util
import inspect
import re
import typing
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("benchmarks", "campaigns", "tools")
SCRIPTS = sorted(path.relative_to(ROOT) for name in FOLDERS for path in (ROOT / name).glob("*.py"))


def lookup(module, name):
    """What a module exports under a name, a submodule included; None if it does not."""
    value = getattr(importlib.import_module(module), name, None)
    if value is None and importlib.util.find_spec(f"{module}.{name}") is not None:
        return importlib.import_module(f"{module}.{name}")
    return value


def imported(tree):
    """Local name -> (module, name) of each `from fec_cache... import name`."""
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "fec_cache"
        for alias in node.names
    }


def record_of(call, values):
    """The dataclass that a call of an imported function or class gives, or None."""
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
        return None
    value = values.get(call.func.id)
    if inspect.isfunction(value):
        value = typing.get_type_hints(value).get("return")
    return value if inspect.isclass(value) and dataclasses.is_dataclass(value) else None


def unknown_attributes(tree, values):
    """`name.attribute` of imported modules and of records that imported functions give."""
    unknown = []
    for scope in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        nodes = list(ast.walk(scope))
        stores = Counter(
            n.id for n in nodes if isinstance(n, ast.Name) and type(n.ctx) is ast.Store
        )
        records = {
            node.targets[0].id: record_of(node.value, values)
            for node in nodes
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and stores[node.targets[0].id] == 1
        }
        for node in nodes:
            if not isinstance(node, ast.Attribute):
                continue
            owner = record_of(node.value, values)
            if isinstance(node.value, ast.Name):
                owner = records.get(node.value.id) or values.get(node.value.id)
            if inspect.ismodule(owner):
                is_known = hasattr(owner, node.attr)
            elif inspect.isclass(owner) and dataclasses.is_dataclass(owner):
                fields = {field.name for field in dataclasses.fields(owner)}
                is_known = node.attr in fields or hasattr(owner, node.attr)
            else:
                continue
            if not is_known:
                unknown.append(f"{ast.unparse(node)} (line {node.lineno})")
    return unknown


def test_an_attribute_that_a_record_lacks_is_seen():
    code = """
def main():
    options = ExtractConfig()
    print(toy.run_toy, toy.gone, options.batch_size, options.gone, ExtractConfig().lost)
    print(extract(1, 2).num_faces, extract(1, 2).in_words())
"""
    from fec_cache.extraction.config import ExtractConfig
    from fec_cache.extraction.extract import extract
    from fec_cache.testing import toy

    values = {"toy": toy, "ExtractConfig": ExtractConfig, "extract": extract}
    assert [
        text.partition(" (line")[0] for text in unknown_attributes(ast.parse(code), values)
    ] == [
        "toy.gone",
        "options.gone",
        "ExtractConfig().lost",
        "extract(1, 2).in_words",
    ]


@pytest.mark.parametrize("path", SCRIPTS, ids=str)
def test_what_a_script_takes_from_the_package_exists(path):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    values = {}
    for local, (module, name) in imported(tree).items():
        values[local] = lookup(module, name)
        assert values[local] is not None, f"{path} imports {name}, which {module} does not have"
    assert unknown_attributes(tree, values) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=str)
def test_what_a_script_takes_from_its_neighbour_exists(path):
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        neighbour = ROOT / path.parent / f"{node.module}.py"
        if neighbour.exists():
            code = compile(neighbour.read_text(encoding="utf-8"), str(neighbour), "exec")
            assert {alias.name for alias in node.names} <= set(code.co_names)


def test_documented_scripts_exist():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "Makefile"]
    pages += [*(ROOT / "docs").rglob("*.md"), *(ROOT / path for path in SCRIPTS)]
    named = {
        name
        for page in pages
        for name in re.findall(rf"\b(?:{'|'.join(FOLDERS)})/\w+\.py", page.read_text("utf-8"))
    }
    assert named
    assert named <= {path.as_posix() for path in SCRIPTS}
