import pytest

from fec_cache.backbones.base import BackboneKind, colours_of


class Listed(BackboneKind):
    def names(self):
        return ("a", "b")

    def architecture(self, name):
        raise NotImplementedError


class Prefixed(Listed):
    prefix = "hub:"


@pytest.mark.parametrize(
    ("kind", "name", "is_offered"),
    [
        (Listed(), "a", True),
        (Listed(), "c", False),
        (Listed(), "", False),
        (Prefixed(), "hub:anything", True),
        (Prefixed(), "a", False),
    ],
)
def test_a_kind_offers_its_names_or_its_prefix(kind, name, is_offered):
    assert kind.offers(name) is is_offered


def test_a_kind_is_usable_and_no_offline_alternative_unless_it_says_otherwise():
    assert Listed().is_installed()
    assert Listed.needs_no_download == ""


def test_a_kind_without_architectures_cannot_be_made():
    class Incomplete(BackboneKind):
        def names(self):
            return ()

    with pytest.raises(TypeError, match="architecture"):
        Incomplete()


def test_colours_are_three_floats():
    assert colours_of([0, 1, 0.5]) == (0.0, 1.0, 0.5)
    with pytest.raises(ValueError, match="unpack"):
        colours_of([0.5])
