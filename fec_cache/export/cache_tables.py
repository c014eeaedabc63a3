"""A whole cache as one plain file, for programs that do not know shards."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.manifest import Manifest
from fec_cache.cache.shards import FACE_ID_DTYPE
from fec_cache.errors import BadOption, CacheNotFound, OutputExists, StorageFailed
from fec_cache.faces.table import Face
from fec_cache.system.atomic import write_by
from fec_cache.system.checks import check_choice
from fec_cache.system.extras import require

EXPORT_VERSION = 1
FORMATS = ("hdf5", "npz", "parquet")
SUFFIXES = {"hdf5": ".h5", "npz": ".npz", "parquet": ".parquet"}
_CHUNK_BYTES = 1 << 20
_SPARE_BYTES = 1 << 20


@dataclass(frozen=True)
class ExportReport:
    """What was written: N rows, of which `num_named` have an image's path and a box."""

    path: Path
    format: str
    num_faces: int
    num_named: int
    size_bytes: int


@dataclass(frozen=True)
class _Part:
    """n rows: `face_ids` S32, `features` [n, D], `images` text, `boxes` [n, 4] float64."""

    face_ids: npt.NDArray[np.bytes_]
    features: npt.NDArray[np.floating]
    images: list[str]
    boxes: npt.NDArray[np.float64]


def export_cache(
    cache: FeatureCache, path: Path, kind: str, faces: Iterable[Face], is_forced: bool = False
) -> ExportReport:
    """Write all rows of a cache to one file, shard by shard; every byte read is checked.

    Args:
        cache: the cache to export.
        path: of the new file.
        kind: one of `FORMATS`.
        faces: faces whose image and box are known; rows of other faces get "" and NaN.
        is_forced: whether an existing file is replaced.

    Raises:
        CacheNotFound: the cache has no features.
        CacheDamaged: a shard is not what was written.
        BadOption: `kind` is unknown, or `path` is a folder.
        MissingExtra: `kind` is parquet and pyarrow is not installed.
        OutputExists: there is already a file of that name.
        StorageFailed: there is not enough space; an existing file is unchanged.
    """
    check_choice("format", kind, FORMATS)
    manifest = cache.manifest()
    if not manifest.num_faces:
        raise CacheNotFound(f"{cache.folder} has no features yet. Run: fec extract")
    if path.is_dir():
        raise BadOption(f"{path} is a folder. Give a file: --out FILE.")
    if path.exists() and not is_forced:
        raise OutputExists(
            f"{path} exists already. Choose another file, or overwrite it with --force."
        )
    # Reversed, so that the first of several names of a face wins.
    names = {face.face_id: face for face in reversed(list(faces))}
    width = cache.recipe.width * (4 if kind == "parquet" else np.dtype(_dtype(cache)).itemsize)
    size_bytes = manifest.num_faces * (width + 128)
    _check_room(path, size_bytes)
    write = _WRITERS[kind]
    write_by(path, lambda temporary: write(cache, manifest, names, temporary), size_bytes)
    num_named = len(cache.stored_and_failed()[0] & names.keys())
    return ExportReport(path, kind, manifest.num_faces, num_named, path.stat().st_size)


def _check_room(path: Path, size_bytes: int) -> None:
    # Checked beforehand: h5py 3.16 crashes on a full disk instead of raising an error.
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    if free < size_bytes + _SPARE_BYTES:
        raise StorageFailed(
            f"{path} needs about {size_bytes / 1e6:.1f} MB, but {free / 1e6:.1f} MB are free. Free "
            "some space, or choose another place: --out FILE."
        )


def _dtype(cache: FeatureCache) -> str:
    return cache.recipe.store_dtype


def _ids_as_text(part: _Part) -> list[str]:
    return [face_id.decode() for face_id in part.face_ids.tolist()]


