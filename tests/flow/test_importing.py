"""What people hand in from elsewhere: every container, every kind of damage, and what waits for a person afterwards."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import hmac
import io
import json
import mailbox
import zipfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters import quarantine, records, sources
from adapters.importing import Importer, Report
from adapters.providers import registry
from adapters.providers.contract import Operation, Provider
from adapters.receiving import vocabulary
from ledger.errors import NotFoundError
from ledger.events import Event, parse_time
from ledger.observations import Address, Arrival, ArrivalKind, Observation, Reference, UnreadableError
from ops.system import System
from projections.queries import Filters
from tests.adapters.conftest import opened_system
from tests.postgres import Database

TENANT = "acme"
KEY_ID, SECRET = "wk_1", b"secret of the account"
SENT_AT = datetime(2026, 3, 1, 9, tzinfo=UTC)
Put = Callable[..., Path]


@pytest.fixture
def system(database: Database, tmp_path: Path) -> Iterator[System]:
    """An opened ledger on each kind of database."""
    with opened_system(database, tmp_path) as found:
        yield found


@pytest.fixture
def sqlite_system(sqlite_database: Database, tmp_path: Path) -> Iterator[System]:
    """For rules that have nothing to do with the database."""
    with opened_system(sqlite_database, tmp_path) as found:
        yield found


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Writes a file below the folder that is imported."""

    def write(name: str, body: bytes) -> Path:
        path = tmp_path / "inputs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return path

    return write


def importer(system: System, **more: Any) -> Importer:
    return Importer(system.ledger, system.intake, system.accounts, system.quarantine, TENANT, **more)


def imported(system: System, *paths: Path, **more: Any) -> Report:
    report = importer(system, **more).run(paths)
    system.runner.run()
    return report


def answer(document_id: str, **more: Any) -> bytes:
    """What KPN SMS answers to a send call (SwaggerHub `SMS - KPN` 1.0.6)."""
    return json.dumps({"document_id": document_id, "status": "OK", **more}).encode()


def receipt(number: int, to: str = "comune@pec.bosco.example", subject: str = "Avviso") -> bytes:
    """A delivery receipt of certified e-mail (RFC 6109, section 4.3 and 4.4)."""
    return f"""X-Ricevuta: avvenuta-consegna
Message-ID: <bosco.{number}@pec.bosco.example>
Content-Type: application/xml; name="daticert.xml"

<postacert tipo="avvenuta-consegna" errore="nessuno">
  <intestazione>
    <mittente>ufficio@pec.riva.example</mittente>
    <destinatari tipo="certificato">{to}</destinatari>
    <risposte>ufficio@pec.riva.example</risposte>
    <oggetto>{subject}</oggetto>
  </intestazione>
  <dati>
    <gestore-emittente>Bosco PEC</gestore-emittente>
    <data zona="+0100"><giorno>02/03/2026</giorno><ora>10:15:31</ora></data>
    <identificativo>riva.{number}@pec.riva.example</identificativo>
    <msgid>&lt;avviso-{number}@riva.example&gt;</msgid>
    <ricevuta tipo="breve"/>
    <consegna>{to}</consegna>
  </dati>
</postacert>
""".encode()


def dlr(number: str, document_id: str = "doc-1", status: int = 1) -> bytes:
    """A delivery report of KPN SMS (SwaggerHub `SMS - KPN` 1.0.6)."""
    body = {"DLRID": document_id, "RecipientPhonenumber": number, "Status": status, "StatusDateTime": 1772355600}
    return json.dumps(body).encode()


def webhook(body: bytes, *, secret: bytes = SECRET, at: datetime = SENT_AT) -> Arrival:
    """A delivery report as it was recorded elsewhere, signed (SwaggerHub `Webhook Signing Keys - KPN` 4.0.0)."""
    return Arrival(
        provider="kpn_sms",
        account="sms",
        operation="webhook.dlr",
        kind=ArrivalKind.WEBHOOK,
        observed_at=at,
        headers={
            "x-kpn-webhook-signature": hmac.new(secret, body, hashlib.sha256).hexdigest(),
            "x-kpn-webhook-timestamp": str(int(at.timestamp())),
            "x-kpn-webhook-key-id": KEY_ID,
        },
        body=body,
    )


