"""Columns as PostgreSQL's binary arrays, packed at once.

The driver finds a dumper for each element and calls it; for the columns of a batch that is two thirds of all it does.

Source: `array_send` and `array_recv` of PostgreSQL: dimensions, has_nulls, element type, then per dimension length and lower bound, then
each element as its length (-1: NULL) and its bytes, all big-endian.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, repeat
from struct import Struct, error, pack
from typing import Any, NamedTuple, cast

import psycopg
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format


class Array(NamedTuple):
    """A packed column; its type is said by the statement, as in `%b::bytea[]`."""

    data: bytes


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Array) -> Buffer:
        return obj.data


psycopg.adapters.register_dumper(Array, _ArrayDumper)


_length = Struct("!i").pack


def _numbers(code: str, width: int, values: Sequence[int]) -> bytes:
    try:
        return pack("!" + f"i{code}" * len(values), *chain.from_iterable(zip(repeat(width), values)))
    except error as refusal:
        msg = f"a number that does not fit into {width} bytes"
        raise psycopg.DataError(msg) from refusal


def _blobs(values: Sequence[bytes | None]) -> bytes:
    if None in values:
        return b"".join([_length(-1) if v is None else _length(len(v)) + v for v in values])
    full = cast("Sequence[bytes]", values)
    return b"".join(chain.from_iterable(zip(map(_length, map(len, full)), full, strict=True)))


def _texts(values: Sequence[str | None]) -> bytes:
    return _blobs([None if v is None else v.encode() for v in values])


# Name of the element's type -> its number in the catalogue, and what packs elements.
_KINDS: dict[str, tuple[int, Callable[[Any], bytes]]] = {
    "bytea": (17, _blobs),
    "int8": (20, lambda values: _numbers("q", 8, values)),
    "int2": (21, lambda values: _numbers("h", 2, values)),
    "int4": (23, lambda values: _numbers("i", 4, values)),
    "text": (25, _texts),
}


def array(kind: str, values: Sequence[Any]) -> Array:
    """A column of one type.

    Args:
        kind: `bytea`, `text`, `int2`, `int4` or `int8`; None stands for NULL in the first two.

    Raises:
        psycopg.DataError: a number that does not fit.
    """
    oid, elements = _KINDS[kind]
    return Array(pack("!iiIii", 1, None in values, oid, len(values), 1) + elements(values))