def _parts(cache: FeatureCache, manifest: Manifest, names: Mapping[str, Face]) -> Iterable[_Part]:
    for entry in manifest.shards:
        if not entry.rows:
            continue
        shard = cache.read(entry)
        faces = [names.get(face_id) for face_id in shard.face_ids]
        yield _Part(
            np.array(shard.face_ids, FACE_ID_DTYPE),
            shard.features,
            [face.ref.image if face else "" for face in faces],
            np.array([face.ref.box if face else (np.nan,) * 4 for face in faces], np.float64),
        )


def _attributes(cache: FeatureCache) -> dict[str, str | int]:
    recipe = cache.recipe
    return {
        "export_version": EXPORT_VERSION,
        "recipe": recipe.canonical_json(),
        "fingerprint": recipe.fingerprint,
        "backbone": recipe.backbone,
        "layer": recipe.layer,
        "weights": recipe.weights,
    }


def _write_hdf5(
    cache: FeatureCache, manifest: Manifest, names: Mapping[str, Face], path: Path
) -> None:
    num_faces, width = manifest.num_faces, cache.recipe.width
    dtype = np.dtype(_dtype(cache))
    rows = max(1, min(num_faces, _CHUNK_BYTES // (width * dtype.itemsize)))
    with h5py.File(path, "w") as file:
        file.attrs.update(_attributes(cache))
        ids = file.create_dataset("face_id", (num_faces,), FACE_ID_DTYPE, chunks=True)
        features = file.create_dataset(
            "features", (num_faces, width), dtype, chunks=(rows, width), fletcher32=True
        )
        images = file.create_dataset("image", (num_faces,), h5py.string_dtype(), chunks=True)
        boxes = file.create_dataset("box", (num_faces, 4), np.float64, chunks=True)
        boxes.attrs["columns"] = "left, right, top, bottom as fractions of the image"
        start = 0
        for part in _parts(cache, manifest, names):
            stop = start + len(part.images)
            ids[start:stop], features[start:stop] = part.face_ids, part.features
            images[start:stop], boxes[start:stop] = list(map(_utf8, part.images)), part.boxes
            start = stop


def _write_npz(
    cache: FeatureCache, manifest: Manifest, names: Mapping[str, Face], path: Path
) -> None:
    parts = list(_parts(cache, manifest, names))
    arrays: dict[str, Any] = {
        "face_id": np.concatenate([part.face_ids for part in parts]),
        "features": np.concatenate([part.features for part in parts]),
        "image": np.array([_utf8(image) for part in parts for image in part.images]),
        "box": np.concatenate([part.boxes for part in parts]),
        **{name: np.array(value) for name, value in _attributes(cache).items()},
    }
    # Through an open file: given a path, numpy would append .npz to the temporary name.
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _write_parquet(
    cache: FeatureCache, manifest: Manifest, names: Mapping[str, Face], path: Path
) -> None:
    """Features as lists of float32, because few readers know Parquet's half floats."""
    pa, pq = require("pyarrow", "parquet"), require("pyarrow.parquet", "parquet")
    width = cache.recipe.width
    schema = pa.schema(
        [
            ("face_id", pa.string()),
            ("image", pa.string()),
            *((side, pa.float64()) for side in ("left", "right", "top", "bottom")),
            ("features", pa.list_(pa.float32(), width)),
        ],
        metadata={name: str(value) for name, value in _attributes(cache).items()},
    )
    with pq.ParquetWriter(path, schema) as writer:
        for part in _parts(cache, manifest, names):
            values = pa.array(part.features.astype(np.float32).ravel())
            columns = [
                pa.array(_ids_as_text(part)),
                pa.array(list(map(_utf8, part.images))),
                *(pa.array(part.boxes[:, side]) for side in range(4)),
                pa.FixedSizeListArray.from_arrays(values, width),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _utf8(name: str) -> str:
    # File names on Linux are bytes and need not be UTF-8; text in these formats must be.
    return name.encode(errors="backslashreplace").decode()


_Writer = Callable[[FeatureCache, Manifest, Mapping[str, Face], Path], None]
_WRITERS: dict[str, _Writer] = {
    "hdf5": _write_hdf5,
    "npz": _write_npz,
    "parquet": _write_parquet,
}