def lines(*arrivals: Arrival) -> bytes:
    return b"\n".join(records.encode(arrival) for arrival in arrivals) + b"\n"


def zipped(bodies: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in bodies.items():
            archive.writestr(name, body)
    return file.getvalue()


def sends(*rows: Mapping[str, str]) -> bytes:
    """A CSV of past sends."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, columns)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def send(**more: str) -> dict[str, str]:
    row = {"account": "sms", "provider": "kpn_sms", "recipient": "0612340001", "sent_at": "2026-03-01T10:00:00+01:00"}
    return {**row, **more}


def events(system: System, *types: str) -> list[Event]:
    return [event for event in system.ledger.feed(0, 10_000) if event.type in types]


def states(system: System) -> dict[str, int]:
    """Deliveries by status."""
    found = [delivery.status for delivery in system.queries.search(TENANT, Filters(), limit=500).deliveries]
    return {status: found.count(status) for status in sorted(set(found))}


# --- containers


def everything(put: Put) -> Path:
    """One folder with every container that is read, and one file that is not."""
    folder = put("receipts/1.eml", receipt(1)).parents[1]
    put("answer.json", answer("doc-1"))
    put("more.zip", zipped({"2.eml": receipt(2), "b/answer.json": answer("doc-2"), "readme.txt": b"see 2.eml"}))
    put("records.ndjson", lines(*(webhook(dlr(f"3161234000{i}", "doc-1")) for i in (1, 2))))
    put("past.csv", sends(send(), send(recipient="0612340002")))
    put("notes.txt", b"not read")
    box = mailbox.mbox(folder / "box.mbox")
    box.add(receipt(3))
    box.add(receipt(4))
    box.close()
    mails = mailbox.Maildir(folder / "mails")
    mails.add(receipt(5))
    mails.close()
    return folder


def test_every_container_is_read_and_what_is_not_read_is_named(system: System, put: Put) -> None:
    """Folders, archives, mailboxes, records and tables give what they hold; other files are listed, not dropped silently."""
    folder = everything(put)
    system.accounts.add(TENANT, "sms", "kpn_sms")
    system.accounts.add_secret(TENANT, "sms", KEY_ID, SECRET)
    report = imported(system, folder)
    assert [] == report.problems
    assert [f"{folder}/more.zip!readme.txt", f"{folder}/notes.txt"] == sorted(report.skipped)
    assert (11, 0, 2) == (report.new, report.seen, report.registered)
    assert 5 == len(events(system, "content.consigned")) - 2  # two of them are reports of SMS
    assert [] == system.queries.lanes(TENANT)
    assert [] == system.runner.unapplied()


def test_a_second_import_changes_nothing_and_says_so(system: System, put: Put) -> None:
    """What is held already is seen, whether it was admitted, waits in a lane, or lies in the quarantine."""
    folder = everything(put)
    put("strange.json", b'{"nobody": "knows this"}')
    first = imported(system, folder)
    size, kept = system.ledger.head().size, len(system.quarantine.list(TENANT))
    assert (2, 2, 1) == (first.quarantined, kept, first.unreadable)
    again = imported(system, folder)
    assert (0, 0, 0) == (again.new, again.facts, again.quarantined)
    assert first.new + first.quarantined == again.seen
    assert (size, kept) == (system.ledger.head().size, len(system.quarantine.list(TENANT)))


def test_an_interrupted_import_continues(system: System, put: Put) -> None:
    """What was committed before is seen the second time, the rest is new; nothing is there twice."""
    for number in range(6):
        put(f"{number}.eml", receipt(number))
    folder = put("past.csv", sends(send())).parent
    calls: list[int] = []

    def stop_at_the_end(done: int, total: int) -> None:
        calls.append(done)
        if done == total:
            raise KeyboardInterrupt

    def stop_half_way(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    for stop in (stop_half_way, stop_at_the_end):
        with pytest.raises(KeyboardInterrupt):
            importer(system).run([folder], stop)
    assert list(range(8)) == calls
    report = imported(system, folder)
    assert (0, 7) == (report.new, report.seen)
    assert {"delivered": 6, "pending": 1} == states(system)


def test_a_bare_file_of_an_account_at_another_provider_is_reported(sqlite_system: System, put: Put) -> None:
    """Nothing of one provider is filed under an account at another one."""
    sqlite_system.accounts.add(TENANT, "mine", "kpn_sms")
    report = imported(sqlite_system, put("1.eml", receipt(1)), account="mine")
    assert 1 == len(report.problems)
    assert "account 'mine' is at kpn_sms, this is of pec_mailbox" in report.problems[0]
    assert [] == events(sqlite_system, "content.consigned")


# --- damage


def test_a_bad_line_is_reported_by_file_and_line_and_hurts_only_itself(sqlite_system: System, put: Put) -> None:
    """Lines before and after it are admitted."""
    good = records.encode(dataclasses.replace(webhook(answer("doc-1")), operation="send", kind=ArrivalKind.API))
    bad = [b"{", b"[]", b'{"account": "sms"}', b"\xff\xfe", good[:-1] + b', "x": 1}']
    path = put("r.ndjson", b"\n".join([good, *bad, b"", good.replace(b"doc-1", b"doc-2")]))
    report = imported(sqlite_system, path)
    assert [f"{path}:{line}" for line in (2, 3, 4, 5, 6)] == [p.partition(": ")[0] for p in report.problems]
    assert 2 == report.new


BAD_ROWS = {
    "no recipient": send(recipient=" "),
    "only separators": send(recipient=" ; "),
    "no such kind of recipient": send(recipient_kind="pigeon"),
    "no time": send(sent_at="yesterday"),
    "no zone": send(sent_at="2026-03-01T10:00:00"),
    "before the first year": send(sent_at="0001-01-01T00:00:00+05:00"),
    "no such provider": send(account="x", provider="carrier pigeons"),
    "account of another provider": send(provider="ekopost"),
    "no account's name": send(account="S M S"),
    "reference without kind": send(reference="4711"),
    "not a digest": send(sha256="abc"),
}


@pytest.mark.parametrize("row", BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_is_reported_by_file_and_line_and_hurts_only_itself(
    sqlite_system: System, put: Put, row: dict[str, str]
) -> None:
    """The rows around it become sends."""
    path = put("past.csv", sends({**dict.fromkeys(BAD_ROWS_COLUMNS, ""), **send()}, row, send(recipient="0612340009")))
    report = imported(sqlite_system, path)
    assert [f"{path}:3"] == [p.partition(": ")[0] for p in report.problems]
    assert 2 == report.registered
    assert {"pending": 2} == states(sqlite_system)


BAD_ROWS_COLUMNS = ("recipient_kind", "reference", "sha256")
HEADER = b"account,provider,recipient,sent_at,subject\r\n"
ROW = b"sms,kpn_sms,%b,2026-03-01T10:00:00Z,%b\r\n"


@pytest.mark.parametrize(
    "bad",
    [
        ROW % (b"0612340002", b"caf\xe9"),
        b'sms,kpn_sms,0612340002,2026-03-01T10:00:00Z,"a"b\r\n',
        b"sms,kpn_sms\r\n",
        b"sms,kpn_sms,1,2,3,4,5\r\n",
        ROW % (b"0612340002", b"x" * 200_000),
    ],
    ids=["not UTF-8", "stray quote", "too short", "too long", "huge cell"],
)
def test_a_row_that_is_no_row_hurts_only_itself(sqlite_system: System, put: Put, bad: bytes) -> None:
    """Sends before and behind a damaged row are registered, and the damage is named by its line."""
    path = put("past.csv", HEADER + ROW % (b"0612340001", b"a") + bad + ROW % (b"0612340003", b"b"))
    report = imported(sqlite_system, path)
    assert [f"{path}:3"] == [p.partition(": ")[0] for p in report.problems]
    assert 2 == report.registered


def test_a_table_with_other_columns_is_refused_as_a_whole(sqlite_system: System, put: Put) -> None:
    """A header that is not understood means nothing below it is."""
    path = put("past.csv", b"account,recipient,when\nsms,0612340001,2026-03-01\n")
    report = imported(sqlite_system, path)
    assert 1 == len(report.problems)
    assert report.problems[0].startswith(f"{path}:1: unknown column 'when'; column 'sent_at' is missing")
    assert 0 == report.registered


def test_two_spellings_of_one_recipient_are_one_delivery(system: System, put: Put) -> None:
    """06…, +316… and 0031… are one number; the first spelling is shown."""
    report = imported(system, put("past.csv", sends(send(recipient="0612340001; +31612340001;0031 6 12340001"))))
    assert [] == report.problems
    (delivery,) = system.queries.search(TENANT, Filters(recipient="+31612340001")).deliveries
    assert {"pending": 1} == states(system)
    assert 1 == len(system.queries.message(TENANT, delivery.message).deliveries)


def test_an_entry_that_expands_beyond_the_limit_is_reported_and_the_others_are_read(
    sqlite_system: System, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small archive cannot fill the memory."""
    monkeypatch.setattr(sources, "MAX_ARTIFACT_BYTES", 100_000)
    path = put("bomb.zip", zipped({"0.json": b"0" * 5_000_000, "1.eml": receipt(1)}))
    assert path.stat().st_size < 10_000
    report = imported(sqlite_system, path)
    assert [f"{path}!0.json: 100001 bytes; at most 100000 are kept as one original"] == report.problems
    assert 1 == report.new


def _encrypted(body: bytes) -> bytes:
    """The same archive with its entries marked as encrypted."""
    marked = bytearray(body)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        marked[body.index(signature) + offset] |= 1
    return bytes(marked)


def _damaged(body: bytes) -> bytes:
    """The same archive with other compressed bytes in its first entry."""
    start = body.index(b"1.eml") + 5
    return body[:start] + b"\xff" * 40 + body[start + 40 :]


@pytest.mark.parametrize(
    ("break_it", "name", "new"),
    [
        (_encrypted, "!1.eml", 1),
        (_damaged, "!1.eml", 1),
        (lambda body: body[:-30], "", 0),
        (lambda body: b"PK", "", 0),
        (lambda body: b"", "", 0),
    ],
    ids=["encrypted", "damaged", "truncated", "torn", "empty"],
)
def test_a_broken_archive_is_reported_and_the_rest_is_read(
    sqlite_system: System, put: Put, break_it: Callable[[bytes], bytes], name: str, new: int
) -> None:
    """An entry that cannot be read hurts only itself, an archive that cannot be opened only itself."""
    path = put("a.zip", break_it(zipped({"1.eml": receipt(1), "2.eml": receipt(2)})))
    put("z.eml", receipt(3))
    report = imported(sqlite_system, path.parent)
    assert [f"{path}{name}"] == [p.partition(": ")[0] for p in report.problems]
    assert new + 1 == report.new


def test_a_damaged_mbox_gives_what_it_has(sqlite_system: System, put: Put) -> None:
    """A mail that is cut off waits as unreadable; the whole one before it is admitted."""
    mails = b"".join(b"From x Mon Mar  2 10:00:00 2026\n" + receipt(i) + b"\n" for i in (1, 2))
    report = imported(sqlite_system, put("box.mbox", mails[: -len(receipt(2)) // 2]))
    assert ([], 2, 1, 1) == (report.problems, report.new, report.facts, report.unreadable)


@pytest.mark.parametrize("body", [b"no mails at all\n", receipt(1), b"\0" * 1000], ids=["text", "no From", "zeros"])
def test_an_mbox_that_is_none_is_reported(sqlite_system: System, put: Put, body: bytes) -> None:
    """Bytes in which no mail is found are not passed over in silence."""
    path = put("box.mbox", body)
    report = imported(sqlite_system, path)
    assert [f"{path}"] == [p.partition(": ")[0] for p in report.problems]


def test_a_path_that_is_not_there_is_reported(sqlite_system: System, tmp_path: Path) -> None:
    """A wrong name on the command line ends nothing else."""
    report = imported(sqlite_system, tmp_path / "nowhere.json", tmp_path / "nowhere.zip", tmp_path / "nowhere.mbox")
    assert 3 == len(report.problems)


# --- hostile contents


@pytest.mark.parametrize(
    "subject", ["zero \0 byte", "half a \ud83d smile", "long " * 200_000], ids=["U+0000", "surrogate", "1 MB"]
)
def test_a_hostile_text_is_stored_and_stops_no_read_model(system: System, put: Put, subject: str) -> None:
    """The text is repaired or cut, the original kept whole."""
    request = json.dumps({"messages": [{"content": subject, "mobile_number": "0612340001"}], "sender": subject})
    sent = dataclasses.replace(
        webhook(answer("doc-1")),
        operation="send",
        kind=ArrivalKind.POLL,
        status=200,
        request=request.encode(),
        headers={},
    )
    report = imported(system, put("r.ndjson", lines(sent)))
    assert ([], 1, 0) == (report.problems, report.new, report.unreadable)
    assert [] == system.runner.unapplied()
    assert {"accepted": 1} == states(system)
    (accepted,) = events(system, "submission.accepted")
    assert request.encode() in [system.ledger.artifact(i).body for i in accepted.fields["artifacts"]]
    assert 0 == len(system.ledger.feed(system.queries.position(), 1))


def test_a_body_of_30_mb_is_kept(sqlite_system: System, put: Put) -> None:
    """It is read like any other and comes back byte for byte."""
    body = answer("doc-1", padding="x" * 30_000_000)
    report = imported(sqlite_system, put("large.json", body))
    assert ([], 1) == (report.problems, report.new)
    (event,) = (e for e in sqlite_system.ledger.feed(0, 100) if e.fields.get("artifacts"))
    assert body == sqlite_system.ledger.artifact(event.fields["artifacts"][0]).body


# --- lanes


class Tortoise:
    """A provider that this version comes to know later."""

    def parse(self, arrival: Arrival) -> tuple[Observation, ...]:
        body = json.loads(arrival.body)
        if body.get("shell") is None:
            msg = "no shell"
            raise UnreadableError(msg)
        address = Address("other", body["to"])
        return (
            Observation(
                type="content.consigned",
                references=(Reference("shell", body["shell"]),),
                about="recipient",
                recipient=address,
                declares=(address,),
            ),
        )

    def recognise(self, name: str, body: bytes) -> str:
        return "report" if b"shell" in body else ""

    def provider(self) -> Provider:
        return Provider(
            name="tortoise",
            title="Tortoise Post",
            channel="post",
            mapping="tortoise/1",
            documentation="none",
            relied_on="the shell",
            operations=(Operation("report", "mailbox", "used", "what arrived", "A"),),
            tables={},
            parse=self.parse,
            recognise=self.recognise,
        )


def test_a_file_nobody_knows_waits_until_a_provider_learns_it(
    system: System, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading again with today's code makes a fact of the stored original, and the item is settled with a note."""
    body = b'{"shell": "s-1", "to": "Achilles"}'
    report = imported(system, put("strange.json", body))
    assert (1, 1, 0) == (report.new, report.unreadable, report.facts)
    (item,) = system.queries.lanes(TENANT)
    assert ("unreadable", "unknown", "import") == (item.lane, item.provider, item.account)
    monkeypatch.setitem(registry(), "tortoise", Tortoise().provider())
    monkeypatch.setattr(system.ledger, "vocabulary", vocabulary())
    outcome = system.lanes.retry(TENANT, item.item, "we know tortoises now", "mara")
    system.runner.run()
    assert 1 == len(outcome.facts)
    assert {"delivered": 1} == states(system)
    (fact,) = events(system, "content.consigned")
    assert ("tortoise", list(item.artifacts)) == (fact.fields["provider"], fact.fields["artifacts"])
    _assert_settled(system, "lane.retried", item.item, "we know tortoises now")


def _assert_settled(system: System, kind: str, item: str, note: str) -> None:
    (act,) = events(system, kind)
    assert ([item], {"note": note}) == (act.fields["events"], system.ledger.values([act])[act.position])
    assert [] == system.queries.lanes(TENANT)
    assert kind.removeprefix("lane.") == system.queries.lanes(TENANT, "", item)[0].state


def test_what_is_dismissed_is_kept_and_told_why(system: System, put: Put) -> None:
    """A person says that nothing is needed; the act and its note are in the log, the bytes stay."""
    imported(system, put("strange.json", b'{"who": "knows"}'))
    (item,) = system.queries.lanes(TENANT)
    system.lanes.dismiss(TENANT, item.item, "a test file", "mara")
    system.runner.run()
    _assert_settled(system, "lane.dismissed", item.item, "a test file")
    assert b'{"who": "knows"}' == system.ledger.artifact(item.artifacts[0]).body


def _unmatched(system: System, put: Put, *statuses: int) -> str:
    """Reports that name no send, in the lane of the unmatched; returns the message of a send they may belong to."""
    system.accounts.add(TENANT, "sms", "kpn_sms")
    system.accounts.add_secret(TENANT, "sms", KEY_ID, SECRET)
    bodies = [json.dumps({"RecipientPhonenumber": "0612340001", "Status": status}).encode() for status in statuses]
    report = imported(system, put("past.csv", sends(send())), put("r.ndjson", lines(*map(webhook, bodies))))
    assert ([], len(statuses)) == (report.problems, report.unmatched)
    return system.queries.search(TENANT, Filters()).deliveries[0].message


def test_a_claimed_item_belongs_to_the_message_that_the_person_names(system: System, put: Put) -> None:
    """The fact counts for that message, and the act with its note is in the log."""
    message = _unmatched(system, put, 1)
    (item,) = system.queries.lanes(TENANT)
    with pytest.raises(NotFoundError):
        system.lanes.claim("somebody else", item.item, message, "mine")
    system.lanes.claim(TENANT, item.item, message, "the customer confirmed it", "mara")
    system.runner.run()
    assert {"delivered": 1} == states(system)
    _assert_settled(system, "lane.claimed", item.item, "the customer confirmed it")


# --- quarantine


def _recorded(system: System, put: Put, *arrivals: Arrival) -> Report:
    """Import recorded webhooks into an account whose keys are not here yet."""
    system.accounts.add(TENANT, "sms", "kpn_sms")
    return imported(system, put("r.ndjson", lines(*arrivals)))


def test_a_webhook_whose_key_is_missing_waits_and_is_admitted_when_the_key_is_there(system: System, put: Put) -> None:
    """It keeps the time it came; what an ill signature came with goes on waiting, outside the log."""
    before = system.ledger.clock()
    forged = webhook(dlr("31612340002"), secret=b"another")
    report = _recorded(system, put, webhook(dlr("31612340001")), forged)
    assert (0, 2) == (report.new, report.quarantined)
    assert 2 == len(system.quarantine.list(TENANT, "sms"))
    assert [] == system.quarantine.verify_again(TENANT, "sms", system.ledger.clock())
    assert [] == events(system, "content.consigned", "webhook.admitted")
    system.accounts.add_secret(TENANT, "sms", KEY_ID, SECRET)
    (outcome,) = system.quarantine.verify_again(TENANT, "sms", system.ledger.clock())
    system.runner.run()
    (fact,) = events(system, "content.consigned")
    (act,) = events(system, "webhook.admitted")
    assert [fact.id] == outcome.facts == act.fields["events"]
    assert ("verified", KEY_ID) == (fact.fields["verdict"], fact.fields["key_id"])
    assert SENT_AT == parse_time(fact.fields["observed_at"])
    assert before <= parse_time(fact.fields["recorded_at"])
    (left,) = system.quarantine.list(TENANT, "sms")
    assert [] == system.quarantine.verify_again(TENANT, "sms", system.ledger.clock())
    assert [left] == system.quarantine.list(TENANT, "sms")
    assert {"delivered": 1} == states(system)


def _in_quarantine(system: System) -> list[int]:
    """Sizes of what is kept for the account, newest first."""
    return [each.body_bytes for each in system.quarantine.list(TENANT, "sms")]


def test_the_quarantine_of_an_account_is_bounded_in_bytes(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first; one that is too large alone is only counted; other accounts are left alone."""
    monkeypatch.setattr(quarantine, "MAX_BYTES", 1_000)
    monkeypatch.setattr(quarantine, "MAX_BODY_BYTES", 600)
    system.quarantine.keep(TENANT, dataclasses.replace(webhook(b"x" * 590), account="other"), "why")
    for minute, size in enumerate((500, 400, 300, 601, 200)):
        system.quarantine.keep(TENANT, webhook(b"x" * size, at=SENT_AT + timedelta(minutes=minute)), "why")
    assert [200, 300, 400] == _in_quarantine(system)
    assert 1 == len(system.quarantine.list(TENANT, "other"))


def test_the_quarantine_of_an_account_is_bounded_in_days(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Days count from when it was kept, so that what is imported late is not gone at once."""
    now = SENT_AT + timedelta(days=100)
    monkeypatch.setattr(system.ledger, "clock", lambda: now)
    system.quarantine.keep(TENANT, webhook(b"first"), "why")
    assert [5] == _in_quarantine(system)
    now += timedelta(days=quarantine.MAX_DAYS - 1)
    system.quarantine.keep(TENANT, webhook(b"second", at=now), "why")
    assert [6, 5] == _in_quarantine(system)
    now += timedelta(days=2)
    system.quarantine.keep(TENANT, webhook(b"the third", at=now), "why")
    assert [9, 6] == _in_quarantine(system)
    now += timedelta(days=quarantine.MAX_DAYS + 1)
    system.quarantine.flush_counts()
    assert [] == _in_quarantine(system)


def test_refused_webhooks_are_counted_by_the_hour(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """One event per account and finished hour; the hour that is going on waits until it is over or we stop."""
    now = datetime(2026, 3, 1, 9, 58, tzinfo=UTC)
    monkeypatch.setattr(system.ledger, "clock", lambda: now)
    for number in range(3):
        system.quarantine.keep(TENANT, webhook(b"%d" % number), "why")
    assert 0 == system.quarantine.flush_counts()
    now += timedelta(minutes=5)
    system.quarantine.keep(TENANT, webhook(b"another hour"), "why")
    assert 1 == system.quarantine.flush_counts()
    assert 1 == system.quarantine.flush_counts(everything=True)
    assert 0 == system.quarantine.flush_counts(everything=True)
    counted = [(e.fields["occurred_at"][:13], e.fields["numbers"]) for e in events(system, "webhook.received")]
    assert [("2026-03-01T09", {"refused": 3}), ("2026-03-01T10", {"refused": 1})] == counted


def test_a_claim_moves_the_one_item_that_was_claimed(system: System, put: Put) -> None:
    """Of an arrival that tells of two sends, the other goes on waiting for its own message."""
    rows = "".join(
        f'<biljet ontvanger="{who}@post.example"><statussen><status statuscode="95"/></statussen></biljet>'
        for who in ("bo", "cor")
    )
    registered = send(account="kpn_registered_email", provider="kpn_registered_email", recipient="ans@post.example")
    path = put("biljet.xml", f"<biljetten>{rows}</biljetten>".encode())
    report = imported(system, put("past.csv", sends(registered)), path)
    assert ([], 1) == (report.problems, report.unmatched)
    message = system.queries.search(TENANT, Filters()).deliveries[0].message
    first, second = system.queries.lanes(TENANT)
    system.lanes.claim(TENANT, first.item, message, "ours")
    system.runner.run()
    assert [second.item] == [item.item for item in system.queries.lanes(TENANT)]
    assert 1 == len(events(system, "notice.issued"))
