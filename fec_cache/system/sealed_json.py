"""JSON files that carry the sha256 of their own content, so that no flipped bit goes unseen."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def seal_json(fields: Mapping[str, Any]) -> bytes:
    """The one spelling of an object, with the field `sha256` added over all others."""
    # Escaped: what the system says of a bad picture may hold bytes that are no UTF-8.
    text = json.dumps({**fields, "sha256": digest_json(fields)}, indent=1)
    return (text + "\n").encode()


def open_sealed(content: bytes) -> dict[str, Any]:
    """The object without its checksum.

    Raises:
        ValueError: no JSON object, or not byte by byte what `seal_json` wrote.
    """
    fields = json.loads(content.decode())
    if not isinstance(fields, dict) or "sha256" not in fields:
        raise ValueError("it has no checksum")
    found = fields.pop("sha256")
    if found != digest_json(fields) or content != seal_json(fields):
        raise ValueError("its checksum differs")
    return fields


def digest_json(fields: object) -> str:
    """Sha256 of the canonical JSON, 64 hex digits."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
