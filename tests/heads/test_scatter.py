"""The scatter head: cosine of a projection; limits of its options."""

import dataclasses

import pytest
import torch

from fec_cache.errors import BadOption
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head

SCATTER = HeadConfig("scatter")


def test_wide_features_go_through_a_pca_of_512_directions():
    assert SCATTER.preparation_for(1024) == "standardize"
    assert SCATTER.preparation_for(1025) == "pca:512"
    assert HeadConfig("embedding", (), init="scatter").preparation_for(2000) == "pca:512"
    assert HeadConfig("embedding").preparation_for(2000) == "standardize"


def test_more_components_than_features_are_refused():
    with pytest.raises(BadOption, match="components is 30, but prepared features have only 12"):
        build_head(dataclasses.replace(SCATTER, components=30), 12)


def test_logits_are_cosines_of_projected_features():
    torch.manual_seed(0)
    head = build_head(dataclasses.replace(SCATTER, prepare="none", components=2), 5)
    head.projection.normal_()
    a, b = torch.randn(6, 5), torch.randn(6, 5)
    cosine = torch.nn.functional.cosine_similarity(a @ head.projection, b @ head.projection)
    torch.testing.assert_close(head(a, b), cosine)
    torch.testing.assert_close(head.distance(head(a, b)), 1 - cosine)
