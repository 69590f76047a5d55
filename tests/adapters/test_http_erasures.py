"""Erasures over HTTP: seen first, asked for, refused under hold, certified."""

from __future__ import annotations

import io
import json
import random
import zipfile
from pathlib import Path

from adapters import safeguards
from adapters.http.erasures import PDF
from adapters.safeguards import Safeguards
from tests.adapters.conftest import Api, accepted

OFFICER = ("privacy",)
ANNA = "+31612340001"
WHY = {"reason": "request of 2026-03-02"}


async def sent(api: Api, number: str = ANNA) -> str:
    """A send to one number; its message."""
    api.account()
    return await api.send(number)


async def test_an_erasure_is_seen_asked_for_done_and_certified(api: Api) -> None:
    """201 when it is done at once; from then on nobody finds her, and the certificate says what went."""
    message = await sent(api)
    seen = await api.call("POST /v1/erasures/preview", scopes=OFFICER, json={"recipient": "06 12340001"})
    assert [("message", message)] == [(t["what"], t["id"]) for t in seen.json["things"] if t["what"] == "message"]
    reply = await api.call("POST /v1/erasures", scopes=OFFICER, json={"recipient": "06 12340001"} | WHY)
    assert (201, "done", 1) == (reply.status, reply.json["state"], reply.json["numbers"]["messages"]), reply
    where = reply.headers["Location"]
    found = await api.call("POST /v1/search", json={"recipient": ANNA})
    assert [] == found.json["deliveries"]
    certificate = await api.call(f"GET {where}/certificate", scopes=("compliance",))
    assert reply.json["numbers"] == certificate.json["erased"]
    assert ANNA.encode()[1:] not in certificate.body
    pdf = await api.call(f"GET {where}/certificate.pdf", scopes=("compliance",))
    assert (200, PDF, True) == (pdf.status, pdf.headers["Content-Type"], pdf.body.startswith(b"%PDF"))
    listed = (await api.call("GET /v1/erasures", scopes=OFFICER)).json
    assert [reply.json["erasure"]] == [each["erasure"] for each in listed["erasures"]]


async def test_under_a_hold_it_is_409_and_nothing_is_erased(api: Api) -> None:
    """The hold is named; the person is still found."""
    message = await sent(api)
    body = {"scope": "message", "value": message, "reason": "claim 17"}
    hold = (await api.call("POST /v1/holds", json=body)).json["hold"]
    seen = await api.call("POST /v1/erasures/preview", scopes=OFFICER, json={"recipient": ANNA})
    assert [hold] == [each["hold"] for each in seen.json["forbidden_by"]]
    for subject in ({"recipient": ANNA}, {"message": message}):
        reply = await api.call("POST /v1/erasures", scopes=OFFICER, json=subject | WHY)
        assert (409, "act-refused") == (reply.status, reply.type)
        assert hold in reply.json["detail"]
    assert [] == api.events("act.asked", "evidence.erased")
    assert 1 == len((await api.call("POST /v1/search", json={"recipient": ANNA})).json["deliveries"])


async def test_where_it_takes_two_people_it_waits_for_the_second(api: Api) -> None:
    """202 and the act waits; there is no certificate yet, and the asker cannot agree."""
    message = await sent(api)
    safeguards.put(api.system.accounts, api.tenant, Safeguards(("erasure",)).numbers(), "board decision", "key_1")
    reply = await api.call("POST /v1/erasures", scopes=OFFICER, json={"message": message} | WHY)
    assert (202, "waiting", message) == (reply.status, reply.json["state"], reply.json["message"])
    again = await api.call("POST /v1/erasures", scopes=OFFICER, json={"message": message} | WHY)
    assert reply.json["erasure"] == again.json["erasure"]
    where = reply.headers["Location"]
    assert 409 == (await api.call(f"GET {where}/certificate", scopes=OFFICER)).status
    approve = f"POST /v1/acts/{reply.json['erasure']}/approve"
    assert 409 == (await api.call(approve, scopes=OFFICER, json={"reason": "n"})).status
    assert [] == api.events("evidence.erased")


async def test_somebody_or_something_must_be_named_and_only_one_of_them(api: Api) -> None:
    """422 for nobody, for both, and for an address of white space."""
    message = await sent(api)
    for subject in ({}, {"recipient": ANNA, "message": message}, {"recipient": "  "}):
        reply = await api.call("POST /v1/erasures/preview", scopes=OFFICER, json=subject)
        assert (422, "invalid") == (reply.status, reply.type), subject
    bad = await api.call("POST /v1/erasures/preview", scopes=OFFICER, json={"recipient": ANNA, "cursor": "x.y"})
    assert 404 == bad.status


async def test_an_original_that_stays_for_anothers_sake_leaves_only_with_a_reason(api: Api) -> None:
    """403 without one, alone and in archives; what went is 410; with a reason it is handed out, and the reason is recorded."""
    api.account()
    document = {"kind": "document_id", "value": "doc-1"}
    people = [{"kind": "phone", "address": number} for number in (ANNA, "+31612340002")]
    reply = await api.call("POST /v1/messages", json={"account": "sms", "recipients": people, "references": [document]})
    message = reply.json["message"]
    answer = accepted("doc-1")
    texts = [{"content": "Your parcel is on its way", "mobile_number": each["address"]} for each in people]
    await api.observe(**answer | {"request": json.dumps({"messages": texts, "sender": "Acme"})})
    (shared,) = api.events("submission.accepted")[0].fields["artifacts"][:1]
    assert 200 == (await api.call(f"GET /v1/artifacts/{shared}")).status
    done = await api.call("POST /v1/erasures", scopes=OFFICER, json={"recipient": ANNA} | WHY)
    assert (201, 0, 1) == (done.status, done.json["numbers"].get("messages", 0), done.json["numbers"]["recipients"])
    refused = await api.call(f"GET /v1/artifacts/{shared}")
    assert (403, "erased-person") == (refused.status, refused.type)
    archive = f"GET /v1/messages/{message}/receipts.zip"
    assert shared[-12:] not in _names((await api.call(archive)).body)
    why = {"Access-Reason": "court order 7"}
    assert shared[-12:] in _names((await api.call(archive, headers=why)).body)
    assert 200 == (await api.call(f"GET /v1/artifacts/{shared}", headers=why)).status
    accesses = api.events("access.recorded")
    notes = [said.get("note") for said in api.system.ledger.values(accesses).values()]
    assert 2 == notes.count("court order 7")
    whole = await api.call("POST /v1/erasures", scopes=OFFICER, json={"message": message} | WHY)
    assert 201 == whole.status
    gone = await api.call(f"GET /v1/artifacts/{shared}", headers=why)
    assert (410, "erased") == (gone.status, gone.type)


def _names(data: bytes) -> str:
    """Names in an archive; what was left out is told in a note of it, which counts for nothing."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return " ".join(archive.namelist())


async def test_an_original_whose_file_is_gone_is_told_as_missing(api: Api, tmp_path: Path) -> None:
    """410, and not that it was erased."""
    api.account()
    document = {"document_id": "doc-1", "status": "OK", "padding": random.Random(7).randbytes(300_000).hex()}  # noqa: S311
    await api.observe(operation="send", status=200, request="{}", body=json.dumps(document))
    artifact = api.events("submission.accepted")[0].fields["artifacts"][0]
    (file,) = [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
    file.unlink()
    reply = await api.call(f"GET /v1/artifacts/{artifact}")
    assert (410, "missing-original") == (reply.status, reply.type)
