"""What a pack holds, what it leaves out, and that it is a function of what was asked for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.evidence import pack as packing
from adapters.evidence import presenting, report, seal, verify
from adapters.evidence.pack import Ask, Draft, Pack, build
from adapters.evidence.verify import EXIT_VOUCHED, MANIFEST, SEAL, Trust
from adapters.receiving import read
from adapters.stamping import checkpoint_subject
from ledger.errors import ConfigurationError, NotFoundError
from ledger.observations import Address, Arrival, ArrivalKind, Reference
from ledger.streams import Registration
from ops.system import System
from tests.adapters.authorities import Answering, openssl
from tests.evidence.packs import (
    ACCEPTED,
    ANNA,
    BRUNO,
    CARLA,
    MSGID,
    TENANT,
    TO_ANNA,
    TO_BRUNO,
    TO_CARLA,
    a_ledger,
    desk,
    forged,
    hand_in,
    members_of,
    message_of,
    receipt,
    written,
)
from tests.postgres import Database


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with a_ledger(tmp_path) as found:
        yield found


@pytest.fixture
def told(system: System, tmp_path: Path) -> System:
    """A ledger in which the story of three recipients stands."""
    hand_in(system, tmp_path, ACCEPTED, TO_ANNA, TO_BRUNO, TO_CARLA)
    return system


def issued(system: System, message: str = "", at: int | None = None, **asked: Any) -> Pack:
    return desk(system).issue(Ask(tenant=TENANT, message=message or message_of(system), **asked), at)


def artifacts(pack: Pack) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(members_of(pack.data)["artifacts.json"])
    return found


def assert_verifies(system: System, pack: Pack, folder: Path) -> None:
    trust = Trust(keys=[verify.parse_key(key.vkey()) for key in system.identity.keys])
    found = verify.verify(written(folder, members_of(pack.data)), trust)
    assert EXIT_VOUCHED == found.exit_code, found.verdict


# --- the same bytes again


def test_the_same_question_gives_the_same_bytes(told: System) -> None:
    """A pack without seal is equal byte for byte, though its export was recorded in between."""
    first = issued(told)
    size = first.draft.head.checkpoint.size
    assert told.ledger.head().size > size
    assert first.data == issued(told, at=size).data
    assert first.data != issued(told).data


def test_a_pack_at_an_older_size_equals_the_one_made_then(tmp_path: Path, database: Database) -> None:
    """What came later, joinings and other receipts included, does not reach back; on both databases."""
    with a_ledger(tmp_path, database.url) as system:
        hand_in(system, tmp_path, ACCEPTED, TO_ANNA)
        message = message_of(system)
        then = build(system.ledger, ask(message), system.signed_head(), system.log_keys)
        recipient = build(system.ledger, ask(message, recipients=(1,)), system.signed_head(), system.log_keys)
        size = then.draft.head.checkpoint.size
        hand_in(system, tmp_path, TO_BRUNO, TO_CARLA)
        registration = Registration(
            account="pec_mailbox",
            provider="pec_mailbox",
            recipients=(Address("email", ANNA), Address("email", BRUNO)),
            references=(Reference("msgid", MSGID),),
        )
        into = system.intake.register(TENANT, registration, {"arrival": "api"}).message
        system.runner.run()
        assert then.data == issued(system, message, at=size).data
        assert recipient.data == issued(system, message, at=size, recipients=(1,)).data
        later = issued(system, message)
        assert (into, {message, into}) == (
            later.draft.trail.message,
            {message, into} & later.draft.trail.streams.keys(),
        )
        assert_verifies(system, later, tmp_path)
        for each in (then, recipient):
            assert_verifies(system, each, tmp_path)


def ask(message: str, **asked: Any) -> Ask:
    return Ask(tenant=TENANT, message=message, **asked)


def test_only_signatures_differ_between_two_sealed_packs(told: System, tmp_path: Path) -> None:
    """The report's text is the same; its signature, the list of digests and the seal over it are made anew."""
    sealed = presenting.finish(seal.load_or_create(tmp_path / "keys"))
    first = desk(told, sealed).issue(ask(message_of(told)))
    again = desk(told, sealed).issue(ask(message_of(told)), first.draft.head.checkpoint.size)
    one, two = members_of(first.data), members_of(again.data)
    assert one.keys() == two.keys()
    assert {n for n in one if one[n] != two[n]} <= {"report.pdf", "SHA256SUMS", MANIFEST, SEAL}
    pdfs = [report.render(presenting.story(each.draft), "en") for each in (first, again)]
    assert pdfs[0] == pdfs[1]
    assert one["report.pdf"].startswith(pdfs[0])


