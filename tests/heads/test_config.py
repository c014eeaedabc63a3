import pytest

from fec_cache.errors import BadOption
from fec_cache.heads.config import HeadConfig, split_preparation


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"head": "mlp"}, "head is 'mlp', but it must be one of: concat, symmetric, embedding"),
        ({"init": "zeros"}, "init is 'zeros', but it must be one of: random, scatter"),
        ({"hidden": (256, 0)}, "hidden is 0, but it must be between 1 and 65536"),
        ({"dropout": 1.0}, "dropout is 1, but it must be between 0 and 0.95"),
        ({"embedding_dim": 0}, "embedding dim is 0"),
        ({"blocks": (512, 0)}, "block is 0, but it must be at least 1"),
        ({"shrinkage": -0.1}, "shrinkage is -0.1, but it must be between 0 and 1"),
        ({"components": 513}, "components is 513, but it must be between 1 and 512"),
        ({"prepare": "pca"}, "prepare is 'pca', but it must be one of: none, l2, standardize, pca"),
        ({"init": "scatter"}, "not concat"),
        ({"head": "embedding", "init": "scatter", "hidden": (31,)}, "at least 32"),
    ],
)
def test_values_out_of_range_are_refused(fields, message):
    with pytest.raises(BadOption, match=message):
        HeadConfig(**fields)


def test_preparations_are_a_kind_and_a_number():
    assert split_preparation("l2") == ("l2", None)
    assert split_preparation("pca:128") == ("pca", 128)
    assert split_preparation("whiten:7") == ("whiten", 7)
    with pytest.raises(BadOption, match="K stands for a number, as in pca:128"):
        split_preparation("pca:K")
    for wrong in ("pca:0", "pca:", "l2:3", "pca:1.5"):
        with pytest.raises(BadOption, match="prepare is"):
            split_preparation(wrong)


@pytest.mark.parametrize(
    ("fields", "width", "preparation"),
    [
        ({}, 512, "none"),
        ({"blocks": (512, 512)}, 1024, "standardize"),
        ({"head": "symmetric"}, 4096, "standardize"),
        ({"head": "scatter"}, 1024, "standardize"),
        ({"head": "scatter"}, 1025, "pca:512"),
        ({"head": "embedding", "init": "scatter"}, 4096, "pca:512"),
        ({"head": "scatter", "prepare": "l2"}, 4096, "l2"),
    ],
)
def test_each_head_has_its_own_default_preparation(fields, width, preparation):
    assert HeadConfig(**fields).preparation_for(width) == preparation
