import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fec_cache.backbones.load import load_backbone
from fec_cache.cache.cache import FeatureCache
from fec_cache.errors import BadImage, PicturesDiffer
from fec_cache.extraction import run as run_module
from fec_cache.extraction.config import ExtractConfig
from fec_cache.extraction.extract import extract
from fec_cache.extraction.recipes import recipes_of
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.images import Picture
from fec_cache.faces.windows import cut_window
from fec_cache.inference import gpu_jpegs as module
from fec_cache.inference import nvjpeg as nvjpeg_module
from fec_cache.inference.folding import smallest_cosine
from fec_cache.inference.gpu_jpegs import JpegDecoder, cut_tensor, jpeg_decoder
from fec_cache.testing import toy

CPU = torch.device("cpu")
CROP = CropConfig(input_size=32, margin=0.1, decode="gpu")
BOX = (0.2, 0.8, 0.1, 0.9)
# Without a GPU, the same libraries' decoders for CPUs are used instead of nvJPEG.
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
        ],
    ),
]
LIBRARIES = {
    "torchcodec": nvjpeg_module._of_torchcodec,
    "torchvision": nvjpeg_module._of_torchvision,
}


def smooth(seed, width=90, height=120):
    """A photo-like picture: decoders agree on it to a grey level or two."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def packed(image, kind="JPEG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoder(device="cpu", library=nvjpeg_module._of_torchvision):
    device = torch.device(device)
    return JpegDecoder(device, CROP, library(device))


def kept(content, on=None, box=BOX):
    on = on or decoder()
    return on.keep(Picture(content, "a.jpg"), content, "a.jpg", box)


def by_cpu(content, box=BOX):
    return Picture(content, "a.jpg").cut(box, CROP)


def zeros(rows):
    return np.zeros((rows, 32, 32, 3), np.uint8)


@pytest.mark.parametrize("device", DEVICES)
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    box=st.tuples(*[st.floats(0.0, 1.0)] * 4),
    margin=st.sampled_from([0.0, 0.1, 0.7]),
)
def test_a_tensor_is_cut_as_a_picture_is(device, size, box, margin):
    left, right, top, bottom = (*sorted(box[:2]), *sorted(box[2:]))
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    crop = CropConfig(input_size=16, margin=margin)
    whole = torch.from_numpy(pixels).permute(2, 0, 1).to(device)
    actual = cut_tensor(whole, (left, right, top, bottom), crop)
    wanted = cut_window(pixels, (left, right, top, bottom), crop)
    assert actual.dtype == torch.uint8
    off = np.abs(actual.cpu().numpy().astype(int) - wanted)
    assert off.max() <= 2


def test_a_cut_tensor_is_mostly_the_same_to_the_level():
    """Rounded once and not twice, every tenth number would differ: features feel that."""
    crop = CropConfig(input_size=64, margin=0.1)
    off = []
    for seed, size in enumerate([(57, 70), (90, 110), (300, 211), (640, 480)]):
        pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
        actual = cut_tensor(torch.from_numpy(pixels).permute(2, 0, 1), BOX, crop)
        off.append(np.abs(actual.numpy().astype(int) - cut_window(pixels, BOX, crop)).mean())
    assert max(off) < 0.02


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("device", DEVICES)
def test_a_batch_holds_what_the_cpu_cuts(device, library):
    if library == "torchcodec":
        pytest.importorskip("torchcodec", reason="torchcodec is not installed", exc_type=Exception)
    on = decoder(device, LIBRARIES[library])
    contents = [packed(smooth(seed), quality=90) for seed in range(3)]
    given_pictures = zeros(5)
    given_pictures[1] = 77
    encoded = {row: kept(contents[row // 2], on) for row in (0, 2, 4)}
    actual, reasons = on.fill(encoded, given_pictures)
    assert reasons == {}
    assert actual.device.type == device
    actual = actual.cpu().numpy().astype(int)
    assert (actual[1] == 77).all()
    assert (actual[3] == 0).all()
    for row in encoded:
        # CUDA's decoder brings colours to full size in another way.
        most = 1 if device == "cpu" else 8
        assert np.abs(actual[row] - by_cpu(contents[row // 2])).max() <= most


def sizes_of_calls(on, monkeypatch):
    """How many files each call of the decoder is given, from now on."""
    decode, sizes = on._decode, []

    def counted(files):
        sizes.append(len(files))
        return decode(files)

    monkeypatch.setattr(on, "_decode", counted)
    return sizes


def test_a_picture_of_many_faces_is_decoded_once(monkeypatch):
    on = decoder()
    sizes = sizes_of_calls(on, monkeypatch)
    first, second = packed(smooth(0)), packed(smooth(1))
    boxes = [BOX, (0.0, 0.5, 0.0, 0.5)]
    encoded = {row: kept(first, on, box) for row, box in enumerate(boxes)}
    encoded[2] = kept(second, on)
    actual, _ = on.fill(encoded, zeros(3))
    assert sizes == [2]
    for row, box in enumerate(boxes):
        assert np.abs(actual[row].numpy().astype(int) - by_cpu(first, box)).max() <= 1


def test_large_pictures_are_decoded_in_several_portions(monkeypatch):
    on = decoder()
    sizes = sizes_of_calls(on, monkeypatch)
    monkeypatch.setattr(module, "_PIXELS_AT_ONCE", 2 * 90 * 120)
    contents = [packed(smooth(seed)) for seed in range(5)]
    on.fill({row: kept(content, on) for row, content in enumerate(contents)}, zeros(5))
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize("device", DEVICES)
def test_one_bad_file_leaves_the_others_whole(device):
    on = decoder(device)
    sound = [packed(smooth(seed), quality=90) for seed in range(2)]
    # The head is there and the end is, but between them nearly nothing.
    broken = sound[0][:-600] + b"\xff\xd9"
    on_cpu = JpegDecoder(CPU, CROP, on._decode)
    encoded = {0: kept(sound[0]), 1: kept(broken), 2: kept(sound[1])}
    actual, reasons = on.fill(encoded, zeros(3))
    actual = actual.cpu().numpy().astype(int)
    for row, content in ((0, sound[0]), (2, sound[1])):
        assert np.abs(actual[row] - by_cpu(content)).max() <= 8
    if device == "cpu":
        # The CPU's decoder decides about files that the device cannot decode.
        monkeyed = JpegDecoder(CPU, CROP, refusing(on_cpu._decode, broken))
        actual, reasons = monkeyed.fill(encoded, zeros(3))
        try:
            wanted = by_cpu(broken)
        except BadImage as error:
            assert reasons == {1: str(error)}
        else:
            assert reasons == {}
            assert (actual[1].numpy() == wanted).all()


def refusing(decode, content):
    """A decoder that fails as nvJPEG does: for a whole list, if one of its files is bad."""

    def refuse(files):
        if any(bytes(file.numpy()) == content for file in files):
            raise RuntimeError("nvjpegDecode failed: 2")
        return decode(files)

    return refuse


def test_a_file_that_cannot_be_decoded_is_reported():
    content = packed(smooth(0))
    face = kept(content)
    cut_off = content[: len(content) // 2]
    face = module.Encoded(cut_off, "cut.jpg", BOX, face.size)
    on = JpegDecoder(CPU, CROP, refusing(decoder()._decode, cut_off))
    other = kept(packed(smooth(1)))
    actual, reasons = on.fill({0: face, 1: other}, zeros(2))
    assert list(reasons) == [0]
    assert reasons[0].startswith("cut.jpg is not a usable picture")
    assert (actual[0] == 0).all()
    assert (actual[1] != 0).any()


def test_too_little_memory_lets_the_cpu_decode():
    content = packed(smooth(0))

    def full(files):
        raise torch.OutOfMemoryError("CUDA out of memory")

    actual, reasons = JpegDecoder(CPU, CROP, full).fill({0: kept(content)}, zeros(1))
    assert reasons == {}
    assert (actual[0].numpy() == by_cpu(content)).all()


@pytest.mark.parametrize("wrong", ["other", "turned"])
def test_a_device_that_decodes_something_else_ends_the_run(wrong):
    content = packed(smooth(0))
    right = decoder()._decode

    def decode(files):
        (picture,) = right(files)
        if wrong == "other":
            return right([nvjpeg_module.tensor_of(packed(smooth(1)))])
        return [picture.flip(2)]

    with pytest.raises(PicturesDiffer, match=r"a\.jpg differently .* --decode scaled"):
        JpegDecoder(CPU, CROP, decode).fill({0: kept(content)}, zeros(1))


def test_a_picture_of_another_size_is_decoded_by_the_cpu():
    content = packed(smooth(0))
    tiny = JpegDecoder(CPU, CROP, lambda files: [torch.zeros(3, 4, 4, dtype=torch.uint8)])
    actual, _ = tiny.fill({0: kept(content)}, zeros(1))
    assert (actual[0].numpy() == by_cpu(content)).all()


def test_a_picture_that_was_never_written_is_cut_by_the_cpu():
    """One success for a list of files, of which the device skipped the last."""
    contents = [packed(smooth(seed)) for seed in range(3)]
    right = decoder()._decode

    def skipping(files):
        actual = right(files)
        return [*actual[:-1], torch.zeros_like(actual[-1])]

    on = JpegDecoder(CPU, CROP, skipping)
    actual, reasons = on.fill(
        {row: kept(content) for row, content in enumerate(contents)}, zeros(3)
    )
    assert reasons == {}
    assert (actual[2].numpy() == by_cpu(contents[2])).all()


def test_other_faces_are_compared_from_batch_to_batch():
    contents = [packed(smooth(seed)) for seed in range(8)]
    right = decoder()._decode

    def mixing(files):
        actual = right(files)
        return [*actual[:-1], actual[-1].flip(2)]

    on = JpegDecoder(CPU, CROP, mixing)
    encoded = {row: kept(content) for row, content in enumerate(contents)}
    for _ in range(7):  # the last of eight is looked at in the eighth batch
        on.fill(encoded, zeros(8))
    with pytest.raises(PicturesDiffer):
        on.fill(encoded, zeros(8))


def test_a_file_that_the_device_refuses_does_not_stand_for_the_others():
    first, second = packed(smooth(0)), packed(smooth(1))
    right = decoder()._decode

    def wrong(files):
        return [picture.flip(2) for picture in right(files)]

    on = JpegDecoder(CPU, CROP, refusing(wrong, first))
    with pytest.raises(PicturesDiffer):
        on.fill({0: kept(first), 1: kept(second)}, zeros(2))


def turned():
    tags = Image.Exif()
    tags[0x0112] = 6
    return packed(smooth(0), exif=tags)


@pytest.mark.parametrize(
    ("content", "is_kept"),
    [
        (packed(smooth(0)), True),
        (packed(smooth(0), progressive=True), True),
        (packed(smooth(0)) + b"\0\0\0", True),
        (packed(smooth(0), "PNG"), False),
        (packed(smooth(0).convert("L")), False),
        (packed(smooth(0).convert("CMYK")), False),
        (turned(), False),
        (packed(smooth(0))[:-2], False),
        (packed(smooth(0)) + b"\1" * 9, False),
    ],
)
def test_only_plain_whole_jpegs_are_left_to_the_gpu(content, is_kept):
    actual = kept(content)
    assert (actual is not None) is is_kept
    if is_kept:
        assert actual.size == (90, 120)


def test_large_files_are_not_kept(monkeypatch):
    content = packed(smooth(0))
    monkeypatch.setattr(module, "MAX_FILE_BYTES", len(content) - 1)
    assert kept(content) is None


def test_a_box_that_is_too_large_is_refused_before_it_is_decoded():
    with pytest.raises(BadImage, match="more than the limit"):
        kept(packed(smooth(0)), box=(-200.0, 200.0, 0.0, 1.0))


def test_only_recipes_that_ask_for_it_have_a_decoder(caplog):
    assert jpeg_decoder(CPU, CropConfig(decode="full")) is None
    assert caplog.messages == []
    assert jpeg_decoder(CPU, CROP) is None
    assert caplog.messages == [
        "JPEGs are decoded at full size on the CPU: nvJPEG cannot be used "
        "(cpu is not an NVIDIA GPU)"
    ]


class Counting(JpegDecoder):
    """Counts the faces that it receives."""

    num_filled = 0

    def fill(self, encoded, pictures):
        Counting.num_filled += len(encoded)
        return super().fill(encoded, pictures)


@pytest.mark.parametrize("num_failed", [0, 3])
def test_an_extraction_stores_the_same_either_way(tmp_path, monkeypatch, num_failed):
    """The whole of stage one, PNGs, JPEGs and bad files mixed, by the toy backbone."""
    images = tmp_path / "images"
    images.mkdir()
    refs = []
    for number in range(11):
        name = f"{number:04d}.jpg"
        colour = Image.new("RGB", (24, 24), toy.colour_of(7 * number + 40))
        kind = "PNG" if number % 4 == 3 else "JPEG"
        content = packed(colour, kind) if kind == "PNG" else packed(colour, quality=95)
        if number in range(4, 4 + 2 * num_failed, 2):
            content = content[:-2].replace(b"\xff\xda", b"\xff\xd9", 1) + b"\xff\xd9"
        (images / name).write_bytes(content)
        refs.append(toy.FaceRef(name, *toy.WHOLE))
    faces = toy.identify(images, refs)
    Counting.num_filled = 0

    def on_cpu(device, crop):
        return Counting(CPU, crop, nvjpeg_module._of_torchvision(CPU))

    plain = toy.run_toy(tmp_path / "plain", images, faces, batch_size=4)
    monkeypatch.setattr(run_module, "jpeg_decoder", on_cpu)
    actual = toy.run_toy(tmp_path / "actual", images, faces, batch_size=4)
    assert Counting.num_filled > 0
    assert toy.counts(actual) == toy.counts(plain)
    rows, wanted = toy.load(tmp_path / "actual"), toy.load(tmp_path / "plain")
    assert rows.face_ids == wanted.face_ids
    assert len(rows.face_ids) == actual.num_computed
    np.testing.assert_allclose(rows.features, wanted.features, atol=0.01)
    assert actual.smallest_cosine == pytest.approx(1.0, abs=1e-6)


def test_a_picture_that_fails_on_the_gpu_and_the_cpu_is_a_failure_and_no_row(tmp_path, monkeypatch):
    """The whole first batch of three fails, and one of the second."""
    images = tmp_path / "images"
    images.mkdir()
    names = [f"{number:04d}.jpg" for number in range(8)]
    for number, name in enumerate(names):
        (images / name).write_bytes(packed(Image.new("RGB", (24, 24), toy.colour_of(9 * number))))
    faces = toy.identify(images, [toy.FaceRef(name, *toy.WHOLE) for name in names])
    bad = {"0000.jpg", "0001.jpg", "0002.jpg", "0004.jpg"}

    class Failing(JpegDecoder):
        def _is_cut(self, face, whole, target):
            return face.name not in bad and super()._is_cut(face, whole, target)

        def _by_cpu(self, face):
            if face.name in bad:
                raise BadImage(f"{face.name} is not a usable picture: broken.")
            return super()._by_cpu(face)

    def failing(device, crop):
        return Failing(CPU, crop, nvjpeg_module._of_torchvision(CPU))

    monkeypatch.setattr(run_module, "jpeg_decoder", failing)
    summary = toy.run_toy(tmp_path / "cache", images, faces, batch_size=3, shard_faces=8)
    assert toy.counts(summary) == (0, 4, 4, 0)
    assert summary.smallest_cosine == pytest.approx(1.0, abs=1e-6)
    failures = (summary.folders[0] / "failures.csv").read_text()
    assert all(f"{name} is not a usable picture: broken" in failures for name in bad)
    rows = toy.load(tmp_path / "cache")
    sound = {face.face_id for face in faces.present if face.ref.image not in bad}
    assert set(rows.face_ids) == sound


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_extracts_what_a_cpu_does(tmp_path):
    """ResNet18, decoded by nvJPEG and replayed from a CUDA graph, against the CPU's whole JPEGs."""
    images = tmp_path / "images"
    images.mkdir()
    names = [f"{number:04d}.jpg" for number in range(40)]
    for number, name in enumerate(names):
        (images / name).write_bytes(packed(smooth(number, 400, 300), quality=90))
    faces = toy.identify(images, [toy.FaceRef(name, *toy.WHOLE) for name in names])
    backbone = load_backbone("resnet18", "random:0")
    (recipe,) = recipes_of(backbone, 0.1, "float32", decode="gpu")
    actual = {}
    for device in ("cpu", "cuda"):
        cache = FeatureCache.create(tmp_path / device, recipe)
        options = ExtractConfig(device=device, batch_size=16)
        summary = extract(faces, images, backbone, [cache], options)
        assert toy.counts(summary) == (0, 40, 0, 0)
        actual[device] = cache.load()
        if device == "cuda":
            assert summary.engine.endswith("CUDA graph")
    assert actual["cpu"].face_ids == actual["cuda"].face_ids
    features = [torch.from_numpy(actual[device].features) for device in ("cpu", "cuda")]
    assert smallest_cosine(*features) > 0.999
