"""How much memory an extraction may hold beside its network, and what that allows."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.errors import BadOption
from fec_cache.inference.gpu_jpegs import MAX_FILE_BYTES
from fec_cache.system.wording import counted

_GB = 1_000_000_000
_UNKNOWN_FREE = 4 * _GB
_FREE_SHARE = 0.25
_AHEAD_PER_WORKER = 32
_AHEAD_BATCHES = 4
# Reading, decoding and resizing one ordinary photo.
_LEAST_DECODING = 64_000_000


@dataclass(frozen=True)
class MemoryPlan:
    """What the pipeline keeps to.

    `ahead_faces` may be in work between their file and their shard; pictures that are being decoded
    take `decode_bytes` together (one that needs more is decoded alone).
    """

    ahead_faces: int
    decode_bytes: int


def plan_memory(
    memory_gb: float | None,
    recipes: Sequence[FeatureRecipe],
    shard_faces: int,
    batch_size: int,
    num_workers: int,
) -> MemoryPlan:
    """Part the memory between faces under way, pictures being decoded and shards being built.

    Args:
        memory_gb: in all, beside libraries and network; None is a quarter of what is free.
        recipes: of the caches that are filled at once.
        shard_faces: faces in a shard, at most.
        batch_size: faces in a forward pass.
        num_workers: threads.

    Raises:
        BadOption: less was given than one batch and one shard need.
    """
    widths = [recipe.width for recipe in recipes]
    side = recipes[0].crop.input_size
    a_face = 3 * side * side + 4 * sum(widths)
    a_face += MAX_FILE_BYTES if recipes[0].crop.decode == "gpu" else 0
    shards = [shard_faces * r.width * (2 if r.store_dtype == "float16" else 4) for r in recipes]
    # Every cache gathers its shard; one at a time is joined, checked and built as a file.
    storing = sum(shards) + 4 * max(shards)
    least_ahead = batch_size + _AHEAD_PER_WORKER
    least = storing + least_ahead * a_face + _LEAST_DECODING
    given = memory_gb * _GB if memory_gb is not None else max(_FREE_SHARE * free_bytes(), least)
    if given < least:
        raise BadOption(
            f"--memory-gb {memory_gb:g} is too little: batches of {batch_size} and shards of "
            f"{counted(shard_faces, 'face')} need {least / _GB:.2f}. Give more, or take a "
            "smaller --batch-size or --shard-faces."
        )
    left = given - storing - _LEAST_DECODING
    wanted = _AHEAD_BATCHES * batch_size + _AHEAD_PER_WORKER * num_workers
    ahead = max(least_ahead, min(wanted, int(left / 2 / a_face)))
    return MemoryPlan(ahead, _LEAST_DECODING + max(0, int(left - ahead * a_face)))


def free_bytes() -> int:
    """Memory that a new program could have, in bytes; a container's limit counts."""
    free = _UNKNOWN_FREE
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration, ValueError, IndexError):
        names = getattr(os, "sysconf_names", {})
        if "SC_PHYS_PAGES" in names:
            free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    try:
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        return max(0, min(free, limit - int((group / "memory.current").read_text("ascii"))))
    except (OSError, ValueError):  # no container, or one without a limit
        return free
