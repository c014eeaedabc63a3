"""Features and triplets on the device, shared by all stacks that are trained on them."""

from collections.abc import Hashable

import numpy as np
import numpy.typing as npt
import torch

from fec_cache.heads.base import PairHead, build_head
from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.build import TripletTable
from fec_cache.training.batched.engine import Items
from fec_cache.training.batched.job_state import Judge
from fec_cache.training.batched.resident import Resident, check_features, share_preparation


class Ground:
    """Each preparation is fitted once, and each loss's items are laid out once.

    `train` and `validation` are as they were given.
    """

    def __init__(
        self,
        features: npt.NDArray[np.floating],
        train: TripletTable,
        validation: TripletTable,
        device: torch.device,
    ) -> None:
        """Check what is to be trained on.

        Args:
            features: [N, D], any float dtype.
            train: triplets to learn from; preparations are fitted on their faces only.
            validation: triplets that share no face with `train`.
            device: where all this is to live.

        Raises:
            NothingToTrain: a side is empty, or the features are not finite.
        """
        check_features(features, train, validation)
        self.features, self.train, self.validation = features, train, validation
        self.device, self.width = device, features.shape[1]
        self._prepared: dict[Hashable, tuple[Resident, Judge, PairHead]] = {}
        self._items: dict[Hashable, Items] = {}

    def prepare(self, config: HeadConfig) -> tuple[Resident, Judge, PairHead]:
        """Prepared features for a kind of head, validation on them, and a head so prepared."""
        key = (config.head == "scatter", config.preparation_for(self.width), config.blocks)
        if key not in self._prepared:
            with torch.random.fork_rng():
                head = build_head(config, self.width).to(self.device)
            faces = np.unique(self.train.rows)
            resident = Resident(self.features, faces, head, self.device)
            self._prepared[key] = resident, Judge(self.validation, resident), head
        return self._prepared[key]

    def give_preparation(self, head: PairHead) -> tuple[Resident, Judge]:
        """Prepared features and validation for a head, which gets the fitted preparation."""
        resident, judge, prepared = self.prepare(head.config)
        share_preparation(prepared, head)
        return resident, judge

    def items(self, loss: str, config: HeadConfig) -> Items:
        """What a head learns from under a loss."""
        key = (loss, config.head, config.both_orders)
        if key not in self._items:
            self._items[key] = Items(loss, config, self.train, self.device)
        return self._items[key]
