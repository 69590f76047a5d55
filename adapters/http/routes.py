"""What a route is: path, who may, what it reads and answers, and the function that does it.

Everything `dispatch` checks and everything `openapi` says comes from here and from the function's own annotation
`Call[Query, Body]`. Handlers are plain functions and run in a thread; the few that read a stream are coroutines.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from adapters.apikeys import ApiKey
from adapters.http.services import Services
from adapters.records import NAME, UUID
from ledger.tiles import PATH as TILE_PATH

Query = TypeVar("Query")
Body = TypeVar("Body")

JSON = "application/json"
NDJSON = "application/x-ndjson"
ANY_KEY: tuple[str, ...] = ()
NO_KEY = None

PARAMETERS: dict[str, tuple[str, str]] = {
    "message": (UUID, "id of a message"),
    "recipient": (r"0|[1-9][0-9]{0,5}", "index of the recipient in its message, from 0"),
    "artifact": (UUID, "id of an original"),
    "item": (UUID, "id of a waiting item"),
    "hold": (UUID, "id of a legal hold"),
    "erasure": (UUID, "id of an erasure"),
    "act": (UUID, "id of an act that somebody asked for"),
    "downtime": (UUID, "id of a downtime, as the list of downtimes has it"),
    "query": (r"[a-z][a-z0-9_]{0,62}", "name of a compliance query, as the list of queries has it"),
    "sample": (r"[1-9][0-9]{0,14}", "number of an audit sample"),
    "job": (NAME, "name of a job, as the list of jobs has it"),
    "tenant": (NAME, "the organisation"),
    "account": (NAME, "name of an account"),
    "operation": (r"[a-z][a-z0-9_.:-]{0,62}", "operation of the provider"),
    "provider": (NAME, "name of a provider"),
    "api_key": (r"key_[0-9a-f]{20}", "id of an API key"),
    "key_id": (r"[A-Za-z0-9_.:-]{1,63}", "id of a webhook key"),
    "name": (r"[A-Za-z0-9_.:-]{1,63}", "name of a credential, as the account's settings list them"),
    "task": (UUID, "id of a task"),
    "download": (r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", "name of a file that came of the task"),
    "schedule": (UUID, "id of a schedule of reports"),
    "saved": (NAME, "name of a saved query"),
    "file": (r"[a-z-]+\.(?:css|js|txt)", "one of the page's files"),
    "epoch": (r"[2-9]|[1-9][0-9]{1,4}", "epoch of the log, from 2; the first has none in its path"),
    "tile": (rf"(?:[0-9]|[1-5][0-9]|6[0-3])/{TILE_PATH}", "level and index of a tile, as C2SP tlog-tiles writes them"),
    "bundle": (TILE_PATH, "index of an entry bundle, as C2SP tlog-tiles writes it"),
    "expectation": (r"[a-z][a-z_]{0,62}", "name of an expectation, as the list of terms has it"),
    "slug": (r"[a-z-]+", "last part of a problem's type"),
}
"""Path parameter -> (pattern, meaning). A path that does not fit is 404, so nothing else ever gets into a log or an error."""


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No query parameters."""


DEMANDS = {
    "original": "evidence",
    "archive": "evidence",
    "feed": "exports",
    "sample": "queries",
}
"""Kind of access -> for which of `safeguards.REASONS` a reason may be demanded; any other kind is a look-up."""
REASON_HEADER = "Access-Reason"
REASON_CHARS = 500
PROTECTED_HEADER = "Access-Protected"
_PROTECTED = f"`true`: also recipients whose identity is protected; needs the scope `protected`, and {REASON_HEADER}; recorded each time"
_REASON = f"why this is looked at, where the organisation demands it: 1 to {REASON_CHARS} characters, others than ASCII percent-encoded"

NOBODY = ApiKey("", "", (), "", "", "", "")


