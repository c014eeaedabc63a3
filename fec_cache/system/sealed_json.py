"""JSON files that carry the sha256 of their own content, so that a flipped bit is detected."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def seal_json(fields: Mapping[str, Any]) -> bytes:
    """The canonical bytes of an object, with a field `sha256` over all other fields."""
    # ASCII with escapes: error texts about bad pictures may hold bytes that are not UTF-8.
    text = json.dumps({**fields, "sha256": digest_json(fields)}, indent=1)
    return (text + "\n").encode()


def open_sealed(content: bytes) -> dict[str, Any]:
    """The object without its checksum.

    Raises:
        ValueError: not a JSON object, or not exactly the bytes that `seal_json` wrote.
    """
    fields = json.loads(content.decode())
    if not isinstance(fields, dict) or "sha256" not in fields:
        raise ValueError("it has no checksum")
    stored = fields.pop("sha256")
    # The bytes are compared too: a changed blank or escape leaves the digest as it was.
    if stored != digest_json(fields) or content != seal_json(fields):
        raise ValueError("its checksum differs")
    return fields


def digest_json(fields: object) -> str:
    """Sha256 of the canonical JSON, 64 hex digits."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
