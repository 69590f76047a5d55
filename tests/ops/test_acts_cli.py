"""`acts` and `safeguards`, as a person types them; the second person comes over the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters import carrying
from adapters.acts import Act
from ops.settings import load
from ops.system import opened
from tests.ops.test_cli import Shell


@pytest.fixture
def shell(
    sqlite_database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    return Shell(tmp_path, sqlite_database.url, monkeypatch, capsys)


def _approved(act: str, actor: str = "key_other") -> Act:
    """What another person says over the API."""
    with opened(load()) as s:
        return carrying.approve(s.accounts, s.queries, s.settings.tenant, act, "checked", actor)


def test_nothing_is_demanded_until_it_is_set(shell: Shell) -> None:
    """What is not given stays as it is."""
    assert {"four_eyes": [], "reasons": [], "partial_search": False} == shell.json("safeguards", "show")
    shell.run("safeguards", "set", "--reason", "board", "--four-eyes", "hold.release", "--four-eyes", "erasure")
    shell.run("safeguards", "set", "--reason", "board", "--reasons", "evidence")
    expected = {"four_eyes": ["erasure", "hold.release"], "reasons": ["evidence"], "partial_search": False}
    assert expected == shell.json("safeguards", "show")
    shown = shell.run("safeguards", "show")
    assert "on  hold.release: releasing a legal hold" in shown
    assert "off retention" in shown
    assert "not allowed" in shown


@pytest.mark.parametrize(
    "arguments", [("--four-eyes", "everything"), ("--reasons", "none", "--reasons", "queries"), ("--reasons", "")]
)
def test_what_cannot_be_demanded_is_explained(shell: Shell, arguments: tuple[str, ...]) -> None:
    """With what there is; nothing is set."""
    assert "give any of" in shell.run("safeguards", "set", "--reason", "x", *arguments, code=2)
    assert [] == shell.json("safeguards", "show")["four_eyes"]


def test_loosening_waits_for_somebody_with_an_api_key(shell: Shell) -> None:
    """At the command line there is one person, whoever types."""
    shell.run("safeguards", "set", "--reason", "board", "--four-eyes", "erasure")
    assert "This takes two people here" in shell.run("safeguards", "set", "--reason", "enough", "--four-eyes", "none")
    (act,) = shell.json("acts", "list")
    assert ("safeguards", "waiting", "console", "enough") == tuple(
        act[name] for name in ("rule", "state", "asked_by", "reason")
    )
    assert "another person must" in shell.run("acts", "approve", act["act"], "--reason", "me again", code=1)
    assert "done" == _approved(act["act"]).state
    assert [] == shell.json("safeguards", "show")["four_eyes"]
    assert [] == shell.json("acts", "list")
    assert "decided" in shell.run("acts", "show", act["act"])


def test_release_of_a_hold_asked_here_is_declined_here(shell: Shell) -> None:
    """Withdrawn, the hold stands; asked for by another, it is agreed to here."""
    shell.run("safeguards", "set", "--reason", "board", "--four-eyes", "hold.release", "--four-eyes", "retention")
    hold = shell.json("holds", "place", "--label", "case 7", "--reason", "claim")["hold"]
    assert "This takes two people here" in shell.run("holds", "release", hold, "--reason", "settled")
    (act,) = shell.json("acts", "list")
    assert act["act"] in shell.run("acts", "list")
    assert "is declined" in shell.run("acts", "decline", act["act"], "--reason", "too early")
    assert "Nothing waits for a second person." in shell.run("acts", "list")
    assert ["declined"] == [each["state"] for each in shell.json("acts", "list", "--all")]
    assert [hold] == [each["hold"] for each in shell.json("holds", "list")]
    with opened(load()) as s:
        asked = carrying.release(s.accounts, s.queries, s.settings.tenant, hold, "settled", "key_other")
    assert isinstance(asked, Act)
    assert "is done" in shell.run("acts", "approve", asked.act, "--reason", "read the ruling")
    assert [] == shell.json("holds", "list")


def test_policy_waits_for_a_second_person(shell: Shell) -> None:
    """Set or removed; with a reason, which the second person reads."""
    shell.run("safeguards", "set", "--reason", "board", "--four-eyes", "retention")
    given = ("--provider", "kpn_sms", "--keep", "1y")
    assert "reason" in shell.run("retention", "set", *given, code=2)
    assert "This takes two people here" in shell.run("retention", "set", *given, "--reason", "new rules")
    assert [] == shell.json("retention", "list")
    (act,) = shell.json("acts", "list")
    _approved(act["act"])
    assert ["1y"] == [each["keep"] for each in shell.json("retention", "list")]
    removal = shell.json("retention", "remove", "--provider", "kpn_sms", "--reason", "old rules")
    assert ["1y"] == [each["keep"] for each in shell.json("retention", "list")]
    _approved(removal["act"])
    assert [] == shell.json("retention", "list")
