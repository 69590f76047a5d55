"""`explain` and `downtime`, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ops.settings import load
from ops.system import opened
from tests.ops.test_cli import RECEIPT, Shell

NO_RECIPIENT = "No recipient is recorded for this message, so there is no delivery to report on."


@pytest.fixture
def shell(
    sqlite_database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    return Shell(tmp_path, sqlite_database.url, monkeypatch, capsys)


@pytest.fixture
def delivery(shell: Shell, tmp_path: Path) -> dict[str, Any]:
    """A delivered one of a ledger into which receipts were imported."""
    folder = tmp_path / "receipts"
    folder.mkdir()
    for case in sorted(RECEIPT.iterdir()):
        if case.suffix != ".words" and not json.loads((case / "expected.json").read_bytes()).get("unreadable"):
            (folder / f"{case.name}.eml").write_bytes((case / "body.raw").read_bytes())
    shell.run("import", str(folder))
    found: dict[str, Any] = shell.json("search", "--status", "delivered", "--limit", "1")["deliveries"][0]
    return found


def test_a_delivery_is_explained_in_the_language_and_zone_that_were_asked_for(
    shell: Shell, delivery: dict[str, Any]
) -> None:
    """The paragraph, then every fact in the same language."""
    asked = ("explain", delivery["message"], "--recipient", str(delivery["recipient"]))
    for language, begun, zone in (
        ("en", "All times are in Coordinated Universal Time (UTC).", ()),
        ("it", "Tutti gli orari sono espressi nell'ora locale del fuso Europe/Rome.", ("--zone", "Europe/Rome")),
        ("nl", "Alle tijden zijn in gecoördineerde wereldtijd (UTC).", ()),
        ("sv", "Alla tider anges i koordinerad universell tid (UTC).", ()),
    ):
        printed = shell.run(*asked, "--language", language, *zone)
        (found,) = shell.json(*asked, "--language", language, *zone)
        assert begun in printed
        assert found["text"] in printed
        assert delivery["address"]["address"] in found["text"]
        assert all(fact["meaning"] in printed for fact in found["facts"])


def test_what_was_known_at_an_earlier_position_is_explained_as_such(shell: Shell, delivery: dict[str, Any]) -> None:
    """Before a fact came it was not known, and the paragraph says of when it is."""
    with opened(load()) as system:
        mine = [e for e in system.ledger.feed() if e.stream.startswith(delivery["message"])]
    before = next(e.position for e in mine if e.type == "content.consigned") - 1
    said = shell.run("explain", delivery["message"], "--position", str(before))
    assert "This is how it stood in our records on " in said
    assert "delivered to the recipient's PEC mailbox" not in said
    assert "delivered to the recipient's PEC mailbox" in shell.run("explain", delivery["message"])


def test_a_zone_that_there_is_not_exits_with_2(shell: Shell, delivery: dict[str, Any]) -> None:
    """And says what one looks like."""
    said = shell.run("explain", delivery["message"], "--zone", "Rome/Europe", code=2)
    assert "zone: not the name of a time zone, as Europe/Rome is one" in said
    shell.run("explain", delivery["message"], "--language", "de", code=2)
    shell.run("explain", delivery["message"], "--recipient", "9", code=3)


def test_a_message_without_recipients_is_explained_as_such(shell: Shell, delivery: dict[str, Any]) -> None:
    """What arrived for the organisation was sent to nobody."""
    with opened(load()) as system:
        inbound = [event.stream for event in system.ledger.feed() if event.type == "inbound.received"]
    said = shell.run("explain", inbound[0])
    assert "This message arrived for the organisation; it was not sent by it." in said
    assert NO_RECIPIENT not in said


def test_a_downtime_is_entered_shown_ended_and_withdrawn(shell: Shell, delivery: dict[str, Any]) -> None:
    """In the list, in the status and in the explanation of what it touches, until it is withdrawn."""
    account, message = delivery["account"], delivery["message"]
    entered = shell.json("downtime", "enter", account, "--since", "2020-01-01T10:00+01:00", "--note", "they rang")
    assert ("2020-01-01T09:00:00.000000Z", "", "open") == (entered["since"], entered["until"], entered["state"])
    assert "the provider has not worked properly since 1 January 2020 at 09:00" in shell.run("explain", message)
    assert "provider down: from 2020-01-01 09:00:00Z and goes on (entered)" in shell.run("status", message)
    said = shell.run("downtime", "end", entered["downtime"], "--until", "2099-01-01T00:00Z", "--note", "n", code=2)
    assert "until: not after its beginning, or still to come" in said
    said = shell.run("downtime", "end", entered["downtime"], "--until", "2020-01-02T00:00Z", "--note", "over")
    assert "until 2020-01-02 00:00:00Z; ended." in said
    listed = shell.run("downtime", "list", "--account", account)
    assert entered["downtime"] in listed
    assert "they rang; over" in listed
    assert "withdrawn" in shell.run("downtime", "withdraw", entered["downtime"], "--note", "it was us")
    assert "provider down" not in shell.run("status", message)
    assert [("withdrawn", ["they rang", "over", "it was us"])] == [
        (each["downtime"]["state"], each["notes"]) for each in shell.json("downtime", "list")
    ]


@pytest.mark.parametrize("at", ["yesterday", "2026-03-02", "2026-03-02T10:00", "2999-01-01T00:00Z"])
def test_a_time_without_a_zone_or_still_to_come_exits_with_2(shell: Shell, at: str) -> None:
    """Nothing is written then."""
    shell.run("accounts", "add", "sms", "--provider", "kpn_sms")
    shell.run("downtime", "enter", "sms", "--since", at, "--note", "n", code=2)
    assert "No downtimes are known." in shell.run("downtime", "list")


def test_a_downtime_of_no_account_exits_with_3(shell: Shell) -> None:
    """And says how one is added."""
    said = shell.run("downtime", "enter", "sms", "--since", "2026-03-02T10:00Z", "--note", "n", code=3)
    assert "has no account 'sms'" in said
