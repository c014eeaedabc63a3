"""Measure what each step beyond the original recipe gains on real faces, on the same triplets.

    python campaigns/wild_ladder.py WORK --faces FACES.csv

Makes five sets of triplets from labelled pictures (five seeds; no test person is in training), runs
every face and its mirror image once through a backbone, trains every rung of the ladder on every
set, and prints triplet accuracy on the test triplets with the paired difference from the original
recipe. WORK keeps sets, features and finished rungs, so a second call continues where the first
ended. Standard errors are over the five sets, so they include the variance of people, triplets and
seeds.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import torch

from fec_cache.backbones.load import load_backbone
from fec_cache.datasets.annotations import read_annotations
from fec_cache.datasets.labelled.config import FolderConfig
from fec_cache.datasets.labelled.import_folder import import_folder
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.digests import ImageDigests
from fec_cache.faces.images import read_image
from fec_cache.faces.table import FaceTable, identify_faces, unique_refs
from fec_cache.faces.windows import cut_window
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.scoring import similarity_of
from fec_cache.inference.network import Network
from fec_cache.pairs.build import build_triplets
from fec_cache.pairs.credit import triplet_credit
from fec_cache.pairs.split import split_triplets
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit

SEEDS = range(5)
BATCH = 8
POOLS = ("layer2", "layer3", "layer4")
LAYERS = ("avgpool", "layer3:grid4", "layer3:grid7", *POOLS)
GRID, FINE = ("layer3:grid4",), ("layer3:grid7",)

ADAMW = TrainConfig(lr=1e-3, batch_size=128, optimizer="adamw", weight_decay=0.1)
ODD = dataclasses.replace(ADAMW, loss="odd-one-out")
EMBEDDING = HeadConfig("embedding", (128,), 0.5)
SLIM = dataclasses.replace(EMBEDDING, prepare="pca:256")


@dataclasses.dataclass(frozen=True)
class Rung:
    """One recipe: features (layers, mean with the mirror image or not), head and training."""

    name: str
    layers: tuple[str, ...]
    head: HeadConfig
    train: TrainConfig = ODD
    flip: bool = False


def ladder() -> tuple[Rung, ...]:
    """The rungs, the original recipe first."""
    scatter, original = HeadConfig("scatter"), HeadConfig()
    replace = dataclasses.replace
    return (
        Rung("original recipe, pool", ("avgpool",), original, TrainConfig()),
        Rung("scatter, pool", ("avgpool",), scatter),
        Rung("scatter, grid", GRID, scatter),
        Rung("embedding, pool, odd-one-out", ("avgpool",), SLIM),
        Rung("embedding, grid, odd-one-out, pca:256", GRID, SLIM),
        Rung("embedding, grid, odd-one-out, whiten:256", GRID, replace(SLIM, prepare="whiten:256")),
        Rung("embedding, grid, odd-one-out, scatter start", GRID, replace(SLIM, init="scatter")),
        Rung("embedding, grid, triplet", GRID, SLIM, replace(ADAMW, loss="triplet")),
        Rung("scatter, grid, flip", GRID, scatter, flip=True),
        Rung("embedding, grid, odd-one-out, flip", GRID, SLIM, flip=True),
        Rung("scatter, grid + pools, flip", GRID + POOLS, scatter, flip=True),
        Rung("embedding, grid + pools, odd-one-out, flip", GRID + POOLS, SLIM, flip=True),
        Rung("scatter, 7 x 7 grid, flip", FINE, scatter, flip=True),
        Rung("embedding, 7 x 7 grid, odd-one-out, flip", FINE, SLIM, flip=True),
        Rung(
            "embedding, 7 x 7 grid, odd-one-out, flip, scatter start",
            FINE,
            replace(SLIM, init="scatter"),
            flip=True,
        ),
        Rung("original recipe, grid", GRID, original, TrainConfig()),
        Rung("embedding, grid, BCE", GRID, SLIM, replace(ADAMW, batch_size=384)),
        Rung(
            "embedding, grid, contrastive",
            GRID,
            SLIM,
            replace(ADAMW, batch_size=384, loss="contrastive"),
        ),
        Rung("embedding, grid, odd-one-out, standardize", GRID, EMBEDDING),
        Rung("embedding, 7 x 7 grid, odd-one-out, standardize, flip", FINE, EMBEDDING, flip=True),
    )


class Workspace:
    """Sets, features and finished rungs in one folder."""

    def __init__(self, folder: Path, backbone: str) -> None:
        self.folder, self.backbone = folder, backbone
        self.ids_path = folder / "features" / "ids.json"
        self._tables: dict[int, tuple] = {}

    def make_sets(self, faces: Path) -> None:
        """Import the labelled pictures once per seed."""
        for seed in SEEDS:
            if not (self.folder / "sets" / str(seed) / "train.csv").exists():
                out = self.folder / "sets" / str(seed)
                summary = import_folder(faces, out, FolderConfig(seed=seed))
                print(
                    f"# set {seed}: {summary.num_faces} faces of {summary.num_identities} people, "
                    f"{summary.num_train_triplets} training and {summary.num_test_triplets} test "
                    "triplets",
                    flush=True,
                )

    def extract(self) -> None:
        """Run every face and its mirror image once through the backbone; store float16."""
        if self.ids_path.exists():
            return
        pictures = {}
        for seed in SEEDS:
            for face in self._faces(seed).unique():
                image = self.folder / "sets" / str(seed) / "images" / face.ref.image_path
                pictures.setdefault(face.face_id, (image, face.ref.box))
        ids = sorted(pictures)
        network = Network(load_backbone(self.backbone, layers=LAYERS), torch.device("cpu"))
        parts_of = {(layer, side): [] for layer in LAYERS for side in "ab"}
        for start in range(0, len(ids), BATCH):
            chosen = [pictures[face_id] for face_id in ids[start : start + BATCH]]
            crops = np.stack([cut_window(read_image(p), box, CropConfig()) for p, box in chosen])
            for side, batch in (("a", crops), ("b", np.ascontiguousarray(crops[:, :, ::-1]))):
                for layer, features in network.features(batch).items():
                    parts_of[layer, side].append(features.astype(np.float16))
        self.ids_path.parent.mkdir(parents=True, exist_ok=True)
        for (layer, side), parts in parts_of.items():
            np.save(self._path(layer, side), np.concatenate(parts))
        self.ids_path.write_text(json.dumps(ids))

    def features(self, rung: Rung) -> tuple[np.ndarray, tuple[int, ...]]:
        """Features [N, D] float32 of a rung, and the widths of its layers if it has several."""
        parts = []
        for layer in rung.layers:
            part = np.load(self._path(layer, "a")).astype(np.float32)
            if rung.flip:
                part = (part + np.load(self._path(layer, "b"))) / 2
            parts.append(part)
        widths = tuple(part.shape[1] for part in parts)
        return np.concatenate(parts, axis=1), widths if len(parts) > 1 else ()

    def tables(self, seed: int) -> tuple:
        """Training, validation and test triplets of one set."""
        if seed not in self._tables:
            rows = {
                face_id: row for row, face_id in enumerate(json.loads(self.ids_path.read_text()))
            }
            ids = self._faces(seed).ids()
            train, test = (
                build_triplets(read_annotations(path).triplets, ids, rows)[0]
                for path in self._csvs(seed)
            )
            split = split_triplets(train, 0.1, 0)
            self._tables[seed] = split.train, split.validation, test
        return self._tables[seed]

    def credit(self, rung: Rung, number: int, seed: int) -> np.ndarray:
        """Credit [T] of a rung for each test triplet of one set; trains it unless it is stored."""
        key = f"{number:02d}-{rung.name.replace(' ', '_').replace(':', '')}-{seed}.npy"
        path = self.folder / "rungs" / key.replace(",", "")
        if not path.exists():
            features, blocks = self.features(rung)
            train, validation, test = self.tables(seed)
            head = dataclasses.replace(rung.head, blocks=blocks)
            started = time.perf_counter()
            settings = dataclasses.replace(rung.train, seed=seed)
            result = fit(features, train, validation, head, settings)
            credit = triplet_credit(similarity_of(result.head, features, test.rows), test.odd)
            path.parent.mkdir(exist_ok=True)
            spent = time.perf_counter() - started
            print(f"# {rung.name}, set {seed}: {credit.mean():.3f} in {spent:.1f} s", flush=True)
            np.save(path, credit)
        return np.load(path)

    def _faces(self, seed: int) -> FaceTable:
        triplets = [t for path in self._csvs(seed) for t in read_annotations(path).triplets]
        images = self.folder / "sets" / str(seed) / "images"
        digests = ImageDigests(self.folder)
        return identify_faces(unique_refs(triplets), images, digests, lambda *_: None)

    def _csvs(self, seed: int) -> list[Path]:
        return [self.folder / "sets" / str(seed) / f"{name}.csv" for name in ("train", "test")]

    def _path(self, layer: str, side: str) -> Path:
        return self.folder / "features" / f"{layer.replace(':', '-')}-{side}.npy"


def report(credits: dict[str, list[np.ndarray]]) -> str:
    """The ladder as a Markdown table."""
    lines = ["| recipe | triplet accuracy | beyond the original recipe |", "| --- | --- | --- |"]
    first = np.array([100 * credit.mean() for credit in next(iter(credits.values()))])
    for name, values in credits.items():
        means = np.array([100 * credit.mean() for credit in values])
        gains = means - first[: len(means)]
        lines.append(f"| {name} | {_with_error(means)} | {_with_error(gains, '+')} |")
    return "\n".join(lines)


def _with_error(values: np.ndarray, sign: str = "") -> str:
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return f"{values.mean():{sign}.1f} ± {error:.1f}"


def main() -> None:
    """Make missing sets and features, train missing rungs, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder to work in")
    parser.add_argument(
        "--faces", type=Path, help="CSV with the columns image, identity, expression"
    )
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument(
        "--rungs", help="comma-separated numbers of rungs beside the first [default: all]"
    )
    parser.add_argument("--sets", type=int, default=len(SEEDS), help="number of sets to use")
    options = parser.parse_args()
    torch.set_num_threads(1)
    workspace = Workspace(options.work, options.backbone)
    if options.faces:
        workspace.make_sets(options.faces)
    workspace.extract()
    rungs = list(enumerate(ladder()))
    if options.rungs:
        chosen = {0, *(int(number) for number in options.rungs.split(","))}
        rungs = [rung for rung in rungs if rung[0] in chosen]
    credits: dict[str, list[np.ndarray]] = {}
    for number, rung in rungs:
        seeds = list(SEEDS)[: options.sets]
        credits[rung.name] = [workspace.credit(rung, number, seed) for seed in seeds]
    print(report(credits))


if __name__ == "__main__":
    main()
