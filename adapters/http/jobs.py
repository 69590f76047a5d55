"""What is done by the clock, and having one of it done now."""

from __future__ import annotations

from typing import Annotated

import msgspec

from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.types import Given
from adapters.jobs.views import JobView
from adapters.records import Name

OPERATORS = ("operator",)


class Jobs(msgspec.Struct, frozen=True):
    """The ledger's own jobs, those of the tenant's accounts, and the outbox."""

    jobs: tuple[JobView, ...]


class RunQuery(Given):
    """Query of asking for a run."""

    account: Annotated[Name, msgspec.Meta(description="whose job it is")]


OWN_TROUBLE = "it failed; whoever runs the ledger sees why: delivery-ledger jobs"
"""In the place of what went wrong in a job of the ledger's own, which may name what is another organisation's."""


@route("GET /v1/jobs", scopes=OPERATORS, answers={200: Jobs})
def list_jobs(call: Call[NoQuery, None]) -> Answer:
    """How each job stands: when it is next due, when it last succeeded, what went wrong, and why it is off."""
    return Answer(Jobs(tuple(map(_told, call.services.jobs.views(call.tenant)))))


def _told(view: JobView) -> JobView:
    is_own_trouble = bool(view.last_error) and not view.account
    return msgspec.structs.replace(view, last_error=OWN_TROUBLE) if is_own_trouble else view


@route("POST /v1/jobs/{job}/run", scopes=OPERATORS, answers={202: JobView}, problems=(409,))
def run_job(call: Call[RunQuery, None]) -> Answer:
    """Have a job of an account run in a moment, whatever is due; the ledger's own jobs are not run on a tenant's behalf."""
    jobs = call.services.jobs
    (job,) = jobs.find(call.tenant, call.path["job"], call.query.account)
    return Answer(jobs.ask(job, call.actor), 202)
