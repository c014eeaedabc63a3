"""Prepared features that stay on the device during training."""

import warnings

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fec_cache.errors import NothingToTrain
from fec_cache.heads.base import PairHead
from fec_cache.pairs.build import TripletTable
from fec_cache.system.wording import counted

# Prepared features larger than this are widened and prepared batch by batch instead.
_MAX_PREPARED_BYTES = 2**30
_CHUNK = 8192


class Resident:
    """Prepared features on the device, or stored features that are prepared batch by batch.

    The preparation has no gradients, so it is applied only once if memory allows.
    """

    def __init__(
        self,
        features: npt.NDArray[np.floating],
        train_faces: npt.NDArray[np.int64],
        head: PairHead,
        device: torch.device,
        max_prepared_bytes: int = _MAX_PREPARED_BYTES,
    ) -> None:
        """Fit the preparation of a head and put the features on the device.

        Args:
            features: [N, D], any float dtype.
            train_faces: rows of the faces that the preparation is fitted on.
            head: on the device.
            device: where the features are kept.
            max_prepared_bytes: above this, features stay as stored.
        """
        stored = matrix_on(features, device)
        self._head = head
        head.fit_preparation(stored[torch.from_numpy(train_faces).to(device)])
        self.device = device
        with torch.inference_mode():
            self.width = self._prepare(stored[:1]).shape[1]
        is_small = stored.shape[0] * self.width * 4 <= max_prepared_bytes
        self._stored = None if is_small else stored
        self._matrix = self._prepared(stored) if is_small else stored

    def empty(self, *shape: int) -> Tensor:
        """Memory [*shape] float32 on the device, not filled."""
        return torch.empty(shape, device=self.device)

    def gather(self, rows: Tensor, out: Tensor) -> None:
        """Write the prepared features of rows [...], n in all, to `out` [n, width]."""
        if rows.dim() > 1:
            rows = rows.reshape(-1)
        if self._stored is None:
            torch.index_select(self._matrix, 0, rows, out=out)
        else:
            out.copy_(self._prepare(self._stored.index_select(0, rows)))

    def take(self, rows: Tensor) -> Tensor:
        """Prepared features [n, width] of rows [n]."""
        out = self.empty(len(rows), self.width)
        self.gather(rows, out)
        return out

    def all(self) -> Tensor:
        """Prepared features of all faces, [N, width], even above `max_prepared_bytes`."""
        return self._matrix if self._stored is None else self._prepared(self._stored)

    def _prepare(self, features: Tensor) -> Tensor:
        with torch.no_grad():
            return self._head.prepare(features.float())

    def _prepared(self, stored: Tensor) -> Tensor:
        if self._head.preparation.kind == "none":
            return stored.float()
        prepared = self.empty(len(stored), self.width)
        for start in range(0, len(stored), _CHUNK):
            prepared[start : start + _CHUNK] = self._prepare(stored[start : start + _CHUNK])
        return prepared


def matrix_on(features: npt.NDArray[np.floating], device: torch.device) -> Tensor:
    """Features [N, D] in their own dtype (float16 or float32) on a device, uncopied on the CPU."""
    known = features.dtype in (np.float16, np.float32)
    with warnings.catch_warnings():
        # torch warns of a read-only matrix; nothing here writes to it.
        warnings.simplefilter("ignore")
        return torch.from_numpy(features if known else features.astype(np.float32)).to(device)


def share_preparation(fitted: PairHead, head: PairHead) -> None:
    """Give a head the fitted preparation of another one."""
    head.preparation.load_state_dict(fitted.preparation.state_dict())


def check_features(
    features: npt.NDArray[np.floating], train: TripletTable, validation: TripletTable
) -> None:
    """Raise `NothingToTrain` if a side is empty or any feature [N, D] is not finite."""
    if not len(train) or not len(validation):
        raise NothingToTrain(
            f"{len(train)} training and {counted(len(validation), 'validation triplet')}: both "
            "are needed."
        )
    chunks = (features[start : start + _CHUNK] for start in range(0, len(features), _CHUNK))
    bad = sum(int((~np.isfinite(chunk).all(axis=1)).sum()) for chunk in chunks)
    if bad:
        raise NothingToTrain(
            f"The features of {bad} of {counted(len(features), 'face')} are not finite. Extract "
            "them again, with --store-dtype float32 if they overflow float16."
        )
