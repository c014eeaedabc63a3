"""Lists and ranges of the command line."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fec_cache.errors import BadOption
from fec_cache.search.values import FIELDS, Range, parse_axis


def test_lists_of_every_kind():
    assert parse_axis("lr", "1e-4,1e-3").values == (1e-4, 1e-3)
    assert parse_axis("head", "concat, embedding").values == ("concat", "embedding")
    assert parse_axis("hidden", "128,512-128,none").values == ((128,), (512, 128), ())
    assert parse_axis("batch_size", "32,512,32").values == (32, 512)
    assert parse_axis("prepare", "default,pca:8").values == (None, "pca:8")


def test_ranges_of_a_grid():
    assert parse_axis("lr", "1e-4..1e-2:log:3").values == (1e-4, 1e-3, 1e-2)
    assert parse_axis("lr", "1e-4..1e-2:log").values == pytest.approx(
        [10**e for e in (-4, -3.5, -3, -2.5, -2)]
    )
    assert parse_axis("dropout", "0..0.5:3").values == (0.0, 0.25, 0.5)
    assert parse_axis("dropout", "0..0.5:lin:2").values == (0.0, 0.5)
    assert parse_axis("seed", "0..4").values == (0, 1, 2, 3, 4)
    assert parse_axis("epochs", "5..20:int:4").values == (5, 10, 15, 20)
    assert parse_axis("hidden", "64..256:log:3").values == ((64,), (128,), (256,))
    assert parse_axis("lr", "1e-5,1e-4..1e-2:log:3,0.1").values == (1e-5, 1e-4, 1e-3, 1e-2, 0.1)
    assert parse_axis("lr", "1..3:int").values == (1.0, 2.0, 3.0)


def test_a_single_range_is_what_samplers_draw_from():
    assert parse_axis("lr", "1e-4..1e-2:log").span == Range(1e-4, 1e-2, is_log=True)
    assert parse_axis("hidden", "64..256").span == Range(64, 256, is_int=True)
    assert parse_axis("lr", "1e-4..1e-2:log,0.1").span is None
    assert parse_axis("lr", "1e-4,0.1").span is None


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        (
            "lr",
            "fast",
            "'fast' is not a valid value of lr; expected numbers, e.g. 1e-4,1e-3, or",
        ),
        ("lr", "1e-3,", "'' is not a valid value of lr"),
        ("lr", "1e-2..1e-4", "must go from a smaller to a larger"),
        ("lr", "0..1:log", "must start above 0"),
        ("lr", "1..2:5:6", "is not a valid range"),
        ("lr", "1..two", "is not a valid range"),
        ("lr", "1..2:quick", "is not a valid range"),
        ("lr", "1..2:1", "count is 1"),
        ("lr", "1..nan", "must go from a smaller"),
        ("epochs", "1.5..3", "must have whole ends"),
        ("epochs", "1..100000", "contains 100000 whole numbers"),
        ("head", "concat..embedding", "is not a number. List its values"),
        (
            "hidden",
            "12x",
            "is not a valid value of hidden; expected widths of hidden layers, e.g. 1",
        ),
        ("epochs", "1.5", "is not a valid value of epochs; expected whole numbers, e.g. 16,32"),
        ("both_orders", "maybe", "is not a valid value of both orders; expected yes, no or yes,no"),
        (
            "head",
            "concat,",
            "is not a valid value of head; expected a comma-separated list",
        ),
    ],
)
def test_what_is_no_list_is_named(name, text, reason):
    with pytest.raises(BadOption, match=reason):
        parse_axis(name, text)


@given(
    low=st.floats(1e-9, 1e6),
    ratio=st.floats(1.001, 1e6),
    count=st.integers(2, 50),
    is_log=st.booleans(),
)
def test_a_range_has_its_ends_and_equal_steps(low, ratio, count, is_log):
    high = low * ratio
    values = Range(low, high, is_log=is_log, count=count).values()
    assert (values[0], values[-1]) == (low, high)
    if len(values) == count > 2:
        steps = [math.log(v) if is_log else v for v in values]
        wanted = (steps[-1] - steps[0]) / (count - 1)
        size = max(map(abs, steps))
        for place, step in enumerate(steps):
            assert step == pytest.approx(steps[0] + place * wanted, abs=1e-9 * max(size, 1))


@given(st.text(max_size=20), st.sampled_from(sorted(FIELDS)))
def test_any_text_is_an_axis_or_a_named_mistake(text, name):
    try:
        axis = parse_axis(name, text)
    except BadOption:
        return
    assert axis.values
    hash(axis)