def test_a_size_that_was_never_signed_is_refused_and_the_nearest_are_named(told: System) -> None:
    """A head is not signed after the fact for whoever asks."""
    first = issued(told).draft.head.checkpoint.size
    with pytest.raises(NotFoundError, match=f"no head of {first - 1} events was signed; the nearest sizes are {first}"):
        issued(told, at=first - 1)


# --- who may see what


def test_another_tenants_message_is_not_there(told: System) -> None:
    """Not even its existence is told."""
    message = message_of(told)
    with pytest.raises(NotFoundError, match=f"there is no message {message}"):
        desk(told).issue(Ask(tenant="other", message=message))
    with pytest.raises(NotFoundError, match="there is no message"):
        issued(told, message=f"{message}/0")
    with pytest.raises(NotFoundError, match="has no recipient 7"):
        issued(told, recipients=(7,))


@pytest.mark.parametrize(
    ("chosen", "shown", "hidden"), [(0, ANNA, (BRUNO, CARLA)), (1, BRUNO, (ANNA, CARLA)), (2, CARLA, (ANNA, BRUNO))]
)
def test_a_redacted_pack_holds_nothing_of_the_others(
    told: System, tmp_path: Path, chosen: int, shown: str, hidden: tuple[str, ...]
) -> None:
    """Neither an address nor its parts stand anywhere in it, in no member and not in what the report is made from."""
    pack = desk(told, presenting.finish(seal.load_or_create(tmp_path / "keys"))).issue(
        ask(message_of(told), recipients=(chosen,))
    )
    everything = pack.data.lower() + json.dumps(presenting.story(pack.draft), default=str).lower().encode()
    assert shown.encode() in pack.data
    for address in hidden:
        for part in (address, *address.split("@")):
            assert part.encode() not in everything, part
    assert_verifies(told, pack, tmp_path)


def test_an_original_that_names_another_is_listed_with_its_commitment_and_what_it_shows(told: System) -> None:
    """It can be neither redacted nor passed over: what it was, and for whom it counts, stays visible."""
    by_event = {entry["event"]: entry for entry in artifacts(issued(told, recipients=(1,)))}
    assert {"other_persons"} == {entry["withheld"] for entry in by_event.values()}
    events = {
        n: json.loads(d) for n, d in members_of(issued(told, recipients=(1,)).data).items() if n.startswith("events/")
    }
    for number, entry in by_event.items():
        event = events[f"events/{number}.json"]
        assert event["commit"]["artifact.0"] == entry["commitment"]
        assert ("receipt", "body", "path" in entry) == (entry["kind"], entry["role"], False)
    assert {"type": "content.consigned", "code": "avvenuta-consegna"}.items() <= by_event["0003"]["shows"][0].items()


def test_an_original_that_names_only_the_chosen_one_is_handed_out(told: System) -> None:
    """Anna's own receipt names nobody else."""
    kept = [entry for entry in artifacts(issued(told, recipients=(0,))) if "path" in entry]
    assert ["receipts/0003-receipt-body.eml"] == [entry["path"] for entry in kept]
    assert TO_ANNA == members_of(issued(told, recipients=(0,)).data)["receipts/0003-receipt-body.eml"]


def test_originals_that_name_others_leave_only_with_a_reason_that_is_recorded(told: System, tmp_path: Path) -> None:
    """The reason stands, sealed, in the account's stream; the rule that says so stands in the clear."""
    with pytest.raises(ConfigurationError, match="only with a reason"):
        issued(told, recipients=(1,), include_shared=True)
    pack = issued(told, recipients=(1,), include_shared=True, reason="ordered by the court")
    assert [TO_BRUNO] == [d for n, d in members_of(pack.data).items() if n.startswith("receipts/0003")]
    assert_verifies(told, pack, tmp_path)
    event = told.ledger.event(told.ledger.head().size)
    assert ("evidence.exported", "export.shared") == (event.type, event.fields["rule"])
    assert "ordered by the court" == told.ledger.values([event])[event.position]["note"]


