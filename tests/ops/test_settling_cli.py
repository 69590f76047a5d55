"""`disputes`, `lanes` and `terms`, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ops.settings import load
from ops.system import opened
from tests.flow.desk import DELIVERED, FAILED, admit, report, send
from tests.ops.test_cli import Shell
from tests.world import TENANT, World

PHONE = "31612340001"


@pytest.fixture
def shell(database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """A terminal over a ledger with one disputed delivery and one item that waits."""
    found = Shell(tmp_path, database.url, monkeypatch, capsys)
    monkeypatch.setenv("LEDGER_TENANT", TENANT)
    found.run("accounts", "add", "sms", "--provider", "kpn_sms")
    with opened(load()) as s:
        world = World(s.ledger, s.intake, s.runner, s.queries, s.accounts, s.quarantine, s.lanes)
        send(world, "doc-1", PHONE)
        admit(world, report(PHONE, DELIVERED, 5, "doc-1"))
        admit(world, report(PHONE, FAILED, 7, "doc-1", ErrorCode="006"))
        send(world, "doc-2", "31612340002")
        admit(world, report("31612340002", DELIVERED, 9))
    return found


def test_a_dispute_is_found_looked_at_settled_and_opened_again(shell: Shell) -> None:
    """Every id that is printed can be typed; what was decided is shown with its note."""
    (listed,) = shell.json("disputes", "list")["deliveries"]
    delivery = (listed["message"], "0")
    assert delivery[0] in shell.run("disputes", "list")
    shown = shell.json("disputes", "show", *delivery)
    failed = next(each["event_id"] for each in shown["rivals"] if each["says"] == "failed")
    text = shell.run("disputes", "show", *delivery)
    assert all(each in text for each in (failed, "final facts contradict", "if it alone held: delivered, grade E2"))
    asked = ("disputes", "resolve", *delivery, "--sets-aside", failed, "--note", "asked by phone")
    settled = shell.json(*asked)
    assert ("delivered", []) == (settled["status"], settled["rivals"])
    assert "asked by phone" in shell.run(*asked)
    assert "Nothing is disputed." in shell.run("disputes", "list")
    (made,) = settled["settlements"]
    withdrawn = shell.run("disputes", "withdraw", *delivery, made["event_id"], "--note", "the neighbour's phone")
    assert all(each in withdrawn for each in ("disputed", "settled, and withdrawn", "Decide: delivery-ledger"))


def test_what_does_not_settle_it_is_said(shell: Shell) -> None:
    """With the exit code of what is wrong, and of what is not there."""
    (listed,) = shell.json("disputes", "list")["deliveries"]
    wrong = ("disputes", "resolve", listed["message"], "0", "--sets-aside", listed["message"], "--note", "n")
    assert "name facts that contradict each other here" in shell.run(*wrong, code=2)
    assert "has no recipient 7" in shell.run("disputes", "show", listed["message"], "7", code=3)


def test_what_waits_is_suggested_claimed_and_given_back(shell: Shell) -> None:
    """The suggestion says what speaks for it; after giving back the item waits."""
    (item,) = [each["item"] for each in shell.json("lanes", "list")["items"]]
    first = shell.json("lanes", "suggest", item)["suggestions"][0]
    text = shell.run("lanes", "suggest", item)
    assert all(
        each in text for each in (first["message"], "it names a recipient of this message (40)", str(first["score"]))
    )
    shell.run("lanes", "claim", item, first["message"], "--note", "n")
    assert "delivered" in shell.run("status", first["message"])
    assert "claimed for a message" in shell.run("lanes", "dismiss", item, "--note", "n", code=1)
    assert f"{item} waits again" in shell.run("lanes", "unclaim", item, "--note", "n")
    assert [item] == [each["item"] for each in shell.json("lanes", "list")["items"]]
    shell.run("lanes", "dismiss", item, "--note", "n")
    assert [] == shell.json("lanes", "list")["items"]


def test_terms_are_set_listed_switched_off_and_taken_back(shell: Shell) -> None:
    """Times are typed as 1d12h and printed so; it is said since when they hold."""
    name = ("sms", "delivery_report")
    said = shell.run("terms", "set", *name, "--warn", "1d12h", "--breach", "3d", "--note", "contract of May")
    assert all(each in said for each in ("1d12h", "contract of May", "opened from now on"))
    for_one = shell.json("terms", "set", *name, "--warn", "90s", "--breach", "30m", "--note", "n", "--account", "sms")
    own = [each for each in for_one["terms"] if each["name"] == "delivery_report"]
    assert [("", 129_600, 259_200), ("sms", 90, 1_800)] == [
        (t["only_account"], t["warn_s"], t["breach_s"]) for t in own
    ]
    assert "off" in shell.run("terms", "off", *name, "--note", "nobody looks")
    shell.run("terms", "reset", *name, "--account", "sms")
    reset = shell.json("terms", "reset", *name)["terms"]
    assert shell.json("terms", "list")["terms"] == reset
    assert {"table"} == {each["origin"] for each in reset}


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("fax", "delivery_report", "--warn", "1h", "--breach", "2h"), 2, "sms delivery_report"),
        (("sms", "delivery_report", "--warn", "soon", "--breach", "2h"), 2, "write it as 90s"),
        (("sms", "delivery_report", "--warn", "2h", "--breach", "1h"), 2, "--warn: more than nothing"),
        (("sms", "delivery_report", "--warn", "1h", "--breach", "999999d"), 2, "10 years"),
        (("sms", "delivery_report", "--warn", "1h", "--breach", "2h", "--account", "none"), 3, "accounts add"),
    ],
)
def test_a_term_that_cannot_be_says_why(shell: Shell, arguments: tuple[str, ...], code: int, why: str) -> None:
    """A known expectation of its channel, times that can be read, an account that is there."""
    assert why in shell.run("terms", "set", *arguments, "--note", "n", code=code)


def test_what_is_printed_for_programs_is_json(shell: Shell) -> None:
    """Nothing else stands beside it."""
    assert {"terms", "position"} == set(json.loads(shell.run("terms", "list", "--json")))


@pytest.mark.parametrize("note", ["", " \u3000", "x" * 1001])
@pytest.mark.parametrize(
    "command",
    [
        ("disputes", "resolve", "MESSAGE", "0", "--sets-aside", "FACT"),
        ("lanes", "claim", "ITEM", "MESSAGE"),
        ("lanes", "dismiss", "ITEM"),
        ("terms", "set", "sms", "delivery_report", "--warn", "1h", "--breach", "2h"),
        ("terms", "off", "sms", "delivery_report"),
        ("accounts", "disable", "sms"),
    ],
)
def test_nothing_is_decided_without_a_word_why(shell: Shell, command: tuple[str, ...], note: str) -> None:
    """An empty note is refused as over HTTP, before anything is written."""
    (listed,) = shell.json("disputes", "list")["deliveries"]
    fact = shell.json("disputes", "show", listed["message"], "0")["rivals"][0]["event_id"]
    (item,) = shell.json("lanes", "list")["items"]
    names = {"MESSAGE": listed["message"], "FACT": fact, "ITEM": item["item"]}
    with opened(load()) as s:
        before = s.ledger.head().size
    assert "say why" in shell.run(*(names.get(each, each) for each in command), "--note", note, code=2)
    with opened(load()) as s:
        assert before == s.ledger.head().size


@pytest.mark.parametrize("recipient", ["-1", "1", str(2**53), str(2**70)])
@pytest.mark.parametrize("command", ["status", "trail", "explain"])
def test_a_recipient_that_is_not_there_is_said_to_be_none(shell: Shell, command: str, recipient: str) -> None:
    """Also a number that no database holds; now, and as of then."""
    (listed,) = shell.json("disputes", "list")["deliveries"]
    asked = (command, listed["message"], "--recipient", recipient)
    assert f"has no recipient {recipient}" in shell.run(*asked, code=3)
    assert f"had no recipient {recipient}" in shell.run(*asked, "--position", str(listed["position"]), code=3)
    assert f"has no recipient {recipient}" in shell.run("disputes", "show", listed["message"], "--", recipient, code=3)
