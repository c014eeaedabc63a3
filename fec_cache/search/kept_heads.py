"""Trained heads at hand, so that the winner need not be trained again."""

from fec_cache.training.history import TrainResult

_MOST_NUMBERS = 64_000_000  # 256 MB of float32


class Shelf:
    """The best heads of a run, as many as there is room for."""

    def __init__(self, most_numbers: int = _MOST_NUMBERS) -> None:
        self._most_numbers = most_numbers
        self._heads: dict[str, TrainResult] = {}

    def put(self, key: str, result: TrainResult) -> None:
        """Keep a head; where there is no room, the worst one goes."""
        self._heads[key] = result
        while len(self._heads) > 1 and self._size() > self._most_numbers:
            worst = min(self._heads, key=lambda k: self._heads[k].best.val_triplet_accuracy)
            del self._heads[worst]

    def get(self, key: str) -> TrainResult | None:
        """The head of a point, if it is still here."""
        return self._heads.get(key)

    def _size(self) -> int:
        return sum(
            value.numel()
            for result in self._heads.values()
            for value in result.head.state_dict().values()
        )
