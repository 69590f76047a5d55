"""Columns as PostgreSQL's binary arrays, packed at once.

The driver finds a dumper for each element and calls it; for the columns of a batch that is two thirds of all it does.

Source: `array_send` and `array_recv` of PostgreSQL: dimensions, has_nulls, element type, then per dimension length and lower bound, then
each element as its length (-1: NULL) and its bytes, all big-endian.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from struct import Struct, error, pack
from typing import Any, NamedTuple

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
_NULL = _length(-1)


def _numbers(code: str, width: int, values: Sequence[int]) -> Iterable[bytes]:
    try:
        return (pack("!" + f"i{code}" * len(values), *chain.from_iterable(zip(repeat(width), values))),)
    except error as refusal:
        msg = f"a number that does not fit into {width} bytes"
        raise psycopg.DataError(msg) from refusal


def _blobs(values: Sequence[bytes]) -> Iterable[bytes]:
    return chain.from_iterable(zip(map(_length, map(len, values)), values, strict=True))


def _texts(values: Sequence[str]) -> Iterable[bytes]:
    return _blobs([value.encode() for value in values])


# Name of the element's type -> its number in the catalogue, and what packs elements, none of which is NULL.
_KINDS: dict[str, tuple[int, Callable[[Any], Iterable[bytes]]]] = {
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
    try:
        parts, has_nulls = list(elements(values)), False
    except (TypeError, AttributeError):  # None, which is looked for only now: it takes as long as packing
        parts, has_nulls = list(chain.from_iterable((_NULL,) if v is None else elements((v,)) for v in values)), True
    return Array(b"".join([pack("!iiIii", 1, has_nulls, oid, len(values), 1), *parts]))
