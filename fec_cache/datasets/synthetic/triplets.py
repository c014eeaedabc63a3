"""Which three faces form a synthetic triplet, in FEC's proportions of the three types."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fec_cache.datasets.annotations import TRIPLET_TYPES
from fec_cache.errors import BadOption
from fec_cache.system.wording import counted

FEC_TRIPLETS = {"train": (152_674, 150_234, 146_235), "test": (17_059, 17_107, 16_894)}
"""Number of FEC's triplets with one, two and three emotion classes, arXiv:1811.11283."""

# Faces with the fewest uses are preferred, but with this much noise (in uses): a strict order
# would propose the same three faces again and again.
_SHUFFLE = 3.0
_ATTEMPTS = 60


def share_out(num_triplets: int, counts: Sequence[int]) -> tuple[int, ...]:
    """Split a number in the proportions of `counts`, by the largest-remainder method."""
    exact = np.array(counts) * num_triplets / sum(counts)
    whole = np.floor(exact).astype(int)
    for largest in np.argsort(whole - exact, kind="stable")[: num_triplets - int(whole.sum())]:
        whole[largest] += 1
    return tuple(int(number) for number in whole)


class TripletPicker:
    """Picks distinct triplets of a given type, using each face about equally often."""

    def __init__(self, classes: Sequence[str], rng: np.random.Generator) -> None:
        """Pick among faces, given the emotion class of each."""
        names = sorted(set(classes))
        self._classes = np.array([names.index(name) for name in classes])
        self._sizes = np.bincount(self._classes)
        self._uses = np.zeros(len(classes))
        self._seen: set[frozenset[int]] = set()
        self._rng = rng

    def pick(self, num_classes: int) -> tuple[int, int, int]:
        """Indices of three distinct faces of `num_classes` emotion classes, in random order.

        Raises:
            BadOption: no unused triplet of this type was found.
        """
        for attempt in range(_ATTEMPTS):
            # The least used faces may be those of a small class whose triplets are all taken:
            # more noise with each attempt reaches the other classes.
            faces = self._propose(num_classes, _SHUFFLE * (1 + attempt))
            if faces is not None and frozenset(faces) not in self._seen:
                self._seen.add(frozenset(faces))
                self._uses[faces] += 1
                first, second, third = (int(face) for face in self._rng.permutation(faces))
                return first, second, third
        raise BadOption(
            f"No unused {TRIPLET_TYPES[num_classes - 1]} found among "
            f"{counted(len(self._classes), 'face')} after {counted(len(self._seen), 'triplet')}. "
            "Reduce the number of triplets or increase the number of faces."
        )

    def _propose(self, num_classes: int, shuffle: float) -> list[int] | None:
        """Three faces of the given number of classes, used before or not; None if there are none.

        In a two-class triplet the first two faces share the class.
        """
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
        """One of the least used faces of a mask [F]; -1 if it allows none."""
        if not allowed.any():
            return -1
        order = self._uses + self._rng.uniform(0, shuffle, len(self._uses))
        # Faces without a triplet come before all others, so that every drawn face is used.
        order = np.where(self._uses == 0, order - shuffle, order)
        return int(np.where(allowed, order, np.inf).argmin())
