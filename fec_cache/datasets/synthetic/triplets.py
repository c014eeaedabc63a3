"""Which three faces stand in a synthetic triplet, in FEC's proportions of the three types."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fec_cache.errors import BadOption
from fec_cache.system.wording import counted

FEC_TRIPLETS = {"train": (152_674, 150_234, 146_235), "test": (17_059, 17_107, 16_894)}
"""Triplets of FEC with one, two and three emotion classes, arXiv:1811.11283."""

TYPES = ("ONE_CLASS_TRIPLET", "TWO_CLASS_TRIPLET", "THREE_CLASS_TRIPLET")
"""FEC's names of the types, by the number of classes minus one."""

# Least used faces come first, but not strictly: the same three would meet again and again.
_SHUFFLE = 3.0
_ATTEMPTS = 60


def share_out(num_triplets: int, counts: Sequence[int]) -> tuple[int, ...]:
    """Split a number in the proportions of `counts`, by largest remainders."""
    exact = np.array(counts) * num_triplets / sum(counts)
    whole = np.floor(exact).astype(int)
    for largest in np.argsort(whole - exact, kind="stable")[: num_triplets - int(whole.sum())]:
        whole[largest] += 1
    return tuple(int(number) for number in whole)


class TripletPicker:
    """Picks triplets of a given type, each face about equally often, no three faces twice."""

    def __init__(self, classes: Sequence[str], rng: np.random.Generator) -> None:
        """Pick among faces with these emotion classes."""
        names = sorted(set(classes))
        self._classes = np.array([names.index(name) for name in classes])
        self._sizes = np.bincount(self._classes)
        self._uses = np.zeros(len(classes))
        self._seen: set[frozenset[int]] = set()
        self._rng = rng

    def pick(self, num_classes: int) -> tuple[int, int, int]:
        """Give three different faces that span this many emotion classes, in random order.

        Raises:
            BadOption: no new triplet of this type was found.
        """
        for attempt in range(_ATTEMPTS):
            # A small class may be used up while its faces are the least used: look further.
            faces = self._propose(num_classes, _SHUFFLE * (1 + attempt))
            if faces is not None and frozenset(faces) not in self._seen:
                self._seen.add(frozenset(faces))
                self._uses[faces] += 1
                first, second, third = (int(face) for face in self._rng.permutation(faces))
                return first, second, third
        raise BadOption(
            f"A split of {counted(len(self._classes), 'face')} gives no new "
            f"{TYPES[num_classes - 1]} after {counted(len(self._seen), 'triplet')}. Ask for fewer "
            "triplets or for more faces."
        )

    def _propose(self, num_classes: int, shuffle: float) -> list[int] | None:
        large_enough = self._sizes[self._classes] >= (3, 2, 1)[num_classes - 1]
        first = self._least_used(large_enough, shuffle)
        same = self._classes == self._classes[first]
        same[first] = False
        others = self._classes != self._classes[first]
        second = self._least_used(same if num_classes < 3 else others, shuffle)
        if num_classes == 1:
            same[second] = False
            third = self._least_used(same, shuffle)
        else:
            others &= self._classes != self._classes[second]
            third = self._least_used(others, shuffle)
        faces = [first, second, third]
        return None if -1 in faces else faces

    def _least_used(self, allowed: NDArray[np.bool_], shuffle: float) -> int:
        if not allowed.any():
            return -1
        order = self._uses + self._rng.uniform(0, shuffle, len(self._uses))
        # A face without any triplet yet goes first, so that none is left over.
        order = np.where(self._uses == 0, order - shuffle, order)
        return int(np.where(allowed, order, np.inf).argmin())
