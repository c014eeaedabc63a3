"""Time stage one against the loop that every tutorial shows, interleaved, on the same faces.

    python benchmarks/extract.py                                    # everything
    python benchmarks/extract.py --faces 400 --rounds 1 --no-memory # one minute
    python benchmarks/extract.py --passes                           # folded, fused and compiled

The reference: DataLoader with worker processes, Pillow, torchvision's transform and eager fp32
batches of 32, appended to an HDF5 file. Ours: `extract`, from image files to sealed shards. In the
same rounds: forward only (our network on batches in memory, same number of threads) and decode only
(our decoder, same number of threads). The faces are synthetic JPEGs of mixed size.

The cosine compares the features in our cache with those of the reference's network (torchvision's
module, fp32, nothing folded) for the crops that ours made: it measures the arithmetic only.
"""

import argparse
import contextlib
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import torch
from peak_memory import peak_gb
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from fec_cache.backbones.base import Backbone
from fec_cache.backbones.load import load_backbone
from fec_cache.cache.cache import FeatureCache
from fec_cache.datasets.annotations import FaceRef
from fec_cache.datasets.synthetic.emotions import EMOTIONS, vary
from fec_cache.datasets.synthetic.portrait.drawing import Person, draw_people
from fec_cache.datasets.synthetic.portrait.people import random_identity, random_scene
from fec_cache.extraction.batches import Decoder, StageSeconds
from fec_cache.extraction.config import ExtractConfig
from fec_cache.extraction.extract import extract
from fec_cache.extraction.recipes import recipes_of
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.digests import ImageDigests
from fec_cache.faces.images import load_face
from fec_cache.faces.table import Face, FaceTable, identify_faces
from fec_cache.inference.compilation import compile_network, fuse_network
from fec_cache.inference.folding import smallest_cosine
from fec_cache.inference.network import FixedPass, Network, choose_device
from fec_cache.inference.precision import LEAST_COSINE
from fec_cache.system.cores import usable_cores

REFERENCE_BATCH = 32
FIRST_JOB = 600
NUM_DRAWN = 24
QUALITY = 90
# Gives files of 1.1 to 1.9 bits per pixel; photos of faces at this quality have about 1.2.
GRAIN = 8
WHOLE = (0.0, 1.0, 0.0, 1.0)


class TutorialFaces(Dataset[torch.Tensor]):
    """The dataset of a typical tutorial: open, crop the box, transform."""

    def __init__(self, faces: Sequence[Face], images: Path, backbone: Backbone) -> None:
        self._faces, self._images = faces, images
        size = (backbone.input_size, backbone.input_size)
        to_float = v2.ToDtype(torch.float32, scale=True)
        normalise = v2.Normalize(backbone.mean, backbone.std)
        self._transform = v2.Compose([v2.Resize(size), v2.ToImage(), to_float, normalise])

    def __len__(self) -> int:
        return len(self._faces)

    def __getitem__(self, row: int) -> torch.Tensor:
        ref = self._faces[row].ref
        with Image.open(self._images / ref.image_path) as image:
            width, height = image.size
            left, right, top, bottom = ref.box
            sides = (left * width, top * height, right * width, bottom * height)
            return self._transform(image.convert("RGB").crop(sides))


