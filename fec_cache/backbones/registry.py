"""Names of backbones: from a name to the kind that builds it.

A kind is a module of this folder whose class is decorated with `register_kind`; to add a kind, add
such a file. Neither this module nor a kind imports torch until a network is looked up.
"""

import difflib
import functools
import importlib
import pkgutil
from collections.abc import Sequence

import fec_cache.backbones
from fec_cache.backbones.base import Architecture, BackboneKind
from fec_cache.errors import UnknownBackbone

# These modules hold no kind, and most of them load torch, which takes a second or more.
_NOT_KINDS = {"base", "layers", "load", "registry", "stages", "weights"}
_NUM_SUGGESTED = 4
_NUM_LISTED = 20
_kinds: dict[str, BackboneKind] = {}


def register_kind(kind: type[BackboneKind]) -> type[BackboneKind]:
    """Make a kind of backbones available; a class decorator."""
    _kinds[kind.__module__] = kind()
    return kind


@functools.cache
def kinds() -> tuple[BackboneKind, ...]:
    """Return all kinds, in the order of their module names."""
    package = fec_cache.backbones
    for module in pkgutil.iter_modules(package.__path__):
        if module.name not in _NOT_KINDS:
            importlib.import_module(f"{package.__name__}.{module.name}")
    return tuple(kind for _, kind in sorted(_kinds.items()))


def backbone_names() -> tuple[str, ...]:
    """Return every name that can be listed, sorted; names with a prefix are not among them."""
    return tuple(sorted(name for kind in kinds() for name in kind.names()))


def find_kind(name: str) -> BackboneKind:
    """Return the kind that a name belongs to.

    Raises:
        UnknownBackbone: no kind has this name.
    """
    for kind in kinds():
        if kind.offers(name):
            return kind
    raise unknown_backbone(name, backbone_names())


def find_architecture(name: str) -> Architecture:
    """Return the architecture of a backbone.

    Raises:
        UnknownBackbone: no backbone has this name.
        BadOption: the network cannot be used.
        MissingExtra: an extra is not installed.
    """
    return find_kind(name).architecture(name)


def split_layer(features: str) -> tuple[str, str]:
    """Split `BACKBONE:LAYER` at the colon; the layer is empty if there is none.

    A prefix may contain a colon: `timm:resnet18:layer3` is ("timm:resnet18", "layer3").
    """
    prefixes = (kind.prefix for kind in kinds() if kind.prefix)
    prefix = next((prefix for prefix in prefixes if features.startswith(prefix)), "")
    backbone, _, layer = features.removeprefix(prefix).partition(":")
    return prefix + backbone, layer


def ways_without_download(name: str) -> tuple[str, ...]:
    """Return what a user can do to get other backbones whose weights need no download."""
    own = find_kind(name)
    return tuple(k.needs_no_download for k in kinds() if k is not own and k.needs_no_download)


def unknown_backbone(name: str, names: Sequence[str]) -> UnknownBackbone:
    """Return the error for an unknown name, with similar names as suggestions."""
    similar = difflib.get_close_matches(name, names, n=_NUM_SUGGESTED, cutoff=0.5)
    advice = (
        f"Did you mean {' or '.join(similar)}?"
        if similar
        else f"Known backbones: {', '.join(names[:_NUM_LISTED])}..."
    )
    return UnknownBackbone(f"Unknown backbone {name!r}. {advice}")
