"""Reads our own send requests and their answers: faxes as base64 or as form data, text messages, and receipts that were asked for."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import unquote

from adapters.providers.kpn_cloud_fax import bodies
from adapters.providers.kpn_cloud_fax.bodies import member, rows, said
from adapters.providers.kpn_platform import Product, Request, filled, fingerprints, read_send
from adapters.providers.reading import json_object
from ledger.observations import Address, Arrival, Observation, Reference, UnreadableError

MAX_PARTS = 2_000
_PART = re.compile(
    rb'\r\ncontent-disposition: form-data; name="([^"\r\n]*)"(?:; filename="([^"\r\n]*)")?', re.IGNORECASE
)


def _asked_for(body: dict[str, Any], kind: str) -> Request:
    asked = bodies.plain(body)
    papers = [row for row in rows(member(asked, "documents")) if said(row, "content")]
    documents, notes = fingerprints((said(paper, "name"), said(paper, "content")) for paper in papers)
    return Request(
        declares=bodies.targets(asked, kind),
        documents=documents,
        texts={"subject": said(asked, "subject")},
        notes=notes,
    )


def _product(kind: str) -> Product:
    return Product(
        id_kind="jobid",
        read_id=lambda body: said(bodies.plain(body), "jobid"),
        read_request=partial(_asked_for, kind=kind),
        without_id=("dispatch.unclear", "no_jobid"),
    )


PRODUCT = _product("fax")
_SMS = _product("phone")

send: Callable[[Arrival], tuple[Observation, ...]] = partial(read_send, product=PRODUCT)
send_sms: Callable[[Arrival], tuple[Observation, ...]] = partial(read_send, product=_SMS)


def send_raw(arrival: Arrival) -> tuple[Observation, ...]:
    """As `send`; the request is form data (RFC 7578), read as if its documents had been base64."""
    if arrival.request is None:
        return send(arrival)
    asked: dict[str, Any] = {"targets": [], "documents": []}
    for name, file_name, content in _parts(arrival.request):
        if file_name is not None:
            asked["documents"].append({"name": file_name, "content": b64encode(content).decode()})
        elif name == "target":
            asked["targets"].append(content.decode("utf-8", "replace"))
        else:
            asked[name] = content.decode("utf-8", "replace")
    return send(replace(arrival, request=json.dumps(asked).encode()))


def _parts(form: bytes) -> Iterator[tuple[str, str | None, bytes]]:
    """(name, file name or None, content) of each part of form data as our client writes it; nothing of anything else."""
    boundary = form.partition(b"\r\n")[0]
    if not re.fullmatch(rb"--[0-9a-f]{64}", boundary):
        return
    for part in (b"\r\n" + form).split(b"\r\n" + boundary, MAX_PARTS)[1:]:
        head, _, content = part.partition(b"\r\n\r\n")
        found = _PART.search(head)
        if found:
            name, file_name = (
                None if said is None else unquote(said.decode("utf-8", "replace")) for said in found.groups()
            )
            yield name or "", file_name, content


def ackreceipt(arrival: Arrival) -> tuple[Observation, ...]:
    """That a receipt was asked for; that it was refused says nothing of the message."""
    if arrival.status is not None and not 200 <= arrival.status < 300:
        return ()
    asked = bodies.plain(json_object(arrival.request or b""))
    jobid, target = said(asked, "jobid"), said(asked, "target")
    if not jobid or not target:
        msg = "our request names no job or no target"
        raise UnreadableError(msg)
    return (
        Observation(
            type="acknowledgement.requested",
            references=(Reference("jobid", jobid),),
            about="recipient",
            recipient=Address("fax", target),
            identity=("receipt", jobid, target, "requested"),
            texts=filled({"notify": said(asked, "notify")}),
        ),
    )
