"""The ledger: whole files or none, altered ones set aside, never a traceback."""

import dataclasses
import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fec_cache.search.ledger import DONE, FAILED, PRUNED, Ledger, Outcome, Rung

ONE = Outcome("a" * 16, {"lr": 0.1, "hidden": [8]}, DONE, 0.5, 0.7, 2, 3, 1.5)
TWO = Outcome("b" * 16, {"lr": 0.2, "hidden": []}, DONE, 0.6, 0.6, 1, 3, 1.5)
BAD = Outcome("c" * 16, {"lr": 0.3, "hidden": [8]}, FAILED, error="no memory")


def test_outcomes_come_back_as_they_were(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.record([ONE, TWO])
    ledger.record([BAD])
    found = Ledger(tmp_path).outcomes()
    assert set(found) == {ONE.key, TWO.key, BAD.key}
    assert found[ONE.key] == ONE
    assert found[TWO.key] == TWO
    assert found[BAD.key].error == "no memory"
    assert math.isnan(found[BAD.key].val_triplet_accuracy)


def test_the_one_that_knows_more_is_right(tmp_path):
    pruned = dataclasses.replace(ONE, status=PRUNED, epochs=1, val_triplet_accuracy=0.4)
    failed = dataclasses.replace(ONE, status=FAILED, error="x")
    for order in ([failed, pruned, ONE], [ONE, pruned, failed]):
        ledger = Ledger(tmp_path / str(order[0].status))
        for outcome in order:
            ledger.record([outcome])
        assert ledger.outcomes() == {ONE.key: ONE}


def test_points_that_end_at_a_rung_are_outcomes_too(tmp_path):
    pruned = dataclasses.replace(ONE, status=PRUNED)
    rung = Rung((TWO.key,), (pruned,))
    Ledger(tmp_path).record_rung("b-0", rung)
    assert Ledger(tmp_path).rung("b-0") == rung
    assert Ledger(tmp_path).rung("b-1") is None
    assert Ledger(tmp_path).outcomes() == {ONE.key: pruned}


WRONG = [
    b"",
    b"\xff\x00\xfe",
    b"null",
    b"[]",
    b"[" * 100_000,
    b'{"sha256": 3, "content": []}',
    b'{"content": []}',
]


@pytest.mark.parametrize("content", WRONG, ids=range(len(WRONG)))
def test_files_of_anything_are_set_aside_and_named(tmp_path, content):
    ledger = Ledger(tmp_path)
    ledger.record([ONE])
    ledger.record([TWO])
    victim = sorted((tmp_path / "points").iterdir())[0]
    victim.write_bytes(content)
    assert len(ledger.outcomes()) == 1
    assert ledger.damaged == [f"points/{victim.name}"]
    assert (tmp_path / "damaged" / victim.name).read_bytes() == content
    assert not victim.exists()


def sealed(content):
    from fec_cache.search.ledger import _digest

    return json.dumps({"sha256": _digest(content), "content": content}).encode()


FIELDS = dataclasses.asdict(ONE)


@pytest.mark.parametrize(
    "fields",
    [
        {**FIELDS, "val_triplet_accuracy": "0.5"},
        {**FIELDS, "val_triplet_accuracy": 1.5},
        {**FIELDS, "val_triplet_accuracy": math.nan},
        {**FIELDS, "val_loss": None},
        {**FIELDS, "best_epoch": 1.5},
        {**FIELDS, "settings": [1]},
        {**FIELDS, "key": 7},
        {**FIELDS, "status": "perhaps"},
        {**FIELDS, "error": ["x"]},
        {**FIELDS, "epochs": True},
        {**FIELDS, "colour": "red"},
        {"key": "a"},
        "text",
        3,
    ],
)
def test_fields_of_wrong_types_are_damage_even_under_a_right_digest(tmp_path, fields):
    ledger = Ledger(tmp_path)
    (tmp_path / "points").mkdir()
    (tmp_path / "points" / "x.json").write_bytes(sealed([fields]))
    assert ledger.outcomes() == {}
    assert ledger.damaged == ["points/x.json"]


@given(place=st.integers(0, 10_000), byte=st.integers(0, 255))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)
def test_a_changed_byte_never_changes_an_outcome(tmp_path, place, byte):
    ledger = Ledger(tmp_path)
    for path in (tmp_path / "points").glob("*"):
        path.unlink()
    ledger.record([ONE, TWO])
    (path,) = (tmp_path / "points").iterdir()
    content = bytearray(path.read_bytes())
    content[place % len(content)] = byte
    path.write_bytes(bytes(content))
    assert ledger.outcomes() in ({}, {ONE.key: ONE, TWO.key: TWO})


def test_a_plan_is_kept(tmp_path):
    Ledger(tmp_path).record_plan("p", {"width": 4})
    assert Ledger(tmp_path).plan("p") == {"width": 4}
    assert Ledger(tmp_path).plan("q") is None