class Bench:
    """The faces, the backbone and the timed jobs."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.images = folder / "images"
        self.device = choose_device(options.device)
        self.backbone = load_backbone(options.backbone, options.weights)
        self.threads = usable_cores()
        self.faces = self._faces()
        on_cpu = self.device.type == "cpu"
        self.batch = 16 if on_cpu else 128
        self.networks: dict[str, Network] = {}

    def _faces(self) -> FaceTable:
        paths = sorted(path.name for path in self.images.iterdir())
        refs = [FaceRef(name, *WHOLE) for name in paths]
        return identify_faces(refs, self.images, ImageDigests(self.folder))

    def reference(self) -> None:
        """The loop of a typical tutorial, into an HDF5 file."""
        module = self.backbone.module.to(self.device)
        data = TutorialFaces(self.faces.present, self.images, self.backbone)
        loader = DataLoader(data, REFERENCE_BATCH, num_workers=self.options.reference_workers)
        width = self.backbone.widths["avgpool"]
        with h5py.File(self.folder / "reference.h5", "w") as file, torch.no_grad():
            table = file.create_dataset(
                "features", (0, width), maxshape=(None, width), dtype="f4", chunks=(64, width)
            )
            for batch in loader:
                features = module(batch.to(self.device))["avgpool"].cpu().numpy()
                table.resize(len(table) + len(features), axis=0)
                table[-len(features) :] = features

    def ours(self, precision: str, compiling: str = "off", num_faces: int = 0) -> Path:
        """Our extraction into a new cache; the cache's folder."""
        cache_dir = Path(tempfile.mkdtemp(dir=self.folder))
        (recipe,) = recipes_of(self.backbone, CropConfig.margin, "float16", precision)
        cache = FeatureCache.create(cache_dir, recipe)
        faces = FaceTable(self.faces.present[: num_faces or None], ())
        options = ExtractConfig(device=str(self.device), compile=compiling)
        extract(faces, self.images, self.backbone, [cache], options)
        return cache.folder

    def forward_only(self, precision: str) -> None:
        """The network alone: the same number of batches, from memory, on the same threads."""
        network = self.networks[precision]
        num_threads = self.threads if self.device.type == "cpu" else 2
        left = iter(range(-(-len(self.faces.present) // self.batch)))
        guard = threading.Lock()

        def work(_: int) -> None:
            torch.set_num_threads(1)
            runner = network.runner()
            pictures = np.zeros((self.batch, *[self.backbone.input_size] * 2, 3), np.uint8)
            while True:
                with guard:
                    if next(left, None) is None:
                        return
                runner.features(pictures)

        self._on_threads(work, num_threads)

    def decode_only(self) -> None:
        """All faces read, decoded and cut, on as many threads, and thrown away."""
        decoder = Decoder(self.images, CropConfig(self.backbone.input_size), StageSeconds())
        faces = iter(self.faces.present)
        guard = threading.Lock()

        def work(_: int) -> None:
            torch.set_num_threads(1)
            while True:
                with guard:
                    face = next(faces, None)
                if face is None:
                    return
                decoder.load([face], lambda size: None)

        self._on_threads(work, self.threads)

    def smallest_cosine(self, folder: Path) -> float:
        """Of the cached features with the reference network's, on the crops that ours cut."""
        cache = FeatureCache.open(folder)
        matrix, crop = cache.load(), cache.recipe.crop
        rows = matrix.rows()
        smallest = 1.0
        plain = Network(self.backbone, self.device, plain=True)
        for start in range(0, len(self.faces.present), REFERENCE_BATCH):
            some = self.faces.present[start : start + REFERENCE_BATCH]
            pictures = np.stack([load_face(self.images, face.ref, crop) for face in some])
            wanted = plain.features(pictures)["avgpool"].astype(np.float64)
            found = matrix.features[[rows[face.face_id] for face in some]].astype(np.float64)
            lengths = np.linalg.norm(wanted, axis=1) * np.linalg.norm(found, axis=1)
            smallest = min(smallest, float(((wanted * found).sum(1) / lengths).min()))
        return smallest

    def first_features_s(self, compiling: str) -> float:
        """Seconds until the first shard of a 600-face job is sealed."""
        sealed: list[float] = []
        seal = FeatureCache.seal
        started = time.perf_counter()

        def noting(cache: FeatureCache, *args: object) -> None:
            sealed.append(time.perf_counter() - started)
            seal(cache, *args)  # type: ignore[arg-type]

        FeatureCache.seal = noting  # type: ignore[method-assign,assignment]
        try:
            self.ours(self.options.precision[0], compiling, FIRST_JOB)
        finally:
            FeatureCache.seal = seal  # type: ignore[method-assign]
        return sealed[0]

    def prepare(self, precision: str) -> None:
        """Make the network that `forward_only` runs, before anything is timed."""
        self.networks[precision] = Network(self.backbone, self.device, precision)
        fuse_network(self.networks[precision], self.batch)

    def _on_threads(self, work: Callable[[int], None], num_threads: int) -> None:
        before = torch.get_num_threads()
        with ThreadPoolExecutor(num_threads) as pool:
            list(pool.map(work, range(num_threads)))
        torch.set_num_threads(before)


def write_faces(folder: Path, options: argparse.Namespace) -> None:
    """Write synthetic portraits as JPEGs, sides spread evenly from the smallest to the largest."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    words = rng.choice(sorted(EMOTIONS), NUM_DRAWN)
    drawn = [
        draw_people(
            [Person(random_identity(rng), vary(EMOTIONS[w].units, rng), random_scene(rng))],
            640,
            640,
        )
        for w in words
    ]
    sides = np.linspace(options.smallest, options.largest, options.faces).astype(int)
    for number, side in enumerate(rng.permutation(sides).tolist()):
        image = drawn[number % NUM_DRAWN].resize((side, side), Image.Resampling.BICUBIC)
        # Makes every file unique, and as much work for a JPEG decoder as a photo.
        noise = rng.integers(0, GRAIN, (side, side, 1), dtype=np.uint8)
        grained = np.asarray(image).astype(np.int16) + noise - GRAIN // 2
        grained = np.clip(grained, 0, 255).astype(np.uint8)
        Image.fromarray(grained).save(folder / f"{number:06d}.jpg", quality=QUALITY)


def interleaved(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each job: once per round, in turn."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - started)
            print(f"  round {number + 1}: {name} {times[name][-1]:.1f} s", file=sys.stderr)
    return {name: statistics.median(spent) for name, spent in times.items()}


def peak_memory_gb(options: argparse.Namespace, folder: Path, precision: str) -> float:
    """Peak memory of an extraction in a new process, in GB."""
    words = [sys.executable, __file__, "--child", str(folder), "--precision", precision]
    words += ["--backbone", options.backbone, "--weights", options.weights]
    words += ["--device", options.device]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1])["peak_gb"])


def child(options: argparse.Namespace) -> None:
    """Extract once and print the peak memory."""
    Bench(options, options.child).ours(options.precision[0])
    print(json.dumps({"peak_gb": peak_gb()}))


def compare_passes(options: argparse.Namespace) -> None:
    """Time the forward pass on one thread, folded, fused and compiled; check that all agree."""
    backbone = load_backbone(options.backbone, options.weights)
    device = choose_device(options.device)
    num_rows = 16 if device.type == "cpu" else 128
    side, drawn = backbone.input_size, np.random.default_rng(0)
    pictures = drawn.integers(0, 256, (num_rows, side, side, 3), dtype=np.uint8)
    torch.set_num_threads(1)
    plain = Network(backbone, device, plain=True).features(pictures)["avgpool"]
    for precision in options.precision:
        networks: dict[str, Network] = {}
        for name in ("folded", "fused", "compiled"):
            started = time.perf_counter()
            network = networks[name] = Network(backbone, device, precision)
            reason = fuse_network(network, num_rows) if name == "fused" else ""
            if name == "compiled":
                network.fixed = FixedPass(num_rows, compile_network(network, num_rows, 1))
            print(
                f"{precision}, {name}: ready after {time.perf_counter() - started:.1f} s {reason}"
            )
        runners = {name: network.runner() for name, network in networks.items()}
        spent: dict[str, list[float]] = {name: [] for name in runners}
        for _ in range(8):
            for name, runner in runners.items():
                started = time.thread_time()
                features = runner.features(pictures)["avgpool", False]
                spent[name].append(time.thread_time() - started)
                cosine = smallest_cosine(torch.from_numpy(features), torch.from_numpy(plain))
                assert cosine >= LEAST_COSINE, (precision, name, cosine)
        for name, times in spent.items():
            spent_ms = 1000 * statistics.median(times[2:]) / num_rows
            reference_ms = 1000 * statistics.median(spent["folded"][2:]) / num_rows
            print(
                f"{precision}, {name}: {spent_ms:.2f} ms of CPU time per face, "
                f"{reference_ms / spent_ms:.2f} x folded"
            )


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Measure and print all figures."""
    bench = Bench(options, folder)
    num_faces = len(bench.faces.present)
    for precision in options.precision:
        bench.prepare(precision)
        bench.ours(precision, num_faces=64)  # warms up what a process does once
    caches: dict[str, Path] = {}

    def ours(precision: str) -> None:
        caches[precision] = bench.ours(precision)

    jobs: dict[str, Callable[[], object]] = {"reference": bench.reference}
    for precision in options.precision:
        jobs[f"ours, {precision}"] = lambda precision=precision: ours(precision)
        jobs[f"forward only, {precision}"] = lambda precision=precision: bench.forward_only(
            precision
        )
    jobs["decode only"] = bench.decode_only
    seconds = interleaved(jobs, options.rounds)
    print(f"{num_faces} faces, {options.smallest} to {options.largest} px, {options.backbone}")
    for name, spent in seconds.items():
        ratio = seconds["reference"] / spent
        print(f"  {name:<20}{num_faces / spent:>8.1f} faces/s{ratio:>8.2f} x the reference")
    for precision in options.precision:
        share = seconds[f"forward only, {precision}"] / seconds[f"ours, {precision}"]
        print(f"{precision}: {100 * share:.0f} % of the forward-only ceiling")
        print(f"{precision}: smallest cosine {bench.smallest_cosine(caches[precision]):.6f}")
        if not options.no_memory:
            print(f"{precision}: peak memory {peak_memory_gb(options, folder, precision):.2f} GB")
    firsts: dict[str, list[float]] = {"auto": [], "off": []}
    for _ in range(options.rounds):
        for compiling, spent in firsts.items():
            spent.append(bench.first_features_s(compiling))
    first = {name: statistics.median(spent) for name, spent in firsts.items()}
    print(
        f"First features of {min(FIRST_JOB, num_faces)} faces, {options.precision[0]}: "
        f"compile auto {first['auto']:.2f} s, off {first['off']:.2f} s"
    )


@contextlib.contextmanager
def faces_folder(options: argparse.Namespace) -> Iterator[Path]:
    """The folder with the faces, written if missing; temporary unless `--folder` names it."""
    if options.folder is None:
        with tempfile.TemporaryDirectory() as name:
            write_faces(Path(name) / "images", options)
            yield Path(name)
    else:
        if not (options.folder / "images").is_dir():
            write_faces(options.folder / "images", options)
        yield options.folder


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--faces", type=int, default=2000)
    parser.add_argument("--smallest", type=int, default=224, help="smallest JPEG, in pixels")
    parser.add_argument("--largest", type=int, default=1024, help="largest JPEG, in pixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--weights", default="random:0")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", nargs="+", default=["bf16", "fp32"])
    parser.add_argument("--reference-workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep the JPEGs in this folder")
    parser.add_argument("--no-memory", action="store_true", help="do not measure memory")
    parser.add_argument(
        "--passes", action="store_true", help="only time the forward pass: folded, fused, compiled"
    )
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        child(options)
        return
    print(f"torch {torch.__version__}, {usable_cores()} cores, {platform.machine()}")
    if options.passes:
        compare_passes(options)
        return
    with faces_folder(options) as folder:
        measure(options, folder)


if __name__ == "__main__":
    main()
