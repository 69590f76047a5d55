"""An organisation's own terms for what it awaits."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from msgspec import Meta

from adapters.http.routes import Answer, Call, route
from adapters.http.types import Given, Note, Reading
from adapters.records import Name
from adapters.strictjson import refuse
from adapters.terms import MAX_TERM_S, Terms, TermViews

READERS = ("read", "compliance", "operator")
SETTERS = ("operator", "compliance")
Seconds = Annotated[int, Meta(ge=1, le=MAX_TERM_S, description="seconds after what starts the clock")]


class NewTerm(Given):
    """A term; it holds for messages that are opened from now on.

    Attributes:
        warn_s, breach_s: when the wait is worth a warning, and when it is late; both are left out with `off`.
        off: nothing of that name is expected any more.
    """

    note: Note
    warn_s: Seconds | None = None
    breach_s: Seconds | None = None
    off: bool = False


class Whose(Given):
    """Query of a term.

    Attributes:
        account: the only one it holds for; without it, it holds for all that have no own.
    """

    account: Annotated[Name, Meta(description="the only account it holds for")] | None = None


@route("GET /v1/terms", scopes=READERS, answers={200: TermViews})
def list_terms(call: Call[Reading, None]) -> Answer:
    """Everything that is expected by when, where each term comes from, and since which position it holds."""
    return Answer(_terms(call).views())


@route(
    "PUT /v1/terms/{expectation}",
    scopes=SETTERS,
    answers={200: TermViews},
    example={"warn_s": 21_600, "breach_s": 86_400, "note": "contract of May"},
)
def put_term(call: Call[Whose, NewTerm]) -> Answer:
    """Set a term, or switch the expectation off. It holds for messages that are opened from now on; open ones keep theirs."""
    terms, said = _terms(call), call.body
    name, account = call.path["expectation"], call.query.account or ""
    if said.off:
        if said.warn_s or said.breach_s:
            refuse("off", "what is switched off has no times")
        terms.switch_off(name, said.note, account)
    else:
        warn, breach = (timedelta(seconds=seconds or 0) for seconds in (said.warn_s, said.breach_s))
        terms.put(name, warn, breach, said.note, account)
    return Answer(terms.views())


@route("DELETE /v1/terms/{expectation}", scopes=SETTERS, answers={200: TermViews})
def reset_term(call: Call[Whose, None]) -> Answer:
    """Take back what was set for the account, or for all: what holds without it holds again, for messages opened from now on."""
    terms = _terms(call)
    terms.reset(call.path["expectation"], account=call.query.account or "")
    return Answer(terms.views())


def _terms(call: Call[Any, Any]) -> Terms:
    return Terms(call.services.accounts, call.services.queries, call.tenant, call.actor)