@pytest.mark.parametrize(
    ("fields", "words"), [(("subject",), {"subject"}), (("reference.0", "sender"), {"reference.0", "sender"})]
)
def test_only_the_chosen_fields_are_shown(
    told: System, tmp_path: Path, fields: tuple[str, ...], words: set[str]
) -> None:
    """And the originals, which show everything, only when they are asked for."""
    pack = issued(told, fields=fields)
    shown = json.loads(members_of(pack.data)["disclosures.json"])["events"]
    assert words == {path for said in shown.values() for path in said}
    assert {"not_chosen"} == {entry.get("withheld") for entry in artifacts(pack)}
    assert_verifies(told, pack, tmp_path)
    assert all("path" in entry for entry in artifacts(issued(told, fields=("artifact",))))


# --- originals


def admit(
    system: System,
    provider: str,
    operation: str,
    body: bytes,
    *,
    account: str = "",
    kind: ArrivalKind = ArrivalKind.POLL,
) -> Any:
    arrival = Arrival(
        provider=provider,
        account=account or provider,
        operation=operation,
        kind=kind,
        observed_at=datetime(2026, 3, 3, tzinfo=UTC),
        body=body,
    )
    (outcome,) = system.intake.admit([read(TENANT, arrival)])
    assert not isinstance(outcome, Exception), outcome
    return outcome


def sample(provider: str, case: str) -> bytes:
    folder = Path(packing.__file__).parents[1] / "providers" / provider / "samples" / case
    return (folder / "body.raw").read_bytes()


def test_a_body_that_carries_a_secret_is_never_handed_out(system: System) -> None:
    """Not even when originals that name others are asked for with a reason."""
    (message,) = admit(
        system, "kpn_registered_email", "biljet", sample("kpn_registered_email", "biljet-history")
    ).messages
    pack = issued(system, message, include_shared=True, reason="everything")
    assert {"secret"} == {entry.get("withheld") for entry in artifacts(pack)}
    assert not [name for name in members_of(pack.data) if name.startswith(("receipts/", "webhooks/"))]


def test_an_original_that_tells_of_other_messages_stays_out_of_a_whole_pack(system: System, tmp_path: Path) -> None:
    """A polled list names the recipients of many messages; each message's pack says so and leaves it out."""
    nobody_protected = sample("ekopost", "envelope-list").replace(b'"protected"', b'"einbox"')
    messages = admit(system, "ekopost", "envelope", nobody_protected).messages
    assert len(messages) > 1
    for message in messages:
        pack = issued(system, message)
        assert {"other_messages"} == {entry.get("withheld") for entry in artifacts(pack)}
        assert_verifies(system, pack, tmp_path)


def test_an_erased_original_leaves_its_commitment(told: System, tmp_path: Path) -> None:
    """After erasure the proofs stay good; what is gone is said to be gone."""
    message = message_of(told)
    with told.ledger.database.writing() as cursor:
        cursor.execute("DELETE FROM person_keys WHERE stream = ?", (message,))
    pack = issued(told, message)
    assert {"untied"} == {entry["withheld"] for entry in artifacts(pack)}
    assert {} == json.loads(members_of(pack.data)["disclosures.json"])["events"]
    assert_verifies(told, pack, tmp_path)