@dataclass(frozen=True, slots=True)
class Call(Generic[Query, Body]):
    """One request, decoded and authenticated.

    Attributes:
        key: who asks; NOBODY on routes without a key.
        path: path parameters.
        headers: the request's, lower-case names.
        reason: why, from the header Access-Reason; "" when nobody said.
    """

    services: Services
    key: ApiKey
    path: Mapping[str, str]
    query: Query
    body: Body
    headers: Mapping[str, str]
    reason: str = ""

    @property
    def tenant(self) -> str:
        return self.key.tenant

    @property
    def actor(self) -> str:
        return self.key.api_key_id


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Attributes:
        body: a value to be encoded as JSON, bytes, an iterator of bytes to be streamed, or None.
        shown: messages that a list shows, for the record of who looked; without it, the one in the path.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = JSON
    shown: tuple[str, ...] = ()


Together = Callable[[Sequence[Call[Any, Any]]], Sequence[Answer | None]]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    Attributes:
        scopes: one of them must be the key's; ANY_KEY takes every key, NO_KEY needs none.
        query, body: types that validate; body is NoneType, `bytes`, or a struct.
        reads: media type -> type, of the request body; empty without one.
        answers: status -> media type -> type; without one where there is no body.
        example: a request body, for people.
        problems: statuses besides those that follow from the rest of the route.
        headers: request headers it reads -> meaning.
        access: what kind of looking this is, for the record of who looked; "" when it is none.
        reads_only: it changes nothing, though what it reads may be recorded; an auditor may.
        demands: for which of `safeguards.REASONS` a reason may be demanded; "" never.
        together: answers what is plain of calls of one organisation, all at once, and None for each call that the handler has to answer.
    """

    method: str
    path: str
    handler: Callable[..., Any]
    scopes: tuple[str, ...] | None
    query: type[msgspec.Struct]
    body: Any
    reads: Mapping[str, Any]
    answers: Mapping[int, Mapping[str, Any]]
    problems: tuple[int, ...]
    headers: Mapping[str, str]
    access: str
    example: Any
    reads_only: bool
    demands: str
    together: Together | None

    @property
    def shows_people(self) -> bool:
        """Whether its answer may tell of recipients, so that whoever may can ask for those whose identity is protected."""
        return PROTECTED_HEADER in self.headers

    @property
    def is_stream(self) -> bool:
        return inspect.iscoroutinefunction(self.handler)

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)

    @property
    def pattern(self) -> str:
        """The path as aiohttp matches it."""
        return re.sub(r"{(\w+)}", lambda m: f"{{{m[1]}:{PARAMETERS[m[1]][0]}}}", self.path)


def route(
    where: str,
    *,
    scopes: tuple[str, ...] | None,
    answers: Mapping[int, Any],
    reads: Mapping[str, Any] | None = None,
    problems: tuple[int, ...] = (),
    headers: Mapping[str, str] | None = None,
    access: str = "",
    example: Any = None,
    reads_only: bool = False,
    demands: str = "",
    together: Together | None = None,
) -> Callable[[Callable[..., Any]], Route]:
    """Make a route of a function; its docstring becomes the description.

    Args:
        where: method and path, for example `GET /v1/messages/{message}`.
        answers: status -> type of the JSON body, or media type -> type, or None.
        reads: media type -> type, where it is not simply JSON of the annotated body.
        headers: request headers it reads -> meaning.
        reads_only: a POST that changes nothing; a GET never does.
        demands: for what a reason may be demanded, where that does not follow from `access`.
        together: see `Route`.
    """
    method, path = where.split()

    demands = demands or (DEMANDS.get(access, "look-ups") if access else "")
    shows_people = bool(scopes)
    told_headers = {
        **(headers or {}),
        **({REASON_HEADER: _REASON} if demands or shows_people else {}),
        **({PROTECTED_HEADER: _PROTECTED} if shows_people else {}),
    }

    def wrap(handler: Callable[..., Any]) -> Route:
        hints = get_type_hints(handler).values()
        query, body = next(get_args(hint) for hint in hints if get_origin(hint) is Call)
        told = reads if reads is not None else {} if body is NoneType else {JSON: body}
        made = {s: a if isinstance(a, Mapping) else {JSON: a} if a is not None else {} for s, a in answers.items()}
        return Route(
            method,
            path,
            handler,
            scopes,
            query,
            body,
            told,
            made,
            problems,
            told_headers,
            access=access,
            example=example,
            reads_only=reads_only or method == "GET",
            demands=demands,
            together=together,
        )

    return wrap
