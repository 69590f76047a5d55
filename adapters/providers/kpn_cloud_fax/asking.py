"""Questions to KPN about jobs and about the account: what they are, and what a good answer is."""

from __future__ import annotations

from datetime import datetime, timedelta

from adapters.providers.calling import Answer, CallFailedError, Desk, Request
from adapters.providers.kpn_cloud_fax import bodies, contents

ZONE_HOLDS = timedelta(days=1)


def question(operation: str, path: str, *, zone: str = "", channel: str = "", **query: object) -> Request:
    """A question; what was known when it was asked is kept with its answer."""
    url, name = bodies.question(path, zone=zone, channel=channel, **query)
    return Request(operation=operation, method="GET", url=url, name=name, may_send=False)


def answered(desk: Desk, request: Request) -> Answer:
    """The answer to a question.

    Raises:
        CallFailedError: there is none, or it is no success.
    """
    answer = desk.call(request)
    if not is_success(answer):
        msg = f"{request.method} {request.url.partition('?')[0]}: {answer.failure or answer.status}"
        raise CallFailedError(msg)
    return answer


def is_success(answer: Answer) -> bool:
    """Whether there is an answer, and a good one."""
    return not answer.failure and 200 <= answer.status < 300


def setting(name: str) -> Request:
    """The question what a setting of the account is."""
    return question(f"setting.{name}", f"/{name}")


def zone(desk: Desk) -> str:
    """The account's time zone, asked for once a day; "" where it is not known.

    It is kept with each answer that is read with it; that it changed is told by `watching`. A failure is no reason to leave jobs
    alone: their times are then taken as UTC, and say so.
    """
    asked_at, name = desk.state.get("zone", ("", ""))
    if asked_at and desk.access.now - datetime.fromisoformat(asked_at) < ZONE_HOLDS:
        return str(name)
    request = setting("timezone")
    answer = desk.call(request)
    if is_success(answer):
        name = contents.zone_said(answer.body)
        desk.state["zone"] = [desk.access.now.isoformat(), name]
    return str(name)
