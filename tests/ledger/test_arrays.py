"""Packed columns arrive as what the driver would have sent."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.arrays import array
from tests.postgres import Database as Given

COLUMNS = st.one_of(
    st.tuples(st.just("bytea"), st.lists(st.none() | st.binary(max_size=40))),
    st.tuples(
        st.just("text"),
        st.lists(st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))),
    ),
    st.tuples(st.just("int8"), st.lists(st.integers(-(2**63), 2**63 - 1))),
    st.tuples(st.just("int4"), st.lists(st.integers(-(2**31), 2**31 - 1))),
    st.tuples(st.just("int2"), st.lists(st.integers(-(2**15), 2**15 - 1))),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(column=COLUMNS)
def test_column_arrives_as_it_is(postgresql_database: Given, column: tuple[str, list[object]]) -> None:
    """Every value comes back, in order, NULL and empty ones too."""
    kind, values = column
    with psycopg.connect(postgresql_database.url, autocommit=True) as connection:
        sql = f"SELECT value FROM unnest(%b::{kind}[]) WITH ORDINALITY AS sent (value, n) ORDER BY n"
        assert values == [value for (value,) in connection.execute(sql, (array(kind, values),))]


def test_number_that_does_not_fit_is_refused() -> None:
    """A number is never cut."""
    with pytest.raises(psycopg.DataError, match="2 bytes"):
        array("int2", [2**15])
