"""Whole epochs of K heads: batches, steps and the loss on the way."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fec_cache.heads.base import PairHead
from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.build import TripletTable
from fec_cache.training.batched.autograd import StackedByAutograd
from fec_cache.training.batched.embeddings import StackedEmbeddings
from fec_cache.training.batched.gradients import GRADIENTS
from fec_cache.training.batched.kernels import GraphedSteps
from fec_cache.training.batched.optimisers import make_optimiser
from fec_cache.training.batched.pairings import BatchBuffers, StackedHeads, StackedPairMlps
from fec_cache.training.batched.resident import Resident
from fec_cache.training.config import TrainConfig
from fec_cache.training.losses import training_columns

# What `HeadKind.steps` can name.
# Written by hand because the usual loop takes 1.4 ms per step, of which the products of the first
# layer take 0.2 ms and Adam 0.15 ms (D 512, batches of 32, one thread; decision 8).
STEPS: dict[str, type[StackedHeads]] = {
    "pair-mlp": StackedPairMlps,
    "embedding": StackedEmbeddings,
    "autograd": StackedByAutograd,
}
# Rows and answers are put into the epoch's order for this many steps at a time: one CUDA graph.
_CHUNK_STEPS = 64


class Items:
    """Rows of faces and their answers on the device, one entry per item."""

    def __init__(
        self, loss: str, head: HeadConfig, train: TripletTable, device: torch.device
    ) -> None:
        rows, *answers = training_columns(loss, train, head.both_orders)
        faces = torch.from_numpy(np.ascontiguousarray(rows))
        self.num_faces = faces.shape[1]
        self.rows = STEPS[head.kind.steps].columns(faces).to(device)
        columns = [torch.from_numpy(column).to(device) for column in answers]
        self.answers = tuple(c if c.dim() == 2 else c[:, None] for c in columns)

    def __len__(self) -> int:
        """How many items an epoch has."""
        return len(self.rows)


class Engine:
    """Trains K heads of one shape, each on its own order of the same items."""

    def __init__(
        self,
        heads: Sequence[PairHead],
        configs: Sequence[TrainConfig],
        noise: Sequence[torch.Generator],
        items: Items,
        resident: Resident,
    ) -> None:
        """Take the heads' weights; the heads themselves are left alone.

        Args:
            heads: K heads of one shape, on the device.
            configs: how each is trained; one loss, optimiser and batch size.
            noise: where each draws its dropout masks from.
            items: what to learn from.
            resident: the prepared features.
        """
        self._items, self._batch_size = items, configs[0].batch_size
        self._loss = GRADIENTS[configs[0].loss]
        self.stacked = STEPS[heads[0].kind.steps](heads, noise, resident)
        self._optimiser = make_optimiser(self.stacked.parameters, configs)
        self._lead = self.stacked.lead
        self._num_pairs = 1 if items.num_faces == 2 else 3
        self._noise = tuple(noise)
        self._graph: GraphedSteps | None = None
        self._buffers: dict[int, BatchBuffers] = {}
        self._device = resident.device

    def epoch(self, orders: Sequence[Tensor], num_steps: int | None = None) -> Tensor:
        """Train all heads for one epoch.

        Args:
            orders: K permutations of the items, int64 on the device.
            num_steps: end earlier, to measure.

        Returns:
            The mean loss of each head over the epoch, [K] float32.
        """
        num_items = len(self._items)
        if num_steps is not None:
            num_items = min(num_items, num_steps * self._batch_size)
        total = torch.zeros(self._lead, device=self._device)
        length = _CHUNK_STEPS * self._batch_size
        for start in range(0, num_items, length):
            parts = [order[start : min(start + length, num_items)] for order in orders]
            chunk = torch.stack(parts) if self._lead else parts[0]
            rows = self._items.rows[chunk]
            answers = tuple(column[chunk] for column in self._items.answers)
            values = self._steps(rows, answers)
            total += self._loss.per_item(values, answers).sum(dim=-1)
        return (total / num_items).view(-1)

    def state_of(self, indices: Sequence[int]) -> list[Tensor]:
        """The optimiser's state of some heads, for an engine that continues with them.

        Tensors [*k, ...] as `Optimiser.state_of` gives them.
        """
        return self._optimiser.state_of(indices)

    def restore(self, state: Sequence[Tensor]) -> None:
        """Continue from what `state_of` gave: tensors [*k, ...]."""
        self._optimiser.restore(state)

    def _steps(self, rows: Tensor, answers: tuple[Tensor, ...]) -> Tensor:
        """Steps over items in order; the logits or distances that the loss saw: [*k, n, P]."""
        values = torch.empty(*rows.shape[:-1], self._num_pairs, device=self._device)
        chunk = (rows, values, *answers)
        is_whole = values.shape[-2] == _CHUNK_STEPS * self._batch_size
        if self._device.type == "cuda" and is_whole and self.stacked.is_graphable:
            if self._graph is None:
                kept = [*self.stacked.parameters.swept, *self._optimiser.tensors()]
                self._graph = GraphedSteps(self._run, chunk, kept, self._noise)
            self._graph(*chunk)
        else:
            self._run(*chunk)
        return values

    def _run(self, rows: Tensor, values: Tensor, *answers: Tensor) -> None:
        size, at = self._batch_size, len(self._lead)
        # Splitting at once is quicker than a view at each step.
        columns = [column.split(size, dim=at) for column in (values, *answers)]
        faces = rows.flatten(at).split(size * rows.shape[-1], dim=at)
        for batch_rows, batch_values, *batch_answers in zip(faces, *columns, strict=True):
            self._step(batch_rows, batch_values, tuple(batch_answers))

    def _step(self, rows: Tensor, values: Tensor, answers: tuple[Tensor, ...]) -> None:
        num_items = values.shape[-2]
        buffers = self._buffers.get(num_items)
        if buffers is None:
            buffers = self.stacked.buffers(num_items, self._items.num_faces)
            self._buffers[num_items] = buffers
        logits = self.stacked.forward(rows, buffers)
        loss, share, out = self._loss, buffers.share, buffers.logit_grads
        if loss.of_distances:
            distances = self.stacked.distances(logits)
            values.copy_(distances)
            gradient = loss.gradient(distances, answers, share, out)
            self.stacked.backward_from(gradient, distances, buffers)
        else:
            values.copy_(logits)
            self.stacked.backward(loss.gradient(logits, answers, share, out), buffers)
            if loss.ignores_shift:
                self.stacked.hold_offset()
        self._optimiser.step()
