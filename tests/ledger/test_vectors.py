"""The published vectors of RFC 6962 proofs and of RFC 8785, kept in tests/vectors with their source."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from ledger.canonical import encode
from ledger.errors import InvalidEventError
from ledger.tree import verify_consistency, verify_inclusion

VECTORS = Path(__file__).parents[1] / "vectors"
TREE = json.loads((VECTORS / "rfc6962.json").read_bytes())
JSON = json.loads((VECTORS / "rfc8785.json").read_bytes())["vectors"]


def proof_of(vector: dict[str, Any]) -> list[bytes]:
    return [b64decode(node) for node in vector["proof"] or ()]


@pytest.mark.parametrize("vector", TREE["inclusion"], ids=lambda v: v["name"])
def test_inclusion_vector_gives_its_published_verdict(vector: dict[str, Any]) -> None:
    """Each honest proof verifies and each altered one does not."""
    leaf, root = b64decode(vector["leafHash"] or ""), b64decode(vector["root"] or "")
    verdict = verify_inclusion(leaf, vector["leafIdx"], vector["treeSize"], proof_of(vector), root)
    assert vector["wantErr"] == (not verdict)


@pytest.mark.parametrize("vector", TREE["consistency"], ids=lambda v: v["name"])
def test_consistency_vector_gives_its_published_verdict(vector: dict[str, Any]) -> None:
    """Each honest proof verifies and each altered one does not; a proof from nothing proves nothing."""
    old, new = b64decode(vector["root1"] or ""), b64decode(vector["root2"] or "")
    verdict = verify_consistency(vector["size1"], old, vector["size2"], new, proof_of(vector))
    from_nothing = vector["size1"] == 0
    assert (vector["wantErr"] or from_nothing) == (not verdict)


@pytest.mark.parametrize("name", sorted(JSON))
def test_canonical_vector_is_encoded_as_published_or_refused_as_outside_our_subset(name: str) -> None:
    """What our subset admits is encoded byte for byte as published; the rest (floats, null …) is refused, never encoded otherwise."""
    value, expected = json.loads(JSON[name]["input"]), bytes.fromhex(JSON[name]["outhex"])
    assert expected == rfc8785.dumps(value)
    try:
        ours = encode(value)
    except InvalidEventError:
        assert name in {"arrays", "french", "structures", "unicode", "values", "weird"} - ADMITTED
    else:
        assert (True, expected) == (name in ADMITTED, ours)


ADMITTED = {"unicode"}
"""Vectors without floats, booleans, null and keys beyond ASCII."""
