"""JPEGs decoded on a GPU by nvJPEG, and cut and resized there, a batch at a time.

What is no plain JPEG is cut on the CPU, and so is what nvJPEG cannot decode: the CPU's reading
decides whether a picture is usable. simplejpeg is a guest here: it looks at a file's head.
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

# What waits for its turn on the GPU waits as a file: none may be much larger than its picture.
MOST_BYTES = 1 << 19
_PIXELS_AT_ONCE = 1 << 28
# Decoders of JPEG differ by a grey level or two where colours change; another picture by tens.
_MOST_DIFFERENCE = 6.0
_COMPARED_AT_FIRST = 4
_END = b"\xff\xd9"


@dataclass(frozen=True)
class Encoded:
    """A face whose JPEG the GPU is to decode."""

    content: bytes
    name: str
    box: Box
    size: tuple[int, int]


class JpegDecoder:
    """Cuts faces out of JPEGs on one device; threads may share it."""

    def __init__(self, device: torch.device, crop: CropConfig, decode: Decode) -> None:
        self._device, self.crop, self._decode = device, crop, decode
        self._turns = itertools.count()

    def keep(self, picture: Picture, content: bytes, name: str, box: Box) -> Encoded | None:
        """A face to be decoded later on the device; None if the CPU must decode its picture.

        Raises:
            BadImage: the square has too many pixels.
        """
        size = picture.plain_size
        if size is None or not _suits(content):
            return None
        usable_square(box, size, self.crop.margin)
        return Encoded(content, name, box, size)

    def fill(
        self, encoded: Mapping[int, Encoded], pictures: npt.NDArray[np.uint8]
    ) -> tuple[Tensor, dict[int, str]]:
        """A whole batch on the device.

        Args:
            encoded: faces to decode, by their row in the batch.
            pictures: [B, S, S, 3] uint8, the other rows of the batch.

        Returns:
            [B, S, S, 3] uint8 on the device, and why a row has no picture.

        Raises:
            PicturesDiffer: the device's picture of one of them is not what the CPU decodes.
            OutOfMemory: the device has no room for the batch.
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
            # Before the memory is used again: what was never written is often of one colour.
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
                f"{self._device} has no memory for {counted(len(pictures), 'picture')} at once. "
                "Free its memory, or take a smaller --batch-size or --device cpu."
            ) from error

    def _is_cut(self, face: Encoded, whole: Tensor | None, place: Tensor) -> bool:
        """Cut a face out of what the device decoded, if it is what the file's head promised."""
        if whole is None or tuple(whole.shape) != (3, *face.size[::-1]):
            return False
        try:
            place.copy_(cut_tensor(whole, face.box, self.crop))
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
        """Pictures [3, H, W] on the device; None where it cannot decode. Each file once."""
        files = {id(content): content for content in contents}
        found = dict(zip(files, self._all_or_each(list(files.values())), strict=True))
        return [found[id(content)] for content in contents]

    def _all_or_each(self, contents: Sequence[bytes]) -> list[Tensor | None]:
        try:
            return [*self._on_device(contents)]
        except RuntimeError as error:  # a single bad file, or too little memory, ends it for all
            if self._device.type == "cuda":  # what nvJPEG lacks it does not call by torch's name
                torch.cuda.empty_cache()
            if len(contents) == 1:
                log.info("not decoded on %s: %s", self._device, str(error).partition("\n")[0])
                return [None]
        return [picture for content in contents for picture in self._all_or_each([content])]

    def _on_device(self, contents: Sequence[bytes]) -> list[Tensor]:
        # nvJPEG's hardware may write before the work that its stream still has in hand is done,
        # into memory which that work reads: the stream is emptied first.
        _wait_for(self._device)
        decoded = self._decode([tensor_of(content) for content in contents])
        _wait_for(self._device)
        return decoded

    def _by_cpu(self, face: Encoded) -> npt.NDArray[np.uint8]:
        return Picture(face.content, face.name).cut(face.box, self.crop)

    def _compare(self, encoded: Mapping[int, Encoded], batch: Tensor, cut: Sequence[int]) -> None:
        """Hold what the device cut against the CPU's: four faces at first, then another each time.

        One success is told for a whole list of files, so that a picture may be missing in silence.
        """
        turn = next(self._turns)
        if not cut:
            return
        for row in cut[:_COMPARED_AT_FIRST] if turn == 0 else [cut[turn % len(cut)]]:
            wanted = self._by_cpu(encoded[row]).astype(np.int16)
            difference = float(np.abs(batch[row].cpu().numpy() - wanted).mean())
            if difference > _MOST_DIFFERENCE:
                raise PicturesDiffer(
                    f"{self._device} decodes {encoded[row].name} to another picture than the CPU "
                    f"does: they differ by {difference:.1f} grey levels on average, at most "
                    f"{_MOST_DIFFERENCE:g} is expected. Nothing of this batch was stored. Run "
                    "again with --decode scaled, and report the versions of driver, torch and "
                    "torchcodec."
                )


def jpeg_decoder(device: torch.device, crop: CropConfig) -> JpegDecoder | None:
    """What decodes JPEGs on a device; None if the crop does not ask for it, or nothing does."""
    if crop.decode != "gpu":
        return None
    found = nvjpeg(device) if device.type == "cuda" else f"{device} is no NVIDIA GPU"
    if isinstance(found, str):
        log.warning("JPEGs are decoded on the CPU, whole: nvJPEG cannot be used (%s)", found)
        return None
    return JpegDecoder(device, crop, found)


def cut_tensor(whole: Tensor, box: Box, crop: CropConfig) -> Tensor:
    """Cut a face out of a decoded picture, by the rule of `windows.cut_window`.

    Args:
        whole: [3, H, W] uint8.
        box: left, right, top, bottom as fractions of width and height.
        crop: margin and size of the square.

    Returns:
        [S, S, 3] uint8, two grey levels at most from what the CPU's resize gives, mostly none.

    Raises:
        BadImage: the square has too many pixels.
    """
    height, width = whole.shape[1:]
    left, top, side = usable_square(box, (width, height), crop.margin)
    (x0, x1), (y0, y1) = part_inside(left, side, width), part_inside(top, side, height)
    window = whole[None, :, y0:y1, x0:x1].float()
    edges = (x0 - left, left + side - x1, y0 - top, top + side - y1)
    window = functional.pad(window, edges, mode="replicate") if any(edges) else window
    # Along the rows, rounded, halves up, then along the columns: as the CPU's kernel for 8 bits.
    for square in ((side, crop.input_size), (crop.input_size, crop.input_size)):
        if window.shape[2:] != square:
            window = functional.interpolate(window, square, mode="bilinear", antialias=True)
            window = (window + 0.5).floor_().clamp_(0, 255)
    return window[0].byte().permute(1, 2, 0)


def _suits(content: bytes) -> bool:
    """Whether nvJPEG is to decode a plain JPEG: in colours, not cut off, and not very large."""
    if len(content) > MOST_BYTES or not content.rstrip(b"\0").endswith(_END):
        return False
    colours: str = simplejpeg.decode_jpeg_header(content)[2]
    return colours == "YCbCr"


def _portions(encoded: Mapping[int, Encoded]) -> Iterator[list[int]]:
    """Rows in order, so many at once as the device has room for when they are decoded."""
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