def test_bytes_that_waited_in_a_lane_bring_the_event_that_committed_to_them(told: System, tmp_path: Path) -> None:
    """It stands beside the trail, and ties the original to the log."""
    unmatched = receipt("avvenuta-consegna", (ANNA,), minute=5, consigned=ANNA).replace(
        b"X-Ricevuta", b"X-Trasporto", 1
    )
    unmatched = (
        unmatched.replace(b"X-Trasporto: avvenuta-consegna", b"X-Trasporto: errore").partition(b"--m\r\n")[0]
        + b"--m--\r\n"
    )
    hand_in(told, tmp_path, unmatched)
    (item,) = told.queries.lanes(TENANT)
    message = message_of(told)
    told.lanes.claim(TENANT, item.item, message, "it is about this letter")
    pack = issued(told, message)
    trail = json.loads(members_of(pack.data)["trail.json"])
    assert 1 == len(trail["beside"])
    entry = next(e for e in artifacts(pack) if e["event"] == trail["beside"][0])
    assert unmatched == members_of(pack.data)[entry["path"]]
    assert_verifies(told, pack, tmp_path)


# --- the export itself


def test_an_export_is_recorded_in_the_accounts_stream_and_not_in_the_messages(told: System) -> None:
    """Who got what, at which size, is known; the message's own story does not change by it."""
    message = message_of(told)
    before = told.ledger.versions([message])
    pack = issued(told)
    event = told.ledger.event(told.ledger.head().size)
    assert before == told.ledger.versions([message])
    assert event.stream.startswith(f"account/{TENANT}/pec_mailbox/")
    assert ([message], pack.draft.head.checkpoint.size) == (event.fields["streams"], event.fields["tree_size"])
    assert {o.artifact for o in pack.draft.originals} == set(event.fields["artifacts"])


def test_the_report_tells_what_the_pack_shows_and_no_more(told: System) -> None:
    """Statuses, addresses and originals as chosen."""
    draft: Draft = issued(told, recipients=(0,)).draft
    told_story = presenting.story(draft)
    assert [ANNA] == [d.address.address for d in told_story.message.deliveries]
    assert ["delivered"] == [d.status for d in told_story.message.deliveries]
    assert 2 == told_story.recipients_withheld
    assert [True, False] == [bool(o.withheld) for o in told_story.originals]


def token_over(authority: Answering, data: bytes) -> bytes:
    """A token of a real authority."""
    (authority.folder / "data").write_bytes(data)
    openssl(authority.folder, "ts", "-query", "-data", "data", "-sha256", "-cert", "-out", "asked")
    authority.reply((authority.folder / "asked").read_bytes())
    openssl(authority.folder, "ts", "-reply", "-in", "reply", "-token_out", "-out", "token")
    return (authority.folder / "token").read_bytes()


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_tokens_of_the_checkpoint_and_of_originals_come_along_and_are_checked(told: System, tmp_path: Path) -> None:
    """Under a root from elsewhere they hold, under none they stay open, and over another byte they are refused."""
    first = issued(told)
    original = first.draft.originals[0]
    authority, other = Answering(tmp_path / "tsa"), Answering(tmp_path / "other")
    tokens = {
        checkpoint_subject(first.draft.head): token_over(authority, first.draft.head.note),
        original.artifact: token_over(authority, original.body or b""),
    }
    root = (authority.folder / "root.pem").read_bytes()
    finish = packing.Finish(token=lambda subject: tokens.get(subject, b""), trust={"tsa-root.pem": root})
    pack = desk(told, finish).issue(ask(message_of(told)), first.draft.head.checkpoint.size)
    members = members_of(pack.data)
    assert {"log/checkpoint.tst", "receipts/0002-receipt-body.eml.tst"} <= members.keys()
    trust = Trust(keys=[verify.parse_key(told.identity.keys[0].vkey())])
    for root_file, result in ((str(authority.folder / "root.pem"), "holds"), ("", "open")):
        found = verify.verify(written(tmp_path, members), trust._replace(tsa_root=root_file))
        stamped = [
            f.result
            for f in found.findings
            if f.text.startswith("Time-stamps show that these existed: log/checkpoint at ")
        ]
        assert (EXIT_VOUCHED, [result]) == (found.exit_code, stamped), found.verdict
    swapped = forged(members, {"log/checkpoint.tst": tokens[original.artifact]})
    assert "log/checkpoint.tst: openssl does not accept it" in verify.verify(written(tmp_path, swapped), trust).verdict
    strange = verify.verify(written(tmp_path, members), trust._replace(tsa_root=str(other.folder / "root.pem")))
    assert "openssl does not accept it" in strange.verdict
