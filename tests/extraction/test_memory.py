import pytest

from fec_cache.errors import BadOption
from fec_cache.extraction import memory as module
from fec_cache.extraction.memory import plan_memory
from fec_cache.testing import toy


def test_less_memory_means_fewer_faces_under_way():
    recipes = [toy.toy_recipe()]
    roomy = plan_memory(1.0, recipes, 1024, 8, 2)
    assert roomy.ahead_faces == 4 * 8 + 2 * 32
    tight = plan_memory(0.0641, recipes, 1024, 8, 2)
    assert tight.ahead_faces <= roomy.ahead_faces
    assert tight.decode_bytes < roomy.decode_bytes < 1e9


def test_too_little_is_a_named_error():
    with pytest.raises(BadOption, match=r"--memory-gb 0.01 is too little: .* need 0.06"):
        plan_memory(0.01, [toy.toy_recipe()], 1024, 8, 2)


def test_the_default_is_a_quarter_of_what_is_free(monkeypatch):
    monkeypatch.setattr(module, "free_memory_bytes", lambda: 8_000_000_000)
    assert plan_memory(None, [toy.toy_recipe()], 8, 8, 2) == plan_memory(
        2.0, [toy.toy_recipe()], 8, 8, 2
    )
    monkeypatch.setattr(module, "free_memory_bytes", lambda: 0)
    assert plan_memory(None, [toy.toy_recipe()], 8, 8, 2).ahead_faces > 0
