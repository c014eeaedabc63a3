"""How much memory an extraction may use besides its network, and what fits into it."""

from collections.abc import Sequence
from dataclasses import dataclass

from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.errors import BadOption
from fec_cache.inference.gpu_jpegs import MAX_FILE_BYTES
from fec_cache.system.memory import free_memory_bytes
from fec_cache.system.wording import counted

_GB = 1_000_000_000
_AHEAD_PER_WORKER = 32
_AHEAD_BATCHES = 4
# What `--memory-gb` is by default: this share of the free memory.
FREE_SHARE = 0.25
# Enough to read, decode and resize one ordinary photo.
_MIN_DECODING = 64_000_000


@dataclass(frozen=True)
class MemoryPlan:
    """Limits of the pipeline.

    At most `ahead_faces` faces are between their image file and their shard. Pictures being decoded
    use at most `decode_bytes` together; one that needs more is decoded alone.
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
    """Split the memory between faces in progress, pictures being decoded and shards being built.

    Args:
        memory_gb: total, besides libraries and network; None for a quarter of the free memory.
        recipes: of the caches that are filled together.
        shard_faces: maximum number of faces per shard.
        batch_size: faces per forward pass.
        num_workers: number of threads.

    Raises:
        BadOption: `memory_gb` is less than one batch and one shard need.
    """
    face_bytes = _face_bytes(recipes)
    shards = [shard_faces * r.width * (2 if r.store_dtype == "float16" else 4) for r in recipes]
    # Every cache collects its shard. One at a time is concatenated, checked and built as a file,
    # counted as four copies.
    storing = sum(shards) + 4 * max(shards)
    min_ahead = batch_size + _AHEAD_PER_WORKER
    needed = storing + min_ahead * face_bytes + _MIN_DECODING
    available = (
        memory_gb * _GB if memory_gb is not None else max(FREE_SHARE * free_memory_bytes(), needed)
    )
    if available < needed:
        raise BadOption(
            f"--memory-gb {memory_gb:g} is too little: batches of {batch_size} and shards of "
            f"{counted(shard_faces, 'face')} need {needed / _GB:.2f}. Give more, or use a "
            "smaller --batch-size or --shard-faces."
        )
    left = available - storing - _MIN_DECODING
    wanted = _AHEAD_BATCHES * batch_size + _AHEAD_PER_WORKER * num_workers
    ahead = max(min_ahead, min(wanted, int(left / 2 / face_bytes)))
    return MemoryPlan(ahead, _MIN_DECODING + max(0, int(left - ahead * face_bytes)))


def _face_bytes(recipes: Sequence[FeatureRecipe]) -> int:
    """Bytes of one face in progress: its picture, its features, and its JPEG for a GPU."""
    crop = recipes[0].crop
    picture = 3 * crop.input_size**2 + 4 * sum(recipe.width for recipe in recipes)
    return picture + (MAX_FILE_BYTES if crop.decode == "gpu" else 0)
