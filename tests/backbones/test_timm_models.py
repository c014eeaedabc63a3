import importlib.util
import sys

import pytest

from fec_cache.backbones.base import PublishedFile
from fec_cache.backbones.registry import find_architecture
from fec_cache.backbones.timm_models import has_timm, timm_architecture
from fec_cache.errors import BadOption, MissingExtra, UnknownBackbone

needs_timm = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None, reason="needs the extra `offline` (timm)"
)


@needs_timm
def test_unknown_timm_name_suggests_near_ones():
    with pytest.raises(UnknownBackbone, match="Did you mean timm:resnet18 or "):
        find_architecture("timm:resnet1888")


@needs_timm
def test_preparation_is_that_of_timms_own_weights():
    architecture = find_architecture("timm:resnet18")
    assert architecture.input_size == 224
    assert architecture.mean == (0.485, 0.456, 0.406)
    assert architecture.std == (0.229, 0.224, 0.225)
    assert architecture.unused == ("fc",)
    assert architecture.published == PublishedFile(
        "timm:resnet18",
        hint="get model.safetensors from https://huggingface.co/timm/resnet18.a1_in1k, then (1)",
    )


@needs_timm
def test_a_network_for_oblong_images_is_refused(monkeypatch):
    import timm

    config = timm.get_pretrained_cfg("resnet18")
    oblong = type("Config", (), {"to_dict": lambda self: {"input_size": (3, 128, 256)}})()
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda name: oblong)
    with pytest.raises(BadOption, match=r"timm:resnet18 needs images of 128 x 256 pixels"):
        timm_architecture("resnet18")
    assert config.input_size == (3, 224, 224)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "timm:resnet18"])
def test_missing_timm_is_reported(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    assert not has_timm()
    with pytest.raises(
        MissingExtra, match=r"needs timm, .* Run: pip install 'fec_cache\[offline\]'"
    ):
        find_architecture(name)
