"""How JPEGs are decoded: at reduced size on the CPU, or whole on a GPU if that is faster."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fec_cache.errors import BadImage, OutOfMemory, PicturesDiffer
from fec_cache.extraction.config import AUTO, DECODE_CHOICES
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.images import Picture, read_picture
from fec_cache.faces.table import Face
from fec_cache.inference.gpu_jpegs import Encoded, JpegDecoder
from fec_cache.inference.nvjpeg import nvjpeg
from fec_cache.system.checks import check_choice
from fec_cache.system.cores import usable_cores

# nvJPEG gives slightly different features, hence other caches: it must be worth it.
_MIN_SPEEDUP = 1.2
_NUM_TRIED = 256
_MIN_TRIED = 32


@dataclass(frozen=True)
class DecodeChoice:
    """How JPEGs are decoded, and why this was chosen."""

    decode: str
    reason: str


def choose_decode(
    wanted: str,
    device: torch.device,
    faces: Sequence[Face],
    images_dir: Path,
    crop: CropConfig,
    existing: Collection[str] = (),
) -> DecodeChoice:
    """How JPEGs are to be decoded: `auto` is resolved for these faces on this device.

    `auto` is `gpu` if a short measurement finds nvJPEG at least 1.2 times as fast as all cores with
    `scaled`, otherwise `scaled`. Features and recipes of the two differ a little, so `auto` stays
    with the one for which there is a cache already.

    Args:
        wanted: `auto`, `scaled`, `full` or `gpu`.
        device: runs the network.
        faces: to be extracted.
        images_dir: folder of their images.
        crop: margin and size of the square.
        existing: ways of decoding for which there is a cache already.

    Raises:
        BadOption: `wanted` is none of these words.
    """
    check_choice("decode", wanted, DECODE_CHOICES)
    if wanted != AUTO:
        return DecodeChoice(wanted, "as requested")
    if device.type != "cuda":
        return DecodeChoice("scaled", f"{device} has no JPEG decoder")
    # Not measured again: a busy machine could otherwise split one job's features into two caches.
    kept = [word for word in ("scaled", "gpu") if word in existing]
    if kept:
        return DecodeChoice(kept[0], "as in the existing cache")
    return _measured(device, faces, images_dir, crop)


def _measured(
    device: torch.device, faces: Sequence[Face], images_dir: Path, crop: CropConfig
) -> DecodeChoice:
    decode = nvjpeg(device)
    if isinstance(decode, str):  # why there is no decoder
        return DecodeChoice("scaled", f"nvJPEG cannot be used: {decode}")
    on_gpu = JpegDecoder(device, dataclasses.replace(crop, decode="gpu"), decode)
    files = _files(faces, images_dir, on_gpu)
    if len(files) < _MIN_TRIED:
        return DecodeChoice("scaled", "too few plain JPEGs to measure nvJPEG with")
    try:
        cpu, gpu = measured_rates(files, crop, on_gpu)
    except (PicturesDiffer, OutOfMemory, RuntimeError) as error:
        problem = " ".join(str(error).split())[:160]
        return DecodeChoice("scaled", f"nvJPEG cannot be used: {problem}")
    rates = f"measured: {cpu:,.0f} faces/s on the CPU, {gpu:,.0f} by nvJPEG"
    return DecodeChoice("gpu" if gpu >= _MIN_SPEEDUP * cpu else "scaled", rates)


def measured_rates(
    files: Sequence[Encoded], crop: CropConfig, on_gpu: JpegDecoder
) -> tuple[float, float]:
    """Faces per second, decoded and cropped: by all cores with `scaled`, and by a GPU's decoder."""
    scaled = dataclasses.replace(crop, decode="scaled")

    def by_cpu(face: Encoded) -> None:
        """As a worker of the pipeline does it; bad pictures take time too."""
        with contextlib.suppress(BadImage):
            Picture(face.content, face.name).cut(face.box, scaled)

    def by_gpu() -> None:
        """As the pipeline does it; copying to the CPU waits for the GPU to finish."""
        side = crop.input_size
        pictures = np.zeros((len(files), side, side, 3), np.uint8)
        on_gpu.fill(dict(enumerate(files)), pictures)[0].cpu()

    with ThreadPoolExecutor(usable_cores()) as pool:
        cpu_s = _second_time(lambda: list(pool.map(by_cpu, files)))
    return len(files) / cpu_s, len(files) / _second_time(by_gpu)


def _second_time(work: Callable[[], object]) -> float:
    """Seconds of a second call: the first one also pays for initialisation."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _files(faces: Sequence[Face], images_dir: Path, on_gpu: JpegDecoder) -> list[Encoded]:
    """An even sample of the faces that nvJPEG would decode, read into memory."""
    files = []
    for face in faces[:: max(1, len(faces) // _NUM_TRIED)][:_NUM_TRIED]:
        try:
            content = read_picture(images_dir / face.ref.image_path)
            picture = Picture(content, face.ref.image)
            encoded = on_gpu.keep(picture, content, face.ref.image, face.ref.box)
        except BadImage:
            continue
        if encoded is not None:
            files.append(encoded)
    return files
