"""A backbone's weights: find the file, check its hash, read it without running any code in it.

The flow inside `backbones`: an `Architecture` says which file its weights are published in, this
module finds it. Order: a file that the user names, the folder in which torch keeps downloads, an
installed package, a download, and otherwise an error that lists what the user can do.
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

from fec_cache.backbones.base import PublishedFile, WeightsOrigin
from fec_cache.errors import BadOption, WeightsMismatch, WeightsNotFound

DOWNLOAD_TIMEOUT_S = 20.0
_CHUNK_BYTES = 1 << 20
_MAX_REASON_CHARS = 200
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.")


@dataclass(frozen=True)
class Weights(WeightsOrigin):
    """Weights with their tensors, named as the network names them."""

    state: Mapping[str, Tensor]


def random_seed(weights: str | None) -> int | None:
    """Return the seed of "random:SEED", None for anything else.

    Raises:
        BadOption: the seed is missing, not a number or too large.
    """
    if weights is None or not re.match(r"random(:|$)", weights):
        return None
    seed = weights.partition(":")[2]
    if not re.fullmatch(r"[0-9]{1,18}", seed):
        raise BadOption(f"{weights!r} has no valid seed. Use a whole number, such as random:0.")
    return int(seed)


def sha256_of_file(path: Path) -> str:
    """Return the 64 hex digits of a file's sha256."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def random_origin(seed: int, state: Mapping[str, Tensor]) -> WeightsOrigin:
    """Identify random weights by their values.

    The seed alone does not: with another version of torch it can give other weights.

    Args:
        seed: what the weights were drawn with.
        state: name -> weight [...] of any shape and dtype; both enter the digest.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        values = tensor.detach().cpu().reshape(-1).view(torch.uint8)
        digest.update(values.numpy().tobytes())
    return WeightsOrigin(f"random:{seed}:{digest.hexdigest()[:16]}", f"random:{seed}")


def find_weights(
    weights: str | None,
    published: PublishedFile,
    *,
    allow_download: bool = True,
    other_ways: Sequence[str] = (),
) -> tuple[Path, WeightsOrigin]:
    """Find the file that holds a backbone's weights and identify it by its sha256.

    Args:
        weights: a file, or None for the published one.
        published: where the published one can be found.
        allow_download: whether it may be downloaded.
        other_ways: what else the user can do if it cannot be found, for the error.

    Raises:
        WeightsNotFound: the file does not exist and cannot be downloaded.
        WeightsMismatch: the file's sha256 is not the one in its published name.
    """
    if weights is not None:
        path, source = _named_file(weights), weights
        return path, WeightsOrigin(f"sha256:{_sha256_or_not_found(path)}", source)
    local = find_local_file(published)
    if local is not None:
        path, source = local
    else:
        try:
            path, source = _download(published, allow_download), published.url
        except _DownloadFailed as error:
            raise _not_found(published, str(error), other_ways) from error
    sha256 = _sha256_or_not_found(path)
    advice = "Delete it and run again, or give another file: --weights FILE."
    _check_hash_in_name(str(path), sha256, published.file_name, advice)
    return path, WeightsOrigin(f"sha256:{sha256}", source)


def hub_path(published: PublishedFile) -> Path:
    """Return the path of a published file in the folder where torch keeps its downloads."""
    return Path(torch.hub.get_dir()) / "checkpoints" / published.file_name


def find_local_file(published: PublishedFile) -> tuple[Path, str] | None:
    """Return path and source of published weights on this machine, or None; no download."""
    path = hub_path(published)
    if published.file_name and path.is_file():
        return path, str(path)
    return _file_in_package(published) if published.package else None


def read_state(path: Path) -> "OrderedDict[str, Tensor]":
    """Read a state dict from a .safetensors file or a torch pickle, running no code from it.

    It is name -> tensor [...] on the CPU, in the shape and dtype that the file stores. A dict that
    contains it as "state_dict" is unwrapped; the prefix "module." of parallel training is removed.
    The format versions that torch attaches to a state dict are kept.

    Raises:
        WeightsMismatch: the file is damaged, contains code, or is not a state dict.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: object = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    # Bytes that are not a pickle can raise anything: UnpicklingError, KeyError, UnicodeError...
    except Exception as error:
        reason = (str(error) or "no reason given").strip().splitlines()[0][:_MAX_REASON_CHARS]
        if isinstance(error, pickle.UnpicklingError):
            # torch's own text advises weights_only=False, which would run the file's code.
            reason = "it contains more than tensors"
        raise WeightsMismatch(
            f"{path} cannot be read as weights ({type(error).__name__}: {reason}). "
            f"Expected a state dict, saved by torch.save (.pth, .pt) or as .safetensors."
        ) from error
    return _unwrap(content, path)


