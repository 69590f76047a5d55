"""Audit samples over HTTP: ask, then draw; neither side can choose what is drawn."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from adapters.http.guards import listed
from adapters.http.lists import filters_of
from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.types import Given, SearchFilters
from adapters.records import END
from adapters.sampling import MAX_SIZE, Question, Sample, Sampling

SCOPES = ("compliance",)


class NewSample(Given):
    """A question for a sample.

    Attributes:
        where: which deliveries it is drawn from; absent: all.
        commitment: SHA-256 of a secret of the auditor's, hex, which is told when the sample is drawn.
    """

    size: Annotated[int, Meta(ge=1, le=MAX_SIZE)]
    where: SearchFilters = msgspec.field(default_factory=SearchFilters)
    commitment: Annotated[str, Meta(pattern=f"^([0-9a-f]{{64}})?{END}")] = ""
    note: Annotated[str, Meta(max_length=1_000)] = ""


class DrawSample(Given):
    """What a sample is drawn with: the auditor's secret, when he committed to one."""

    secret: Annotated[str, Meta(max_length=1_000)] = ""


def sampling(call: Call[Any, Any]) -> Sampling:
    services = call.services
    return Sampling(services.accounts, services.queries, services.log.heads, services.log.signed_head)


@route(
    "POST /v1/samples",
    scopes=SCOPES,
    answers={201: Question},
    access="sample",
    example={"size": 25, "where": {"status": "delivered", "since": "2026-01-01T00:00:00Z"}, "note": "first quarter"},
    reads_only=True,
    problems=(404,),  # it names somebody whom this key may not see: it was asked, and is not shown
)
def ask_sample(call: Call[NoQuery, NewSample]) -> Answer:
    """Ask for an audit sample: the question is recorded, and what will be drawn is known to nobody yet."""
    asked, samples = call.body, sampling(call)
    sample = samples.ask(
        call.tenant,
        asked.size,
        filters_of(asked.where),
        note=asked.note,
        commitment=asked.commitment,
        actor=call.actor,
    )
    return Answer(samples.question(call.tenant, sample), 201, {"Location": f"/v1/samples/{sample}"})


@route("GET /v1/samples/{sample}", scopes=SCOPES, answers={200: Question}, access="sample")
def show_sample(call: Call[NoQuery, None]) -> Answer:
    """What was asked for."""
    return Answer(sampling(call).question(call.tenant, int(call.path["sample"])))


@route(
    "POST /v1/samples/{sample}/draw",
    scopes=SCOPES,
    answers={200: Sample},
    problems=(404,),
    access="sample",
    reads_only=True,
)
def draw_sample(call: Call[NoQuery, DrawSample]) -> Answer:
    """Draw a sample, or draw it again: the answer is always the same, and the first draw is recorded."""
    found = sampling(call).draw(call.tenant, int(call.path["sample"]), call.body.secret, call.actor)
    return listed(found, (each.message for each in found.drawn))
