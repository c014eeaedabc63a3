import math

import pytest

from fec_cache.system.wording import counted, data_size, duration, percent


def test_the_noun_agrees_with_its_number():
    assert [counted(number, "face") for number in (0, 1, 2)] == ["0 faces", "1 face", "2 faces"]
    assert [counted(number, "person", "people") for number in (1, 3)] == ["1 person", "3 people"]
    assert counted(1000, "face", form=",") == "1,000 faces"


def test_shares_are_percent():
    assert (percent(0.1234), percent(1.0, 0), percent(math.nan)) == ("12.3 %", "100 %", "-")
    assert (percent(0.5, space="_"), percent(math.nan, dash="none")) == ("50.0_%", "none")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (89.9, "89.9 s"), (90, "1.5 min"), (5399, "90.0 min"), (5400, "1.5 h")],
)
def test_durations_change_their_unit_at_ninety(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("num_bytes", "text", "on_disk"),
    [
        (0, "0 B", "0.0 MB"),
        (999, "999 B", "0.0 MB"),
        (1000, "1.0 kB", "0.0 MB"),
        (99_999_999, "100.0 MB", "100.0 MB"),
        (100_000_000, "100.0 MB", "0.10 GB"),
        (2_345_678_901, "2.3 GB", "2.35 GB"),
    ],
)
def test_sizes_are_decimal(num_bytes, text, on_disk):
    assert (data_size(num_bytes), data_size(num_bytes, on_disk=True)) == (text, on_disk)
