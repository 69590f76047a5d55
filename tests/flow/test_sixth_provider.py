"""The guide for adding a provider is followed to the letter: its files, and nothing else, make a provider that works everywhere."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import adapters.providers
from adapters import sending
from adapters.outbox import Outbox
from adapters.providers import registry
from adapters.providers.calling import Submission
from adapters.providers.describe import describe
from adapters.providers.page import page
from adapters.receiving import read
from ledger.observations import Address
from ledger.streams import Registration
from tests.flow.carrier import Clock, Script, answer
from tests.postgres import Database
from tests.providers import samples, test_contract
from tests.world import TENANT, world

GUIDE = Path(__file__).parents[2] / "ops" / "guide-add-a-provider.md"
NAME = "courier_sms"
TO = (Address("phone", "+31612345678"),)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The provider's folder as the guide writes it, found by the registry; afterwards it is gone again."""
    blocks = re.findall(r"^```\w+ (\S+)\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    for name, text in blocks:
        path = tmp_path / "more" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(adapters.providers, "__path__", [*adapters.providers.__path__, str(tmp_path / "more")])
    monkeypatch.setattr(samples, "PROVIDERS", tmp_path / "more")
    registry.cache_clear()
    try:
        yield tmp_path / "more" / NAME
    finally:
        registry.cache_clear()
        for module in [m for m in sys.modules if m.startswith(f"adapters.providers.{NAME}")]:
            del sys.modules[module]
        vars(adapters.providers).pop(NAME, None)


def test_it_keeps_the_contract_of_all_providers(folder: Path) -> None:
    """The contract tests find its samples and word list, and they hold."""
    assert [folder / "samples" / "arrived"] == samples.cases()
    (case,), (words,) = samples.cases(), samples.cases(".words")
    test_contract.test_sample_parses_to_what_a_person_wrote_down(case)
    test_contract.test_sample_names_its_origin(case)
    test_contract.test_same_sample_twice_gives_the_same_identities(case)
    test_contract.test_every_observation_is_in_our_words(case)
    test_contract.test_word_list_reads_each_word_as_written_down(words)
    test_contract.test_unknown_word_is_kept_and_never_refused(words)
    test_contract.test_provider_says_what_is_relied_on_where_it_does_not_sign(NAME)
    exercised = {line.split("\t")[0] for line in (words / "words.tsv").read_text().splitlines()}
    assert {row.word for row in registry()[NAME].tables["status"]} == exercised


def test_it_has_a_page_with_its_set_up_and_quirks(folder: Path) -> None:
    """What must be set, its credential and what surprises stand in its page, and that an SMS report proves little."""
    text = page(describe(registry()[folder.name]))
    assert "delivery-ledger accounts configure NAME --set sender=VALUE --secret key=@FILE" in text
    assert "- The state of a message names its number, the answer to a send names nobody." in text
    assert "| sms | delivered | E2 |" in text


def test_a_message_is_sent_and_followed_to_its_end(folder: Path, database: Database, tmp_path: Path) -> None:
    """An account is opened, a message goes out once, its state arrives: delivered, with the grade of an SMS report."""
    with world(database.url, tmp_path) as w:
        clock = Clock()
        w.ledger.clock = clock
        w.accounts.add(TENANT, "texts", folder.name)
        w.accounts.configure(TENANT, "texts", {"sender": "Shop"})
        w.accounts.set_credentials(TENANT, "texts", {"key": "not to be seen"})
        calls = Script(clock, answer(202, b'{"courier": 1, "id": "c-1", "state": "taken"}'))
        outbox = Outbox(w.ledger, w.intake, w.accounts, calls, w.queries)
        registration = Registration(account="texts", provider=folder.name, recipients=TO)
        submission = Submission(message="", recipients=TO, text="hello", options={}, requested_at=clock())
        done = sending.dispatch(w.intake, w.accounts, TENANT, registration, submission, clear={"arrival": "api"})
        assert 1 == outbox.run()
        assert "sent" == outbox.row(TENANT, done.message).state
        state = dataclasses.replace(samples.arrival(folder / "samples" / "arrived"), account="texts")
        w.intake.admit([read(TENANT, state)])
        (delivery,) = w.deliveries()
        assert ("delivered", "E2", done.message) == (delivery.status, delivery.evidence.grade, delivery.message)


def test_afterwards_the_registry_is_as_before() -> None:
    """The folder was all there was of it."""
    assert NAME not in registry()
