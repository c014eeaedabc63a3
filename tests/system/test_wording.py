from fec_cache.system.wording import counted


def test_one_thing_is_no_things():
    assert [counted(number, "face") for number in (0, 1, 2)] == ["0 faces", "1 face", "2 faces"]
    assert [counted(number, "person", "people") for number in (1, 3)] == ["1 person", "3 people"]
