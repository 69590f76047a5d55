"""A question to the database that is asked together with others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Probe(NamedTuple):
    """Rows of a table whose one or two columns have one of the values; see `Reads.probe` and `Reads.probe_pairs`.

    Attributes:
        columns: what is read; the types are those of the other probes that are asked together with it.
        on: the columns that are compared.
        values: for each of these one.
    """

    table: str
    columns: str
    on: tuple[str, ...]
    values: Sequence[tuple[Any, ...]]
