"""The rule behind triplet accuracy, for validation, search and evaluation alike."""

import numpy as np
import numpy.typing as npt


def triplet_credit(
    similarity: npt.NDArray[np.floating], odd: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """How right each triplet is: 1, 0, or 1/k where k pairs are equally the most similar.

    Args:
        similarity: [T, 3], higher is more alike; pair j is the pair without face j.
        odd: [T], the odd face by the raters' majority, and so the similar pair.

    Returns:
        [T] float64 in [0, 1]; its mean is the triplet accuracy, chance 1/3. A head that always
        answers the same scores exactly chance, whatever the order of the faces.

    Source: Vemulapalli & Agarwala, CVPR 2019, arXiv:1811.11283, section 5.
    """
    # Not argmax: it breaks ties by position, and a constant head would depend on the face order.
    best = similarity == similarity.max(axis=1, keepdims=True)
    hit = np.take_along_axis(best, odd[:, None], axis=1)[:, 0]
    return np.asarray(hit / np.maximum(best.sum(axis=1), 1), np.float64)
