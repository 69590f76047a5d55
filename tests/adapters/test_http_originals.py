"""Original bytes: handed out exactly, safely, and never without a record."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from base64 import b64encode
from typing import Any

import pytest
from aiohttp import ClientPayloadError

from adapters.http.originals import EPOCH
from adapters.records import encode
from ledger.errors import CorruptError
from tests.adapters.conftest import SAMPLES, TENANT, Api, accepted
from tests.providers import samples

HOSTILE = b"<html><script>alert(1)</script>"


async def _told(api: Api, **record: Any) -> tuple[str, list[str]]:
    """A message of which a record tells, and its originals."""
    reply = await api.observe(**record)
    assert reply.status == 201, reply
    event = api.events("submission.accepted", "submission.rejected")[-1]
    return reply.json["messages"][0], event.fields["artifacts"]


def _archive(body: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


async def test_original_is_the_exact_bytes_with_its_digest(api: Api) -> None:
    """Answer and request of a call of ours, each under its own id."""
    api.account()
    record = accepted()
    _, (body, request) = await _told(api, **record)
    for artifact, expected in ((body, record["body"].encode()), (request, record["request"].encode())):
        reply = await api.call(f"GET /v1/artifacts/{artifact}")
        digest = b64encode(hashlib.sha256(expected).digest()).decode()
        assert (200, expected, f"sha-256=:{digest}:") == (reply.status, reply.body, reply.headers["Repr-Digest"])


@pytest.mark.parametrize("media_type", ["text/html", "image/svg+xml; charset=x", "te\u017ft/<b>", ""])
async def test_original_is_always_an_attachment_with_a_name_of_ours(sqlite_api: Api, media_type: str) -> None:
    """What a stranger sent is never shown inline, whatever it says it is."""
    sqlite_api.account()
    record = {**accepted(), "headers": {"Content-Type": media_type}, "name": '../../"evil".html\r\nX: y'}
    _, (artifact, _) = await _told(sqlite_api, **record)
    headers = (await sqlite_api.call(f"GET /v1/artifacts/{artifact}")).headers
    name = re.fullmatch(r'attachment; filename="(\d{9}-send-[0-9a-f]{12}\.\w+)"', headers["Content-Disposition"])
    assert name, headers["Content-Disposition"]
    assert ("nosniff", "private, no-store") == (headers["X-Content-Type-Options"], headers["Cache-Control"])
    assert "default-src 'none'" in headers["Content-Security-Policy"]


async def test_opening_an_original_is_recorded_before_it_leaves(api: Api) -> None:
    """Who looked is known: the key, the original, the day."""
    api.account()
    message, (artifact, _) = await _told(api, **accepted())
    await api.call(f"GET /v1/artifacts/{artifact}")
    await api.call(f"GET /v1/messages/{message}/receipts.zip")
    opened, exported = api.events("access.recorded")
    assert ("access.original", [artifact]) == (opened.fields["rule"], opened.fields["artifacts"])
    assert ("access.archive", [message]) == (exported.fields["rule"], exported.fields["streams"])
    assert opened.stream.startswith(f"account/{TENANT}/{opened.fields['actor']}/")
    assert opened.fields["actor"].startswith("key_")


async def test_archive_holds_all_originals_of_a_message_and_their_sums(api: Api) -> None:
    """Every original once, under safe names, and SHA256SUMS as `sha256sum --check` reads it."""
    api.account()
    first, second = accepted("doc-1"), {**accepted("doc-1"), "status": 201}
    message, _ = await _told(api, **first)
    await api.observe(**second, message=message)
    reply = await api.call(f"GET /v1/messages/{message}/receipts.zip")
    assert (200, "application/zip") == (reply.status, reply.headers["Content-Type"])
    found = _archive(reply.body)
    listed = (line.split("  ") for line in found.pop("SHA256SUMS").decode().splitlines())
    sums = {name: digest for digest, name in listed}
    assert {name: hashlib.sha256(data).hexdigest() for name, data in found.items()} == sums
    assert {first["body"].encode(), first["request"].encode()} <= set(found.values())
    assert all(re.fullmatch(r"\d{9}-send-[0-9a-f]{12}\.\w+", name) for name in found)
    one = await api.call(f"GET /v1/messages/{message}/deliveries/0/receipts.zip")
    assert found.keys() <= _archive(one.body).keys()


async def test_same_originals_give_the_same_archive(sqlite_api: Api) -> None:
    """No clock of ours is in it."""
    sqlite_api.account()
    message, _ = await _told(sqlite_api, **accepted())
    bodies = [(await sqlite_api.call(f"GET /v1/messages/{message}/receipts.zip")).body for _ in range(2)]
    assert bodies[0] == bodies[1]
    with zipfile.ZipFile(io.BytesIO(bodies[0])) as archive:
        assert {EPOCH} == {entry.date_time for entry in archive.infolist()}


async def test_body_that_carries_a_secret_is_never_handed_out(api: Api) -> None:
    """KPN Registered E-mail's answer holds a token that opens the ticket's page: named in NOTE.txt, not given."""
    arrival = samples.arrival(SAMPLES / "kpn_registered_email" / "samples" / "send-accepted")
    api.account(arrival.account, arrival.provider)
    reply = await api.call(
        "POST /v1/observations",
        data=encode(arrival).replace(b'"kind":"poll"', b'"kind":"import"'),
        headers={"Content-Type": "application/json"},
    )
    assert reply.status == 201, reply
    await api.caught_up()
    secret, *others = api.events("submission.accepted")[0].fields["artifacts"]
    refused = await api.call(f"GET /v1/artifacts/{secret}")
    assert (403, "secret-body") == (refused.status, refused.type)
    assert arrival.body not in refused.body
    given = [await api.call(f"GET /v1/artifacts/{other}") for other in others]
    assert {200} == {each.status for each in given}
    found = _archive((await api.call(f"GET /v1/messages/{reply.json['messages'][0]}/receipts.zip")).body)
    assert secret[-12:] in found["NOTE.txt"].decode()
    assert arrival.body not in found.values()


async def test_erased_original_is_410_and_named_in_the_archive(api: Api) -> None:
    """After erasure we can no longer show it, and say so."""
    api.account()
    message, (artifact, _) = await _told(api, **accepted())
    with api.system.ledger.database.writing() as cursor:
        cursor.execute("DELETE FROM person_keys WHERE stream = ?", (message,))
    reply = await api.call(f"GET /v1/artifacts/{artifact}")
    assert (410, "erased") == (reply.status, reply.type)
    found = _archive((await api.call(f"GET /v1/messages/{message}/receipts.zip")).body)
    assert {"SHA256SUMS", "NOTE.txt"} == found.keys()
    assert artifact[-12:] in found["NOTE.txt"].decode()


async def test_archive_that_breaks_off_is_not_taken_for_a_whole_one(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status is sent before the last original is read; a defect then breaks the connection."""
    sqlite_api.account()
    message, _ = await _told(sqlite_api, **accepted())
    ledger, opened = sqlite_api.system.ledger, list[str]()
    original = ledger.artifact

    def failing(artifact_id: str) -> Any:
        opened.append(artifact_id)
        if len(opened) > 1:
            raise CorruptError
        return original(artifact_id)

    monkeypatch.setattr(ledger, "artifact", failing)
    with pytest.raises(ClientPayloadError):
        await sqlite_api.call(f"GET /v1/messages/{message}/receipts.zip")
