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


@route("GET /v1/jobs", scopes=OPERATORS, answers={200: Jobs})
def list_jobs(call: Call[NoQuery, None]) -> Answer:
    """How each job stands: when it is next due, when it last succeeded, what went wrong, and why it is off."""
    return Answer(Jobs(tuple(call.services.jobs.views(call.tenant))))


@route("POST /v1/jobs/{job}/run", scopes=OPERATORS, answers={202: JobView}, problems=(409,))
def run_job(call: Call[RunQuery, None]) -> Answer:
    """Have a job of an account run in a moment, whatever is due; the ledger's own jobs are not run on a tenant's behalf."""
    jobs = call.services.jobs
    (job,) = jobs.find(call.tenant, call.path["job"], call.query.account)
    return Answer(jobs.ask(job, call.actor), 202)
