"""The package about one person: everything of that person, nothing of anybody else, and on record before it is there."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from adapters.compliance import people
from adapters.compliance.people import Package, Request
from adapters.compliance.person_readme import WORDS
from adapters.evidence.originals import WITHHELD
from ledger.errors import ConfigurationError
from ledger.events import Event
from projections.queries import Filters
from tests.compliance.golden import OTHER, TENANT, Golden

ANNA = "anna@pec.uno.example"
GALLI, VERDI = "studio.galli@pec.ordine-esempio.example", "amministrazione@pec.verdi-esempio.example"


def exported(found: Golden, out: Path, address: str, tenant: str = TENANT, **asked: Any) -> Package:
    request = Request(tenant=tenant, address=address, **{"reason": "request 7 of the person", **asked})
    return people.export(found.world.queries, found.world.accounts, request, out)


def last_event(found: Golden) -> Event:
    return found.world.ledger.event(found.world.ledger.head().size)


def said(path: Path) -> Any:
    return json.loads(path.read_bytes())


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_everything_of_the_person_is_there(found: Golden, tmp_path: Path) -> None:
    """Statuses, trails with values, originals as they came, and who looked; a message in each folder, the newest first."""
    out = tmp_path / "anna"
    package = exported(found, out, ANNA.upper())
    assert (3, 3, 6, {}) == (len(package.messages), package.deliveries, package.originals, package.withheld)
    folders = [out / "messages" / f"{number:04}" for number in (1, 2, 3)]
    statuses = [said(folder / "status.json") for folder in folders]
    assert list(package.messages) == [each["message"] for each in statuses]
    assert [["case 100"]] * 3 == [each["labels"] for each in statuses]
    deliveries = [delivery for each in statuses for delivery in each["deliveries"]]
    assert [ANNA, "Anna@PEC.uno.example", ANNA] == [d["address"]["address"] for d in deliveries]
    assert [("delivered", "E4")] * 3 == [(d["status"], d["evidence"]["grade"]) for d in deliveries]
    trail = {entry["type"]: entry["values"] for entry in said(folders[2] / "trail.json")}
    assert "Notice 1" == trail["submission.requested"]["subject"]
    assert {"kind": "email", "address": ANNA} == trail["recipients.declared"]["recipient.0"]
    receipts = sorted((folders[2] / "receipts").iterdir())
    assert [b"accettazione", b"avvenuta-consegna"] == [_kind(receipt.read_bytes()) for receipt in receipts]
    looked = [(each["actor"], each["kind"], each["looks"]) for each in said(folders[0] / "access.json")]
    assert [("key_clerk", "access.message", 2), ("key_clerk", "access.original", 1)] == looked


def _kind(mail: bytes) -> bytes:
    """Value of the header field that says what kind of receipt it is."""
    return next(
        line.partition(b": ")[2].strip() for line in mail.splitlines() if line.lower().startswith(b"x-ricevuta")
    )


def test_originals_are_the_bytes_that_are_held(on_sqlite: Golden, tmp_path: Path) -> None:
    """Each original that is listed with a path lies there, byte for byte; each that stays out says why, in words."""
    exported(on_sqlite, tmp_path / "out", GALLI)
    listed = [(path.parent, each) for path in sorted(tmp_path.rglob("originals.json")) for each in said(path)]
    shown = [(folder / each["path"], each["artifact"]) for folder, each in listed if "path" in each]
    assert 7 == len(shown)
    for path, artifact in shown:
        assert on_sqlite.world.ledger.artifact(artifact).body == path.read_bytes()
    assert {("other_persons", WITHHELD["other_persons"])} == {
        (each["withheld"], each["why"]) for _, each in listed if "withheld" in each
    }


@pytest.mark.parametrize(("mine", "others"), [(GALLI, VERDI), (VERDI, GALLI)])
def test_nothing_of_other_people_is_there(found: Golden, tmp_path: Path, mine: str, others: str) -> None:
    """Two people had the same messages: the package of one does not name the other, in any file, in whatever form."""
    exported(found, tmp_path / "out", mine)
    for name, data in files(tmp_path / "out").items():
        assert others.partition("@")[0].encode() not in data.lower(), name
        assert others.partition("@")[2].encode() not in data.lower(), name
    assert any(mine.encode() in data for data in files(tmp_path / "out").values())


def test_manifest_names_every_file(on_sqlite: Golden, tmp_path: Path) -> None:
    """`sha256sum -c` finds each file as it was listed, and no file is left out of the list but the list."""
    out = tmp_path / "out"
    exported(on_sqlite, out, ANNA)
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=out, check=True)  # noqa: S607
    listed = [line.partition("  ")[2] for line in (out / "SHA256SUMS").read_text().splitlines()]
    assert sorted(files(out).keys() - {"SHA256SUMS"}) == listed


def test_export_is_on_record(found: Golden, tmp_path: Path) -> None:
    """One event names the messages and originals and commits to the reason and to the manifest; no address stands in it."""
    package = exported(found, tmp_path / "out", ANNA, actor="key_clerk")
    event = last_event(found)
    assert ("evidence.exported", "export.person", "key_clerk") == (
        event.type,
        event.fields["rule"],
        event.fields["actor"],
    )
    assert {"messages": 3, "recipients": 3, "originals": 6, "events": 25} == event.fields["numbers"]
    assert (list(package.messages), package.position) == (event.fields["streams"], event.fields["tree_size"])
    assert 6 == len(event.fields["artifacts"])
    sums = hashlib.sha256((tmp_path / "out/SHA256SUMS").read_bytes()).hexdigest()
    values = found.world.ledger.values([event])[event.position]
    assert {"note": "request 7 of the person", "manifest": sums} == values
    again = tmp_path / "again"
    found.world.runner.run()
    exported(found, again, ANNA)
    assert "export.person" in [each["kind"] for each in said(again / "messages/0001/access.json")]


def test_nothing_leaves_that_is_not_on_record(
    on_sqlite: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the event cannot be written there is no package, and no trace of one."""

    def refuse(*_: object, **__: object) -> int:
        raise OSError

    monkeypatch.setattr(type(on_sqlite.world.accounts), "record", refuse)
    before = on_sqlite.world.ledger.head().size
    with pytest.raises(OSError, match=r"^$"):
        exported(on_sqlite, tmp_path / "to" / "out", ANNA)
    assert [] == list((tmp_path / "to").iterdir())
    assert before == on_sqlite.world.ledger.head().size


