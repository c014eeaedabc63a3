"""JPEGs decoded on a GPU by nvJPEG, and cut and resized there, one batch at a time.

All other pictures are cut on the CPU, and so are JPEGs that nvJPEG cannot decode: the CPU's decoder
decides whether a picture is usable. simplejpeg only reads the header of a file here.
"""

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import simplejpeg
import torch
from torch import Tensor
from torch.nn import functional

from fec_cache.datasets.boxes import Box
from fec_cache.errors import BadImage, OutOfMemory, PicturesDiffer
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.images import Picture
from fec_cache.faces.windows import part_inside, usable_square
from fec_cache.inference.nvjpeg import Decode, nvjpeg, tensor_of
from fec_cache.system.wording import counted

log = logging.getLogger(__name__)

# Files wait in memory for the GPU instead of decoded pictures: larger ones go to the CPU.
MAX_FILE_BYTES = 1 << 19
_PIXELS_AT_ONCE = 1 << 28
# JPEG decoders differ by one or two grey levels where colours change; other pictures by tens.
_MAX_DIFFERENCE = 6.0
_NUM_COMPARED_AT_FIRST = 4
_JPEG_END = b"\xff\xd9"


@dataclass(frozen=True)
class Encoded:
    """A face whose JPEG will be decoded on the GPU; `size` is width and height of the picture."""

    content: bytes
    name: str
    box: Box
    size: tuple[int, int]


class JpegDecoder:
    """Cuts faces out of JPEGs on one device; thread-safe."""

    def __init__(self, device: torch.device, crop: CropConfig, decode: Decode) -> None:
        self._device, self.crop, self._decode = device, crop, decode
        self._turns = itertools.count()

    def keep(self, picture: Picture, content: bytes, name: str, box: Box) -> Encoded | None:
        """Return a face to decode later on the device; None if the CPU has to decode it.

        Raises:
            BadImage: the face's square has too many pixels.
        """
        size = picture.plain_size
        if size is None or not _suits(content):
            return None
        usable_square(box, size, self.crop.margin)
        return Encoded(content, name, box, size)

    def fill(
        self, encoded: Mapping[int, Encoded], pictures: npt.NDArray[np.uint8]
    ) -> tuple[Tensor, dict[int, str]]:
        """Decode and cut faces on the device, and add them to a batch.

        Args:
            encoded: faces to decode, by their row in the batch.
            pictures: [B, S, S, 3] uint8, RGB, with the other rows of the batch.

        Returns:
            [B, S, S, 3] uint8 on the device, and {row: reason} of rows without a usable picture.

        Raises:
            PicturesDiffer: the device decoded one of them differently from the CPU.
            OutOfMemory: the device has no memory for the batch.
        """
        batch = self._moved(pictures)
        reasons: dict[int, str] = {}
        cut: list[int] = []
        for rows in _portions(encoded):
            decoded = self._decoded([encoded[row].content for row in rows])
            for row, whole in zip(rows, decoded, strict=True):
                if self._is_cut(encoded[row], whole, batch[row]):
                    cut.append(row)
                else:
                    self._cut_by_cpu(row, encoded[row], batch, reasons)
            # nvJPEG reports one status for a whole list, so a picture can be missing silently.
            # Memory that was never written is often of one colour.
            for row in [row for row in cut if row in rows and _is_flat(batch[row])]:
                cut.remove(row)
                self._cut_by_cpu(row, encoded[row], batch, reasons)
        self._compare(encoded, batch, cut)
        return batch, reasons

    def _moved(self, pictures: npt.NDArray[np.uint8]) -> Tensor:
        try:
            return torch.from_numpy(pictures).to(self._device, copy=True)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
        try:
            return torch.from_numpy(pictures).to(self._device, copy=True)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(
                f"{self._device} has too little memory for {counted(len(pictures), 'picture')} at "
                "once. Free some memory, or use a smaller --batch-size or --device cpu."
            ) from error

    def _is_cut(self, face: Encoded, whole: Tensor | None, target: Tensor) -> bool:
        """Cut a face out of a decoded picture if that has the size in the header; whether it has.

        `target` receives the face.
        """
        if whole is None or tuple(whole.shape) != (3, *face.size[::-1]):
            return False
        try:
            target.copy_(cut_tensor(whole, face.box, self.crop))
        except RuntimeError as error:
            log.info("not cut on %s: %s", self._device, str(error).partition("\n")[0])
            return False
        return True

    def _cut_by_cpu(self, row: int, face: Encoded, batch: Tensor, reasons: dict[int, str]) -> None:
        try:
            batch[row] = torch.from_numpy(self._by_cpu(face))
        except BadImage as error:
            reasons[row] = str(error)
            batch[row] = 0

    def _decoded(self, contents: Sequence[bytes]) -> list[Tensor | None]:
        """Return pictures [3, H, W] on the device, None if it cannot decode; each file once."""
        files = {id(content): content for content in contents}
        pictures = dict(zip(files, self._all_or_each(list(files.values())), strict=True))
        return [pictures[id(content)] for content in contents]

    def _all_or_each(self, contents: Sequence[bytes]) -> list[Tensor | None]:
        try:
            return [*self._on_device(contents)]
        except RuntimeError as error:  # one bad file, or too little memory, fails the whole list
            # nvJPEG's memory errors are not torch.OutOfMemoryError: the cache is always emptied.
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            if len(contents) == 1:
                log.info("not decoded on %s: %s", self._device, str(error).partition("\n")[0])
                return [None]
        return [picture for content in contents for picture in self._all_or_each([content])]

    def _on_device(self, contents: Sequence[bytes]) -> list[Tensor]:
        # nvJPEG's hardware may write into memory that earlier work on its stream still reads
        # (torchcodec, pull request 1634): wait until the stream is empty.
        _wait_for(self._device)
        decoded = self._decode([tensor_of(content) for content in contents])
        _wait_for(self._device)
        return decoded

    def _by_cpu(self, face: Encoded) -> npt.NDArray[np.uint8]:
        return Picture(face.content, face.name).cut(face.box, self.crop)

    def _compare(self, encoded: Mapping[int, Encoded], batch: Tensor, cut: Sequence[int]) -> None:
        """Compare faces of the device with those of the CPU: four at first, then one per batch."""
        turn = next(self._turns)
        if not cut:
            return
        for row in cut[:_NUM_COMPARED_AT_FIRST] if turn == 0 else [cut[turn % len(cut)]]:
            expected = self._by_cpu(encoded[row]).astype(np.int16)
            difference = float(np.abs(batch[row].cpu().numpy() - expected).mean())
            if difference > _MAX_DIFFERENCE:
                raise PicturesDiffer(
                    f"{self._device} decodes {encoded[row].name} differently from the CPU: "
                    f"the pictures differ by {difference:.1f} grey levels on average, expected at "
                    f"most {_MAX_DIFFERENCE:g}. Nothing of this batch was stored. Run again with "
                    "--decode scaled, and report the versions of the driver, torch and torchcodec."
                )


