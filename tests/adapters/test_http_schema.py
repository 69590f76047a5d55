"""Generated requests to every operation, by every kind of key, of two organisations, on both databases.

`./ops/test fuzz [REQUESTS]` makes at least 5,000 of them on each database, other ones each time; with all other tests some hundred, the
same each time. What an answer tells of ids is put into later requests, so that they meet what is there: chains of what one call makes
and the next one reads, changes and takes away. Part of the requests break the description on purpose.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis import checks as st_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks as openapi_checks

from adapters.apikeys import SCOPES
from adapters.http.openapi import document
from adapters.http.routes import PARAMETERS
from adapters.http.table import ROUTES
from ops import tasks
from ops.system import System
from tests.adapters.conftest import TENANT, Api, accepted, opened_system, serving
from tests.adapters.test_http_matrix import ANY, BODIES
from tests.adapters.test_http_sends import NOBODY
from tests.flow.planting import betrayed, needles
from tests.flow.test_secrets_nowhere import _inflated as inflated
from tests.postgres import Database

CASES = int(os.environ.get("LEDGER_FUZZ_CASES", "0"))
"""At least so many requests on each database; 0: the few that are always the same."""
FEW = 12
"""Requests to each operation that are always made."""
OTHER = "other"
ALL = tuple(scope for scope in SCOPES if scope != "auditor")
CALLERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "everything": (TENANT, ALL),
    "others": (OTHER, ALL),
    **{scope: (TENANT, (scope,)) for scope in SCOPES},
}
"""Who calls -> tenant and scopes of the key; besides, somebody without a key and one with a bad one."""
WHO = st.sampled_from(["everything"] * 12 + ["others"] * 4 + [*SCOPES, "nobody", "stranger"])
MARKS = {TENANT: "Zoffrabelnyx-Ours-48121", OTHER: "Quandrilvexor-Theirs-90377"}
"""Tenant -> a text that stands in everything it has and in no request of anybody else: who puts it into his own is told it again."""
CHECKS = [
    st_checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.negative_data_rejection,
]
MODES = [GenerationMode.POSITIVE] * 3 + [GenerationMode.NEGATIVE]
OPERATIONS = {f"{route.method} {route.path}" for route in ROUTES if "/tile/" not in route.path}
RAW = {route.path for route in ROUTES if bytes in route.reads.values()}
"""What takes any bytes as its body: nothing breaks its description."""
LAST = ("delete", "/disable", "/release", "/erasures", "/withdraw", "/cancel")
"""What takes things away comes after what reads them."""
EXAMPLES: dict[tuple[str, str], Any] = {(r.method, r.path): r.example or BODIES.get(r.path) for r in ROUTES}
EXAMPLES["POST", "/v1/lanes/{item}/claim"] = {"message": ANY["message"], "note": "n"}
PUBLIC = {name: ANY[name] for name in ("query", "job", "provider", "name", "expectation")} | {
    "operation": "send",
    "key_id": "wk_1",
    "slug": "not-found",
    "download": "report.csv",
}
"""Names of what is the same for everybody, and in no answer under the name that paths have for it."""
ALIASES = {"api_key_id": "api_key", "next": "cursor", "artifacts": "artifact"}
UUIDS = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@schemathesis.serializer("message/rfc822", "*/*")
def _as_bytes(_context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def described() -> dict[str, Any]:
    """The document as it is, but keys are sent by the test, and no `min_position` is waited for.

    Without tiles: the generator takes no path parameter that has a slash in it.
    """
    found = document()
    found["paths"] = {path: item for path, item in found["paths"].items() if "/tile/" not in path}
    for item in found["paths"].values():
        for operation in item.values():
            operation["security"] = []
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "min_position":
                    parameter["schema"] = {"enum": [0]}  # one that is never reached is rightly 503
    for schema in found["components"]["schemas"].values():
        if "min_position" in schema.get("properties", ()):
            schema["properties"]["min_position"] = {"enum": [0]}
    return found


class Known:
    """Ids and names that answers told, by organisation; put into later requests."""

    NAMES = {
        *PARAMETERS,
        "cursor",
        "event",
        "settlement",
        "sets_aside",
        "artifact",
        "label",
        "batch",
        "value",
        "address",
    }

    def __init__(self) -> None:
        self._told: dict[str, dict[str, list[Any]]] = {TENANT: {}, OTHER: {}}

    def learn(self, tenant: str, value: Any, name: str = "") -> None:
        """Take what an answer tells."""
        if isinstance(value, dict):
            for key, inner in value.items():
                self.learn(tenant, inner, ALIASES.get(key) or key)
        elif isinstance(value, list):
            for inner in value[:20]:
                self.learn(tenant, inner, name)
        elif name in self.NAMES and isinstance(value, str | int) and value and not _is_marked(value):
            told = self._told[tenant].setdefault(name, [])
            if value not in told:
                told.insert(0, value)
                del told[30:]

    def told(self, tenant: str, name: str) -> list[Any]:
        """What is known under a name, the newest first."""
        return self._told[tenant].get(name, [])

    def put(self, value: Any, tenant: str, choose: random.Random, name: str = "") -> Any:
        """The same request with most of what it names taken from what is known of this organisation."""
        if isinstance(value, Mapping):
            return {key: self.put(inner, tenant, choose, key) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.put(inner, tenant, choose, name) for inner in value]
        told = self.told(tenant, name)
        if told and isinstance(value, str) and choose.random() < 0.9:
            return str(choose.choice(told))
        return value


def _is_marked(value: object) -> bool:
    return any(mark.casefold() in str(value).casefold() for mark in MARKS.values())


async def furnish(api: Api, known: Known) -> None:
    """Something of everything that an organisation can have; its mark stands in each."""
    api.account()
    api.system.accounts.configure(api.tenant, "sms", {"base_url": NOBODY})
    api.system.accounts.set_credentials(api.tenant, "sms", {"client_id": "id", "client_secret": "hush hush"})
    api.account("mail", "pec_mailbox")
    api.account("spare", "ekopost")
    mark = MARKS[api.tenant]
    known.learn(api.tenant, PUBLIC | {"tenant": api.tenant})
    label, batch, address = f"{api.tenant} case", f"{api.tenant} batch", f"person@{api.tenant}.example"
    known.learn(api.tenant, {"label": label, "batch": batch, "address": address})

    async def ask(where: str, **body: Any) -> None:
        reply = await api.call(where, json=body or None, scopes=ALL)
        assert reply.status < 300, (where, reply)
        known.learn(api.tenant, reply.json)

    for number in range(3):
        document = f"{mark}-{number}"
        addresses = (address, f"{mark}@post.example")
        recipients = [{"kind": "phone", "address": "0612340001"}, *({"kind": "email", "address": a} for a in addresses)]
        given = {
            "references": [{"kind": "document_id", "value": document}],
            "batch": {"kind": "batch", "value": batch},
            "labels": [label, mark],
            "subject": f"{mark} subject",
        }
        await ask("POST /v1/messages", account="sms", recipients=recipients, **given)
        await api.observe(**accepted(document))
    await ask("POST /v1/messages", account="sms", recipients=recipients[:1], dispatch={"text": mark})
    await asyncio.to_thread(api.system.outbox.run)
    await api.observe(account="mail", operation="receipt", body=f"no receipt {mark}")
    await ask("PUT /v1/saved-queries/monthly", query="disputed")
    await ask("POST /v1/holds", scope="label", value=label, reason=mark)
    await ask("POST /v1/downtimes", account="sms", since="2026-03-02T10:00:00Z", note=mark)
    await ask("POST /v1/samples", size=2, note=mark)
    await ask("POST /v1/retention", provider="kpn_sms", keep="10y", label=label)
    given = EXAMPLES["POST", "/v1/report-schedules"] | {"recipients": [{"email": address}]}
    await ask("POST /v1/report-schedules", **given)
    await ask("POST /v1/reports", query="by_recipient", parameters={"recipient": address})
    tasks.runner(api.system).run()
    await api.caught_up()
    for where in ("lanes", "accounts", "keys", "tasks", "events", "queries", "saved-queries", "sends"):
        await ask(f"GET /v1/{where}")
    await ask("POST /v1/search", label=label)


class Fuzz:
    """Requests to one server, and what must hold of every answer."""

    def __init__(self, api: Api, other: Api, known: Known) -> None:
        self.system = api.system
        self.url = f"http://127.0.0.1:{api.port}"
        self.apis = {TENANT: api, OTHER: other}
        self.known = known
        self.needles = {tenant: needles({tenant: mark}) for tenant, mark in MARKS.items()}
        self.owners: dict[bytes, str] = {}
        self.position = 0
        self.statuses: Counter[int] = Counter()
        self.reached: set[str] = set()
        self.failures: dict[str, str] = {}

    def key(self, who: str) -> tuple[str, str]:
        """Organisation of a caller and the key it sends."""
        if who in CALLERS:
            tenant, scopes = CALLERS[who]
            return tenant, self.apis[tenant].key(*scopes)
        return "", "" if who == "nobody" else f"key_{'0' * 20}.{'A' * 43}"

    def ask(self, case: Any, who: str, choose: random.Random) -> None:
        """One request."""
        tenant, key = self.key(who)
        if case.meta.generation.mode is GenerationMode.POSITIVE:
            self.furnish(case, tenant, choose)
        headers = {"If-Match": "*"} if choose.random() < 0.5 else {}
        headers |= {"X-Api-Key": key} if key else {}
        try:
            response = case.call(base_url=self.url, headers=headers, timeout=60)
            if response.status_code == 503 and b"/problems/not-reached" in response.content:
                self.system.runner.run()
                response = case.call(base_url=self.url, headers=headers, timeout=60)
            self.statuses[response.status_code] += 1
            case.validate_response(response, checks=CHECKS)
            self.separate(tenant, response)
        except (FailureGroup, AssertionError) as error:
            told = "; ".join(str(e) for e in getattr(error, "exceptions", [error]))
            self.failures.setdefault(f"{case.operation.label} as {who}: {told[:200]}", str(error)[:3000])
            return
        if response.status_code < 400:
            self.reached.add(case.operation.label)
            if tenant and response.headers.get("content-type", [""])[0] == "application/json":
                self.known.learn(tenant, json.loads(response.content))

    def furnish(self, case: Any, tenant: str, choose: random.Random) -> None:
        """Put what is known into a request: mostly what is the caller's, sometimes what is not."""
        whose = choose.choice([tenant or TENANT] * 9 + [OTHER if tenant == TENANT else TENANT])
        example = EXAMPLES.get((case.method.upper(), case.path))
        if example is not None and choose.random() < 0.4:
            case.body = example
        for part in ("path_parameters", "query", "body"):
            given = getattr(case, part)
            if (told := self.known.put(given, whose, choose)) != given:
                setattr(case, part, told)

    def separate(self, tenant: str, response: Any) -> None:
        """Nothing of another organisation is in an answer, but what stands in the question."""
        asked = b"\n".join((str(response.request.url).encode(), _bytes(response.request.body)))
        self.tells_of_nobody_else(tenant, [*inflated(response.content), str(response.headers).encode()], asked)

    def tells_of_nobody_else(self, tenant: str, answer: Iterable[bytes], asked: bytes = b"") -> None:
        self.follow()
        for part in answer:
            for other in {TENANT, OTHER} - {tenant}:
                assert not betrayed(part, self.needles[other]), f"tells of {other}"
                foreign = {i for i in UUIDS.findall(part) if self.owners.get(i) == other and i not in asked}
                assert not foreign, f"names what is {other}'s: {foreign}"

    def follow(self) -> None:
        """Note whose the newest events are."""
        while events := self.system.ledger.feed(self.position, 500):
            for event in events:
                for found in UUIDS.findall(event.leaf):
                    self.owners.setdefault(found, event.tenant)
            self.position = events[-1].position

    def run(self, each: int) -> int:
        """So many requests to every operation, half of them by operation, half in any order; how many there were."""
        schema = schemathesis.openapi.from_dict(described())
        operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
        operations.sort(key=lambda o: (any(word in f"{o.method} {o.path}" for word in LAST), o.method != "get"))
        cases = [_cases(operation) for operation in operations]
        for strategy in cases:
            self.send(strategy, -(-each // 2))
        self.send(st.sampled_from(cases).flatmap(lambda strategy: strategy), each // 2 * len(cases))
        return self.statuses.total()

    def send(self, cases: Any, count: int) -> None:
        @hypothesis.settings(
            max_examples=count,
            database=None,
            derandomize=not CASES,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=cases, who=WHO, seed=st.integers(0, 2**32))
        def conforms(case: Any, who: str, seed: int) -> None:
            self.ask(case, who, random.Random(seed))  # noqa: S311  no secret

        conforms()


def _cases(operation: Any) -> Any:
    """Requests to one operation, some of which break its description."""
    modes = MODES[: -1 if operation.path in RAW else None]
    return st.sampled_from(modes).flatmap(lambda mode: operation.as_strategy(generation_mode=mode))


def _bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else str(body or "").encode()


@pytest.fixture
def system(database: Database, tmp_path: Path) -> Iterator[System]:
    """With reports that go into a folder, or would be mailed to nobody."""
    mail = {"smtp_url": "smtp://127.0.0.1:9", "smtp_from": "reports@ledger.example"}
    with opened_system(database, tmp_path, report_drop_folder=tmp_path / "drop", **mail) as found:
        yield found


@pytest.mark.slow(reason="some hundred generated requests; under `./ops/test fuzz` thousands")
async def test_whatever_is_sent_is_answered_as_described_and_tells_nothing_of_others(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    """No 5xx, no status, content type or body that is not described, nothing of another tenant; the log stays sound."""
    async with serving(system, failures_per_minute=0) as api:
        other, known = api.of(OTHER), Known()
        for each in (api, other):
            await furnish(each, known)
        fuzz = Fuzz(api, other, known)
        made = await asyncio.to_thread(fuzz.run, max(FEW, -(-CASES // len(OPERATIONS))))
        if CASES:
            with capsys.disabled():
                print(f"\n{made} requests: {dict(sorted(fuzz.statuses.items()))}")
                print(f"never answered 2xx: {sorted(OPERATIONS - fuzz.reached)}")
        assert not fuzz.failures, "\n\n".join(f"{name}\n{text}" for name, text in fuzz.failures.items())
        assert made >= max(CASES, FEW * len(OPERATIONS))
        assert len(fuzz.reached) >= len(OPERATIONS) // 2
        ready = await api.call("GET /readyz", scopes=())
        assert (200, 0) == (ready.status, ready.json["unapplied"])


async def test_the_search_notices_what_is_somebody_elses(system: System) -> None:
    """An answer that one organisation may have is a failure when another one gets it, by a text in it or by an id alone."""
    async with serving(system) as api:
        other, known = api.of(OTHER), Known()
        await furnish(api, known)
        found = (await api.call("POST /v1/search", json={}, scopes=ALL)).body
        fuzz = Fuzz(api, other, known)
        fuzz.tells_of_nobody_else(TENANT, [found])
        for told in (found, UUIDS.findall(found)[0]):
            with pytest.raises(AssertionError, match=TENANT):
                fuzz.tells_of_nobody_else(OTHER, [told])
