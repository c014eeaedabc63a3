"""Which way JPEGs are decoded: on the CPU at reduced size, or whole on a GPU if that is faster."""

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
from fec_cache.faces.crop import DECODERS, CropConfig
from fec_cache.faces.images import Picture, read_picture
from fec_cache.faces.table import Face
from fec_cache.inference.gpu_jpegs import Encoded, JpegDecoder
from fec_cache.inference.nvjpeg import nvjpeg
from fec_cache.system.checks import check_choice
from fec_cache.system.cores import usable_cores

AUTO = "auto"
# Decoded by nvJPEG the features are others: it must be worth it.
_FASTER = 1.2
_NUM_TRIED = 256
_LEAST_TRIED = 32


@dataclass(frozen=True)
class DecodeChoice:
    """A way of decoding, and in words why it was chosen."""

    decode: str
    reason: str


def choose_decode(
    wanted: str,
    device: torch.device,
    faces: Sequence[Face],
    images_dir: Path,
    crop: CropConfig,
    standing: Collection[str] = (),
) -> DecodeChoice:
    """The way of decoding that `auto`, `scaled`, `full` or `gpu` means for faces on a device.

    `auto` is `gpu` where a short measurement finds nvJPEG 1.2 times as fast as all cores with
    `scaled`, else `scaled`. The features differ a little, and so do the recipes: where a cache was
    begun with one of the two, `auto` stays with it.

    Args:
        wanted: one of the words.
        device: that runs the network.
        faces: that are to be extracted.
        images_dir: where their images lie.
        crop: margin and size of the square.
        standing: ways of decoding for which a cache is there already.

    Raises:
        BadOption: no such word.
    """
    check_choice("decode", wanted, (AUTO, *DECODERS))
    if wanted != AUTO:
        return DecodeChoice(wanted, "as asked for")
    if device.type != "cuda":
        return DecodeChoice("scaled", f"no decoder of JPEGs on {device}")
    begun = [word for word in ("scaled", "gpu") if word in standing]
    if begun:
        return DecodeChoice(begun[0], "as in the cache that is there")
    return _measured(device, faces, images_dir, crop)


def _measured(
    device: torch.device, faces: Sequence[Face], images_dir: Path, crop: CropConfig
) -> DecodeChoice:
    decode = nvjpeg(device)
    if isinstance(decode, str):
        return DecodeChoice("scaled", f"nvJPEG cannot be used: {decode}")
    on_gpu = JpegDecoder(device, dataclasses.replace(crop, decode="gpu"), decode)
    files = _files(faces, images_dir, on_gpu)
    if len(files) < _LEAST_TRIED:
        return DecodeChoice("scaled", "too few plain JPEGs to measure nvJPEG with")
    try:
        cpu, gpu = measured_rates(files, crop, on_gpu)
    except (PicturesDiffer, OutOfMemory, RuntimeError) as error:
        told = " ".join(str(error).split())[:160]
        return DecodeChoice("scaled", f"nvJPEG cannot be used: {told}")
    told = f"measured: {cpu:,.0f} faces/s on the CPU, {gpu:,.0f} by nvJPEG"
    return DecodeChoice("gpu" if gpu >= _FASTER * cpu else "scaled", told)


def measured_rates(
    files: Sequence[Encoded], crop: CropConfig, on_gpu: JpegDecoder
) -> tuple[float, float]:
    """Faces a second: decoded and cut by all cores as `scaled`, and by a GPU's decoder."""
    scaled = dataclasses.replace(crop, decode="scaled")

    def by_cpu(face: Encoded) -> None:
        """As a worker of the pipeline does it; a bad picture takes its time too."""
        with contextlib.suppress(BadImage):
            Picture(face.content, face.name).cut(face.box, scaled)

    def by_gpu() -> None:
        """As a lane of the pipeline does it; waits for the end."""
        side = crop.input_size
        places = np.zeros((len(files), side, side, 3), np.uint8)
        on_gpu.fill(dict(enumerate(files)), places)[0].cpu()

    with ThreadPoolExecutor(usable_cores()) as pool:
        cpu_s = _second_time(lambda: list(pool.map(by_cpu, files)))
    return len(files) / cpu_s, len(files) / _second_time(by_gpu)


def _second_time(work: Callable[[], object]) -> float:
    """Seconds, once all that is made at the first call is there."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _files(faces: Sequence[Face], images_dir: Path, on_gpu: JpegDecoder) -> list[Encoded]:
    """Some faces of all of them, in memory, that nvJPEG would decode."""
    files = []
    for face in faces[:: max(1, len(faces) // _NUM_TRIED)][:_NUM_TRIED]:
        try:
            content = read_picture(images_dir / face.ref.image_path)
            picture = Picture(content, face.ref.image)
            found = on_gpu.keep(picture, content, face.ref.image, face.ref.box)
        except BadImage:
            continue
        if found is not None:
            files.append(found)
    return files