def jpeg_decoder(device: torch.device, crop: CropConfig) -> JpegDecoder | None:
    """Return a decoder of JPEGs on a device; None if not asked for, or if there is none."""
    if crop.decode != "gpu":
        return None
    decode = nvjpeg(device) if device.type == "cuda" else f"{device} is not an NVIDIA GPU"
    if isinstance(decode, str):
        log.warning("JPEGs are decoded at full size on the CPU: nvJPEG cannot be used (%s)", decode)
        return None
    return JpegDecoder(device, crop, decode)


def cut_tensor(whole: Tensor, box: Box, crop: CropConfig) -> Tensor:
    """Cut a face out of a decoded picture, as `windows.cut_window` does.

    Args:
        whole: [3, H, W] uint8, RGB.
        box: left, right, top, bottom as fractions of width and height.
        crop: margin and size of the square.

    Returns:
        [S, S, 3] uint8, RGB; at most two grey levels from the CPU's resize, mostly equal.

    Raises:
        BadImage: the square has too many pixels.
    """
    height, width = whole.shape[1:]
    left, top, side = usable_square(box, (width, height), crop.margin)
    (x0, x1), (y0, y1) = part_inside(left, side, width), part_inside(top, side, height)
    window = whole[None, :, y0:y1, x0:x1].float()
    edges = (x0 - left, left + side - x1, y0 - top, top + side - y1)
    window = functional.pad(window, edges, mode="replicate") if any(edges) else window
    # Rounded after the rows and after the columns, as the CPU's 8-bit kernel does: rounded once, a
    # tenth of the values would differ by one level.
    for square in ((side, crop.input_size), (crop.input_size, crop.input_size)):
        if window.shape[2:] != square:
            window = functional.interpolate(window, square, mode="bilinear", antialias=True)
            window = (window + 0.5).floor_().clamp_(0, 255)
    return window[0].byte().permute(1, 2, 0)


def _suits(content: bytes) -> bool:
    """Whether nvJPEG should decode a plain JPEG: in colour, not truncated, and not very large."""
    if len(content) > MAX_FILE_BYTES or not content.rstrip(b"\0").endswith(_JPEG_END):
        return False
    colours: str = simplejpeg.decode_jpeg_header(content)[2]
    return colours == "YCbCr"


def _portions(encoded: Mapping[int, Encoded]) -> Iterator[list[int]]:
    """Yield rows in order, as many at once as fit on the device when decoded."""
    rows: list[int] = []
    pixels = 0
    for row, face in encoded.items():
        size = face.size[0] * face.size[1]
        if rows and pixels + size > _PIXELS_AT_ONCE:
            yield rows
            rows, pixels = [], 0
        rows.append(row)
        pixels += size
    if rows:
        yield rows


def _is_flat(picture: Tensor) -> bool:
    return bool(picture.amin() == picture.amax())


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()
