"""`ExtractConfig`: which features to extract and how, with its defaults and limits."""

from dataclasses import dataclass, field
from typing import Any

from fec_cache.cache.recipe import STORE_DTYPES, FeatureRecipe
from fec_cache.errors import BadOption
from fec_cache.faces.crop import DECODERS, CropConfig
from fec_cache.inference.config import PRECISIONS
from fec_cache.system.checks import check_choice, check_range, check_type, check_whole

# A kill loses the shard in progress: 1,024 faces are under a minute of work on two cores. All of
# FEC is then 153 shards of about 1 MB (ResNet18's avgpool), which costs nothing (decision 1).
SHARD_FACES = 1024
AUTO = "auto"
DECODE_CHOICES = (AUTO, *DECODERS)
PRECISION_CHOICES = (AUTO, *PRECISIONS)
COMPILE_CHOICES = (AUTO, "on", "off")
# The mirrored face gains 2.3 to 2.6 points on real faces (docs/experiments.md).
FLIPS = {"off": (False,), "on": (True,), "both": (False, True)}
"""Value of `flip` -> whether the mirrored face is averaged in, for each cache of a layer."""


def split_devices(text: str) -> tuple[str, ...]:
    """`0,1` -> ("cuda:0", "cuda:1"); other names are left as torch knows them.

    Raises:
        BadOption: a name is empty.
    """
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise BadOption(f"devices is {text!r}, but it must be a list such as 0,1 or cuda:0,cuda:1.")
    return tuple(f"cuda:{name}" if name.isdecimal() else name for name in names)


def _option(default: Any, text: str, **more: Any) -> Any:
    """A field with the metadata that `cli.config_options` reads."""
    return field(default=default, metadata={"help": text, **more})


@dataclass(frozen=True)
class ExtractConfig:
    """Which features to extract and how; the defaults are those of `fec extract`.

    Fields up to `store_dtype` decide which features are made. The others change a feature by
    rounding at most and do not choose the cache.

    Example:
        >>> ExtractConfig(layers=("layer3:grid4",), flip="on").backbone
        'resnet18'
    """

    backbone: str = _option(
        "resnet18", "Backbone: a torchvision model, efficientnet_lite0 or timm:NAME."
    )
    layers: tuple[str, ...] = _option(
        ("avgpool",),
        "Comma-separated layers: avgpool, layer1 to layer4, layer3:grid4, layer4:map.",
        flag="--layer",
        metavar="WORDS",
    )
    weights: str | None = _option(None, "Weights file, or random:SEED.", unset="pretrained weights")
    crop_margin: float = _option(
        CropConfig.margin, "Margin around the box, as a fraction of its side."
    )
    # Decoding is the largest cost beside the network: 0.9 ms per face at reduced size, of which
    # 0.59 ms are Huffman decoding, which no scaling saves (docs/performance.md).
    decode: str = _option(
        AUTO,
        "How JPEGs are decoded: scaled (at reduced size, no larger than the crop needs), full "
        "(whole, on the CPU) or gpu (whole, by nvJPEG). auto: scaled, or gpu if a GPU is used and "
        "a short measurement finds it faster.",
        choices=DECODE_CHOICES,
    )
    # A face of ResNet18 takes 3.7 ms of core time in bf16 and 14 to 15 ms in fp32.
    precision: str = _option(
        AUTO,
        "Arithmetic of the network. auto: bf16 if hardware and features allow it, else fp32.",
        choices=PRECISION_CHOICES,
    )
    flip: str = _option(
        "off",
        "Average each feature with that of the mirrored face. both: also store the plain features, "
        "from the same pass.",
        choices=tuple(FLIPS),
        flag_value="on",
    )
    store_dtype: str = _option(
        FeatureRecipe.store_dtype, "Data type of the stored features.", choices=STORE_DTYPES
    )
    device: str = _option(AUTO, "Device: auto, cpu, cuda, cuda:1 or mps.")
    devices: tuple[str, ...] = _option(
        (),
        "Several devices, one process each: 0,1 for two GPUs.",
        parse=split_devices,
        metavar="TEXT",
        unset="--device only",
    )
    # On a CPU compiling finds what fusing has found: 4.1 ms per face in bf16, 3.6 ms without.
    compile: str = _option(
        AUTO,
        "Use torch.compile. auto: compile in the background of a long run, and use the result if "
        "it is faster.",
        choices=COMPILE_CHOICES,
    )
    batch_size: int | None = _option(
        None, "Faces per forward pass.", unset="16 on a CPU, otherwise 128"
    )
    num_workers: int = _option(
        0,
        "Number of threads; on a CPU they run the network too.",
        flag="--workers",
        unset="one per core",
    )
    memory_gb: float | None = _option(
        None, "Memory for pictures and shards, in GB.", unset="a quarter of the free memory"
    )
    image_timeout_s: float = _option(
        60.0,
        "Seconds after which an image that hangs while being read or decoded is skipped.",
        flag="--image-timeout",
    )
    shard_faces: int = _option(SHARD_FACES, "Maximum number of faces per shard.")
    rehash: bool = _option(False, "Read every image again, even if its date has not changed.")

    def __post_init__(self) -> None:
        """Check every field that can be checked before torch is loaded."""
        check_type("backbone", self.backbone, str, "the name of a network, such as resnet18")
        check_type("layers", self.layers, tuple, 'a tuple of layers, such as ("avgpool",)')
        check_type("devices", self.devices, tuple, 'a tuple of devices, such as ("0", "1")')
        check_type("device", self.device, str, "auto, cpu, cuda, cuda:1 or mps")
        if not self.layers:
            raise BadOption("layers is empty. Give at least one layer, such as avgpool.")
        CropConfig(margin=self.crop_margin)
        check_choice("decode", self.decode, DECODE_CHOICES)
        check_choice("precision", self.precision, PRECISION_CHOICES)
        check_choice("flip", self.flip, tuple(FLIPS))
        check_choice("store dtype", self.store_dtype, STORE_DTYPES)
        check_choice("compile", self.compile, COMPILE_CHOICES)
        if self.batch_size is not None:
            check_whole("batch size", self.batch_size, 1, 65536)
        check_whole("workers", self.num_workers, 0, 1024)
        if self.memory_gb is not None:
            check_range("memory in GB", self.memory_gb, 0.0, 1e6)
        check_range("image timeout in seconds", self.image_timeout_s, 0.1, 86400)
        check_whole("shard faces", self.shard_faces, 1, 1 << 20)

    @property
    def device_names(self) -> tuple[str, ...]:
        """The devices to use, in torch's words: `devices`, or `device` alone."""
        return split_devices(",".join(self.devices) or self.device)
