"""Trained heads kept in memory, so that the winner need not be trained again."""

from fec_cache.training.history import TrainResult

_MAX_NUMBERS = 64_000_000  # 256 MB of float32


class KeptHeads:
    """The best heads of a run, up to a total of `max_numbers` weights."""

    def __init__(self, max_numbers: int = _MAX_NUMBERS) -> None:
        self._max_numbers = max_numbers
        self._heads: dict[str, TrainResult] = {}

    def put(self, key: str, result: TrainResult) -> None:
        """Keep a head; if there is no room, drop those of the lowest validation accuracy."""
        self._heads[key] = result
        while len(self._heads) > 1 and self._num_numbers() > self._max_numbers:
            worst = min(self._heads, key=lambda k: self._heads[k].best.val_triplet_accuracy)
            del self._heads[worst]

    def get(self, key: str) -> TrainResult | None:
        """The head of a point by its key; None if it is not kept."""
        return self._heads.get(key)

    def _num_numbers(self) -> int:
        return sum(
            value.numel()
            for result in self._heads.values()
            for value in result.head.state_dict().values()
        )
