"""New words: a word that a provider's tables do not have is told once, in any order, and no longer when they have learned it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from adapters.accounts import check
from adapters.http import catalogue
from adapters.providers import registry
from adapters.providers.contract import Word
from adapters.providers.describe import ProviderView
from adapters.receiving import read
from adapters.vocabulary import unknown
from ledger.application import pages
from ledger.events import Event
from tests.flow.test_reinterpret import fax
from tests.postgres import Database
from tests.world import TENANT, World, world

FAX = registry()["kpn_cloud_fax"]


@pytest.fixture
def w(database: Database, tmp_path: Path) -> Iterator[World]:
    with world(database.url, tmp_path) as opened:
        opened.accounts.add(TENANT, "main", "kpn_cloud_fax")
        yield opened


def told(w: World) -> list[Event]:
    return [e for e in pages(w.ledger.feed, lambda e: e.position) if e.type == "vocabulary.new"]


def asked_over_http(w: World) -> ProviderView:
    """What GET /v1/providers/kpn_cloud_fax answers the tenant."""
    services = SimpleNamespace(ledger=w.ledger)
    call = SimpleNamespace(path={"provider": "kpn_cloud_fax"}, services=services, tenant=TENANT)
    return cast(ProviderView, catalogue.provider.handler(cast(Any, call)).body)


def test_a_word_is_told_once_whatever_uses_it(w: World) -> None:
    """Of many faxes with two unknown words and a known one, each unknown word is told once, sealed."""
    words = ("Handed to machine", "Sent", "zz77")
    for number, word in enumerate(words * 5):
        w.intake.admit([read(TENANT, fax(number, word))])
    assert [{"word": "Handed to machine"}, {"word": "zz77"}] == list(w.ledger.values(told(w)).values())
    assert [] == [e.id for e in told(w) if b"zz77" in e.leaf or b"Handed" in e.leaf]
    assert {"kpn_cloud_fax"} == {e.fields["provider"] for e in told(w)}


def test_words_of_one_call_are_told_once(w: World) -> None:
    """Many arrivals decided together tell a word once, too."""
    w.intake.admit([read(TENANT, fax(number, "zz77")) for number in range(20)])
    assert 1 == len(told(w))


def test_the_order_does_not_matter(sqlite_database: Database, tmp_path: Path) -> None:
    """In whatever order arrivals come, the same words are unknown."""
    arrivals = [fax(0, "one"), fax(1, "two"), fax(2, "one")]
    found = set()
    for number, order in enumerate(permutations(arrivals)):
        with world(f"{sqlite_database.url}{number}", tmp_path / str(number)) as w:
            w.accounts.add(TENANT, "main", "kpn_cloud_fax")
            for each in order:
                w.intake.admit([read(TENANT, each)])
            found.add(unknown(w.ledger, TENANT, FAX))
    assert {("one", "two")} == found


def test_advice_says_how_many_words_are_new_until_the_tables_have_them(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`accounts check` counts the words that no table has; a learned word is no longer counted; another tenant sees nothing."""
    w.intake.admit([read(TENANT, fax(number, word)) for number, word in enumerate(("zz77", "zz78"))])
    w.runner.run()
    (advice,) = [line for line in check(w.accounts, TENANT, "main", "").advice if "new word" in line]
    assert advice.startswith("2 new words of KPN Cloud Fax")
    assert advice.endswith("reinterpret --provider kpn_cloud_fax")
    assert (advice,) == asked_over_http(w).advice
    learned = (*FAX.tables["status"], *(Word(word, "content.consigned", "learned", "A") for word in ("zz77", "zz78")))
    monkeypatch.setitem(registry(), "kpn_cloud_fax", dataclasses.replace(FAX, tables={**FAX.tables, "status": learned}))
    assert [] == [line for line in check(w.accounts, TENANT, "main", "").advice if "new word" in line]
    assert () == unknown(w.ledger, "other", FAX)