@pytest.mark.parametrize("address", ["nobody@pec.uno.example", "+31600000000", "Nobody\nNowhere 1", "%", "a" * 900])
def test_person_whom_nobody_knows_has_an_honest_empty_package(on_sqlite: Golden, tmp_path: Path, address: str) -> None:
    """It says that nothing is held, and that it was asked is on record all the same."""
    package = exported(on_sqlite, tmp_path / "out", address)
    assert ((), 0, 0) == (package.messages, package.deliveries, package.originals)
    assert {"README.txt", "SHA256SUMS", "person.json"} == files(tmp_path / "out").keys()
    assert "Nothing is held under this address." in (tmp_path / "out/README.txt").read_text()
    event = last_event(on_sqlite)
    assert ("export.person", 0) == (event.fields["rule"], event.fields["numbers"]["messages"])
    assert "streams" not in event.fields


def test_another_organisation_holds_its_own(found: Golden, tmp_path: Path) -> None:
    """Both sent to the same person; each hands out its own messages only."""
    packages = [exported(found, tmp_path / tenant, GALLI, tenant) for tenant in (TENANT, OTHER)]
    assert [5, 2] == [len(package.messages) for package in packages]
    for package in packages:
        held = found.world.queries.search(package.tenant, Filters(recipient=GALLI)).deliveries
        assert [view.message for view in held] == list(package.messages)


@pytest.mark.parametrize("language", WORDS)
def test_readme_is_in_each_language(on_sqlite: Golden, tmp_path: Path, language: str) -> None:
    """It names the address, the counts, the position and root, and how many originals were left out and why; nothing is left unfilled."""
    package = exported(on_sqlite, tmp_path / "out", GALLI, language=language)
    text = (tmp_path / "out/README.txt").read_text()
    for each in (
        GALLI,
        str(package.position),
        package.root,
        "sha256sum -c SHA256SUMS",
        WORDS[language].reasons["other_persons"],
    ):
        assert each in text
    assert f"  - {package.withheld['other_persons']}: " in text
    assert "{" not in text
    assert WORDS[language].nothing not in text


def test_languages_say_the_same() -> None:
    """Every language has a sentence for every reason, names the same files, and none is another's text."""
    for words in WORDS.values():
        assert WITHHELD.keys() - {"not_chosen"} == words.reasons.keys()
        assert all(
            name in words.text for name in ("person.json", "status.json", "trail.json", "access.json", "SHA256SUMS")
        )
    assert len(WORDS) == len({words.text for words in WORDS.values()})


def test_what_is_wrong_with_the_asking_is_said_first(on_sqlite: Golden, tmp_path: Path) -> None:
    """No reason, no address, an unknown language, a folder that holds something: nothing is written and nothing recorded."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    before = on_sqlite.world.ledger.head().size
    for out, asked, named in (
        ("out", {"reason": "  "}, "--reason"),
        ("out", {"language": "fr"}, "'fr'"),
        ("full", {}, "is there already"),
        ("full/mine.txt", {}, "is there already"),
    ):
        with pytest.raises(ConfigurationError, match=named):
            exported(on_sqlite, tmp_path / out, ANNA, **asked)
    for nobody in ("", " \u3000"):
        with pytest.raises(ConfigurationError, match="everybody's"):
            exported(on_sqlite, tmp_path / "out", nobody)
    assert {"full/mine.txt": b"mine"} == {n: d for n, d in files(tmp_path).items() if n.startswith(("full", "out"))}
    assert before == on_sqlite.world.ledger.head().size
    (tmp_path / "empty").mkdir()
    assert 3 == exported(on_sqlite, tmp_path / "empty", ANNA).deliveries
    assert 0o700 == (tmp_path / "empty").stat().st_mode & 0o777


def test_progress_is_told_by_the_message(on_sqlite: Golden, tmp_path: Path) -> None:
    """Somebody with many messages takes a while; whoever waits sees how far it is."""
    told: list[int] = []
    request = Request(tenant=TENANT, address=GALLI, reason="asked for")
    people.export(
        on_sqlite.world.queries, on_sqlite.world.accounts, request, tmp_path / "out", lambda n, _: told.append(n)
    )
    assert [1, 2, 3, 4, 5] == told
