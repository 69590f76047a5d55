"""Who is looked for: found in whatever form a value has, and not remembered afterwards."""

from __future__ import annotations

import gc

import pytest

from adapters.erasing.spellings import Person
from ledger.observations import Address

NUMBER = "+31612349876"


@pytest.mark.parametrize("value", [31612349876, {"msisdn": [31612349876]}, {"31612349876": True}])
def test_a_number_that_stands_as_a_number_names_its_owner(value: object) -> None:
    """Values are kept as a provider told them; a number needs no quotes there."""
    assert Person([Address("phone", NUMBER)]).in_values([value])
    assert not Person([Address("phone", "+31612349875")]).in_values([value])


def test_who_was_looked_for_is_not_remembered() -> None:
    """A process that erases for months keeps nobody's address for the next search."""
    assert Person([Address("phone", NUMBER)]).is_searchable
    gc.collect()
    assert [] == [each for each in gc.get_objects() if isinstance(each, Address) and each.value == NUMBER]
