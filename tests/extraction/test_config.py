import dataclasses
import math
import subprocess
import sys

import pytest

from fec_cache.errors import BadOption
from fec_cache.extraction.config import ExtractConfig, split_devices


def test_the_defaults_are_pinned():
    assert dataclasses.asdict(ExtractConfig()) == {
        "backbone": "resnet18",
        "layers": ("avgpool",),
        "weights": None,
        "crop_margin": 0.1,
        "decode": "auto",
        "precision": "auto",
        "flip": "off",
        "store_dtype": "float16",
        "device": "auto",
        "devices": (),
        "compile": "auto",
        "batch_size": None,
        "num_workers": 0,
        "memory_gb": None,
        "image_timeout_s": 60.0,
        "shard_faces": 1024,
        "rehash": False,
    }


@pytest.mark.parametrize("field", dataclasses.fields(ExtractConfig), ids=lambda field: field.name)
def test_every_field_has_a_help_text(field):
    text = field.metadata["help"]
    assert text[0].isupper()
    assert text.endswith((".", "]"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layers": ()}, "layers is empty. Give at least one layer"),
        ({"crop_margin": 3.0}, "crop margin is 3, but it must be between 0 and 2"),
        ({"decode": "fast"}, "decode is 'fast', but it must be one of: auto, scaled, full, gpu"),
        ({"precision": "int8"}, "precision is 'int8', .* one of: auto, fp32, bf16, fp16"),
        ({"flip": "yes"}, "flip is 'yes', but it must be one of: off, on, both"),
        ({"store_dtype": "float64"}, "store dtype is 'float64', .* one of: float16, float32"),
        ({"compile": "maybe"}, "compile is 'maybe', but it must be one of: auto, on, off"),
        ({"batch_size": 0}, "batch size is 0, but it must be between 1 and 65536"),
        ({"num_workers": -1}, "workers is -1"),
        ({"memory_gb": -1.0}, "memory in GB is -1"),
        ({"image_timeout_s": math.inf}, "image timeout in seconds is inf"),
        ({"shard_faces": 0}, "shard faces is 0"),
    ],
)
def test_values_out_of_range_are_refused(fields, message):
    with pytest.raises(BadOption, match=message):
        ExtractConfig(**fields)


def test_device_names():
    assert ExtractConfig().device_names == ("auto",)
    assert ExtractConfig(device="0").device_names == ("cuda:0",)
    assert ExtractConfig(device="cpu,cpu:0").device_names == ("cpu", "cpu:0")
    assert ExtractConfig(device="cpu", devices=("0", "cuda:1")).device_names == ("cuda:0", "cuda:1")
    assert split_devices("0, 1") == ("cuda:0", "cuda:1")
    assert split_devices("cpu,cuda:3") == ("cpu", "cuda:3")
    with pytest.raises(BadOption, match="devices is '0,,1'"):
        split_devices("0,,1")


def test_torch_is_not_loaded():
    code = "import sys, fec_cache.extraction.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
