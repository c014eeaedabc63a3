"""Descriptions of heads are read from source; names from elsewhere come and go."""

import sys
import textwrap

import pytest

from fec_cache.errors import BadOption
from fec_cache.heads import kinds
from fec_cache.heads.kinds import HeadKind, add_kind, head_names, kind_of, module_of, remove_kind


def test_a_description_is_read_without_importing_its_module(tmp_path, monkeypatch):
    (tmp_path / "fancy_head.py").write_text(
        textwrap.dedent("""
            import nothing_of_this_name
            KIND = HeadKind(name="fancy", summary="s", reads=("hidden",), starts={"random": 0})
        """)
    )
    (tmp_path / "no_head.py").write_text("import nothing_of_this_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert kinds._kind_in("fancy_head") == HeadKind("fancy", "s", ("hidden",))
    assert kinds._kind_in("no_head") is None
    assert "fancy_head" not in sys.modules


def test_heads_from_elsewhere_are_listed_by_order_and_name_and_can_be_removed():
    for name, order in (("zeta", 100), ("alpha", 100), ("first", 1)):
        add_kind(HeadKind(name, "s", order=order))
    assert head_names() == ("first", "concat", "symmetric", "embedding", "scatter", "alpha", "zeta")
    for name in ("zeta", "alpha", "first", "concat"):
        remove_kind(name)
    assert head_names() == ("concat", "symmetric", "embedding", "scatter")
    assert module_of("zeta") is None
    assert module_of("concat") == "fec_cache.heads.concat"


def test_one_name_has_one_description():
    add_kind(kind_of("concat"))
    with pytest.raises(BadOption, match="named 'concat' already"):
        add_kind(HeadKind("concat", "another"))


def test_what_a_head_reads():
    embedding = kind_of("embedding")
    read = ["head", "prepare", "blocks", "hidden", "init", "shrinkage"]
    assert all(embedding.does_read(name) for name in read)
    assert not embedding.does_read("components")
    assert kinds.start_names() == ("random", "scatter")
    assert "scatter: a linear embedding in closed form" in kinds.summaries()
