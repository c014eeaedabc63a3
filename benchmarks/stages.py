"""Time both stages against the loops that tutorials show, interleaved in one run.

    python benchmarks/stages.py [--faces 256] [--rounds 3] [--backbone resnet18]

Stage one: DataLoader, Pillow, torchvision's transform and eager fp32 batches of 32 against
`extract`, with the forward-only ceiling beside both. Stage two: DataLoader over pairs against
`fit`. Weights are random, which does not change the speed.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision.transforms import v2

from fec_cache.backbones.base import Backbone
from fec_cache.backbones.load import load_backbone
from fec_cache.cache.cache import FeatureCache
from fec_cache.datasets.annotations import read_annotations
from fec_cache.datasets.synthetic.config import SyntheticConfig
from fec_cache.datasets.synthetic.dataset import synthesize
from fec_cache.extraction.config import ExtractConfig
from fec_cache.extraction.extract import extract
from fec_cache.extraction.recipes import recipes_of
from fec_cache.faces.digests import ImageDigests
from fec_cache.faces.table import FaceTable, identify_faces, unique_refs
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.inference.network import Network
from fec_cache.pairs.build import TripletTable, pairs_from_triplets
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit

BATCH = 32
OUR_BATCH = 8


class CropDataset(Dataset[torch.Tensor]):
    """The dataset of a typical tutorial: open, crop the box, transform."""

    def __init__(self, faces: FaceTable, images: Path, backbone: Backbone) -> None:
        self._refs, self._images = [face.ref for face in faces.present], images
        size = (backbone.input_size, backbone.input_size)
        to_float = v2.ToDtype(torch.float32, scale=True)
        normalise = v2.Normalize(backbone.mean, backbone.std)
        self._transform = v2.Compose([v2.Resize(size), v2.ToImage(), to_float, normalise])

    def __len__(self) -> int:
        return len(self._refs)

    def __getitem__(self, row: int) -> torch.Tensor:
        ref = self._refs[row]
        with Image.open(self._images / ref.image_path) as image:
            width, height = image.size
            left, right, top, bottom = ref.box
            sides = (left * width, top * height, right * width, bottom * height)
            return self._transform(image.convert("RGB").crop(sides))


def tutorial_extract(faces: FaceTable, images: Path, backbone: Backbone, workers: int) -> None:
    """Extract as a tutorial does; the features are thrown away."""
    loader = DataLoader(CropDataset(faces, images, backbone), BATCH, num_workers=workers)
    with torch.no_grad():
        torch.cat([backbone.module(batch)["avgpool"] for batch in loader])


def our_extract(faces: FaceTable, images: Path, backbone: Backbone) -> None:
    """Extract into a temporary cache."""
    with tempfile.TemporaryDirectory() as folder:
        (recipe,) = recipes_of(backbone, 0.1, "float16")
        cache = FeatureCache.create(Path(folder), recipe)
        extract(faces, images, backbone, [cache], ExtractConfig(device="cpu"))


def forward_only(backbone: Backbone, num_faces: int) -> None:
    """Run the network on black pictures in memory."""
    network = Network(backbone, torch.device("cpu"))
    size = backbone.input_size
    pictures = np.zeros((OUR_BATCH, size, size, 3), np.uint8)
    for _ in range(num_faces // OUR_BATCH):
        network.features(pictures)


def tutorial_train(features: np.ndarray, table: TripletTable) -> None:
    """Train the original recipe for one epoch as a tutorial does."""
    pairs = pairs_from_triplets(table)
    matrix, rows = torch.from_numpy(features), torch.from_numpy(pairs.rows)
    data = TensorDataset(
        matrix[rows[:, 0]], matrix[rows[:, 1]], torch.from_numpy(pairs.is_similar).float()
    )
    head = build_head(HeadConfig(), features.shape[1])
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
    criterion = torch.nn.BCEWithLogitsLoss()
    for a, b, target in DataLoader(data, BATCH, shuffle=True):
        optimizer.zero_grad()
        criterion(head(a, b), target).backward()
        optimizer.step()


def median_seconds(jobs: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each job: once per round, in turn, after an unmeasured first round."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            if number:
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def show(title: str, seconds: dict[str, float], amount: int, unit: str) -> None:
    """Print rates and their ratios to the first job."""
    print(title)
    reference = next(iter(seconds.values()))
    for name, spent in seconds.items():
        print(f"  {name:<16}{amount / spent:>10.0f} {unit}/s {reference / spent:>8.2f} x")


def main() -> None:
    """Measure both stages and print rates and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=256, help="number of faces")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--workers", type=int, default=2, help="processes of the DataLoader")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        synthesize(data, SyntheticConfig(faces=options.faces, triplets=options.faces))
        parts = [read_annotations(data / f"{split}.csv") for split in ("train", "test")]
        refs = unique_refs(triplet for part in parts for triplet in part.triplets)
        faces = identify_faces(refs, data / "images", ImageDigests(Path(folder)))
        backbone = load_backbone(options.backbone, "random:0")
        images, num_faces = data / "images", len(faces.present)
        stage_one = {
            "DataLoader loop": lambda: tutorial_extract(faces, images, backbone, options.workers),
            "fec extract": lambda: our_extract(faces, images, backbone),
            "forward only": lambda: forward_only(backbone, num_faces),
        }
        seconds = median_seconds(stage_one, options.rounds)
        show(f"Stage one, {options.backbone}, {num_faces} faces", seconds, num_faces, "faces")
    rng = np.random.default_rng(0)
    features = rng.normal(size=(4000, 512)).astype(np.float32)
    rows = rng.permuted(np.tile(np.arange(4000), (10_000, 1))[:, :3], axis=0)
    odd = rng.integers(0, 3, len(rows))
    table = TripletTable(rows, odd, np.zeros_like(odd), np.eye(3, dtype=np.int64)[odd] * 6)
    few = table.take(np.arange(100))
    stage_two = {
        "DataLoader loop": lambda: tutorial_train(features, table),
        "fec train-head": lambda: _fit_once(features, table, few),
    }
    seconds = median_seconds(stage_two, options.rounds)
    show("Stage two, one epoch, concat 1024-256-1, batch 32", seconds, 3 * len(table), "pairs")


def _fit_once(features: np.ndarray, table: TripletTable, few: TripletTable) -> None:
    fit(features, table, few, HeadConfig(), TrainConfig(epochs=1))


if __name__ == "__main__":
    main()