def rename_state(
    state: Mapping[str, Tensor], rename: Callable[[str], str], dropped: Sequence[str] = ()
) -> "OrderedDict[str, Tensor]":
    """Return a state with renamed tensors, without those of the modules in `dropped`.

    The tensors [...], of any shape and dtype, are the given ones, not copies.
    """
    pairs = ((rename(name), tensor) for name, tensor in state.items())
    prefixes = tuple(f"{module}." for module in dropped)
    renamed = OrderedDict((name, tensor) for name, tensor in pairs if not name.startswith(prefixes))
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
            f"{path} does not contain a state dict (a dict of names and tensors). Save one with "
            f"torch.save(network.state_dict(), FILE)."
        )
    prefix = "module." if all(name.startswith("module.") for name in content) else ""
    state = OrderedDict((name.removeprefix(prefix), value) for name, value in content.items())
    _copy_versions(content, state, prefix)
    return state


def _copy_versions(old: object, new: "OrderedDict[str, Tensor]", prefix: str = "") -> None:
    # torch keeps them as an attribute of the dict; MNASNet does not load without them.
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
        f"The weights {weights} cannot be read: this path {what}. Give a file with a state dict "
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
            f"{where} is damaged or a different file: its sha256 starts with {sha256[:8]}, but "
            f"according to its name it should start with {match[1]}. {advice}"
        )


def _file_in_package(published: PublishedFile) -> tuple[Path, str] | None:
    """Find the file in the package's list of files; the package itself is never imported."""
    try:
        package = importlib.metadata.distribution(published.package)
    except importlib.metadata.PackageNotFoundError:
        return None
    for entry in package.files or ():
        path = Path(str(entry.locate()))
        if entry.name == published.file_name and path.is_file():
            return path, f"package {published.package} {package.version}"
    return None


class _DownloadFailed(Exception):
    """A published file cannot be downloaded; the text says why."""


def _download(published: PublishedFile, allow_download: bool) -> Path:
    """Download the published file into torch's folder.

    It gets its final name only after its hash was checked.
    """
    if not published.url:
        raise _DownloadFailed("there is nothing to download")
    if not allow_download:
        raise _DownloadFailed("downloads are off")
    path = hub_path(published)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # torch.hub's own download has no timeout and would hang behind a silent firewall.
        with (
            urllib.request.urlopen(published.url, timeout=DOWNLOAD_TIMEOUT_S) as response,
            part.open("xb") as file,
        ):
            while chunk := response.read(_CHUNK_BYTES):
                file.write(chunk)
        advice = (
            "It was deleted. Try again, or download it yourself and give it with --weights FILE."
        )
        _check_hash_in_name(published.url, sha256_of_file(part), path.name, advice)
        part.replace(path)
    except (OSError, http.client.HTTPException) as error:
        raise _DownloadFailed(f"download failed: {error}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return path


def _not_found(published: PublishedFile, reason: str, other_ways: Sequence[str]) -> WeightsNotFound:
    ways = ["--weights FILE, if you have a state dict"]
    if published.url:
        ways.append(f"save {published.url} as {hub_path(published)}")
    if published.hint:
        ways.append(published.hint)
    ways += other_ways
    numbered = "; ".join(f"({i}) {way}" for i, way in enumerate(ways, 1))
    return WeightsNotFound(
        f"The weights of {published.backbone} are not on this machine ({reason}). "
        f"Options: {numbered}. For a dry run only: --weights random:0."
    )
