"""Precisions and devices of a network by their names, without loading torch."""

from fec_cache.errors import BadOption

PRECISIONS = ("fp32", "bf16", "fp16")
DEVICES = ("cpu", "cuda", "mps")


def check_device_name(name: str) -> None:
    """Check that torch may know a device; whether this machine has it, torch must say.

    Raises:
        BadOption: the name is neither `auto` nor one of `DEVICES`, alone or with a number.
    """
    if not isinstance(name, str) or (name != "auto" and name.partition(":")[0] not in DEVICES):
        raise BadOption(
            f"device {name!r} cannot be used here: expected auto, cpu, cuda, cuda:1 or mps."
        )
