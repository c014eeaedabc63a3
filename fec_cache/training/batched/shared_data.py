"""Features and triplets on the device, shared by all stacks that are trained on them."""

from collections.abc import Hashable

import numpy as np
import numpy.typing as npt
import torch

from fec_cache.heads.base import PairHead
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.pairs.build import TripletTable
from fec_cache.training.batched.engine import Items
from fec_cache.training.batched.job_state import ValidationSet
from fec_cache.training.batched.resident import Resident, check_features, share_preparation


class SharedData:
    """Fits each preparation once and lays out each loss's items once.

    `train` and `validation` are the given tables.
    """

    def __init__(
        self,
        features: npt.NDArray[np.floating],
        train: TripletTable,
        validation: TripletTable,
        device: torch.device,
    ) -> None:
        """Check features and triplets.

        Args:
            features: [N, D], any float dtype.
            train: triplets to learn from; preparations are fitted on their faces only.
            validation: triplets that share no face with `train`.
            device: where prepared features and items are kept.

        Raises:
            NothingToTrain: a side is empty, or the features are not finite.
        """
        check_features(features, train, validation)
        self.features, self.train, self.validation = features, train, validation
        self.device, self.width = device, features.shape[1]
        self._prepared: dict[Hashable, tuple[Resident, ValidationSet, PairHead]] = {}
        self._items: dict[Hashable, Items] = {}

    def prepare(self, config: HeadConfig) -> tuple[Resident, ValidationSet, PairHead]:
        """Prepared features, the validation set on them, and a head with this preparation."""
        key = (config.preparation_for(self.width), config.blocks)
        if key not in self._prepared:
            with torch.random.fork_rng():
                head = build_head(config, self.width).to(self.device)
            faces = np.unique(self.train.rows)
            resident = Resident(self.features, faces, head, self.device)
            self._prepared[key] = resident, ValidationSet(self.validation, resident), head
        return self._prepared[key]

    def give_preparation(self, head: PairHead) -> tuple[Resident, ValidationSet]:
        """Prepared features and validation for a head, which gets the fitted preparation."""
        resident, validation_set, prepared = self.prepare(head.config)
        share_preparation(prepared, head)
        return resident, validation_set

    def items(self, loss: str, config: HeadConfig) -> Items:
        """What a head learns from under a loss."""
        key = (loss, config.kind.steps, config.both_orders)
        if key not in self._items:
            self._items[key] = Items(loss, config, self.train, self.device)
        return self._items[key]
