"""The network behind the sandbox: takes messages, decides what becomes of each, and writes the webhooks that say so. No network calls.

Members of a delivery report that no published text names (status, failure code, parts) are those of `statuses.DLR_MEMBERS`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, Literal
from uuid import UUID

from adapters.providers.kpn_sms.statuses import DLR_MEMBERS, REASON
from adapters.providers.sandboxing import Clock

Generation = Literal["2025", "2020"]

SECRET = b"sandbox-webhook-secret"
KEY_ID = "wk_SANDBOX1"
RETRIES_S = (60, 120, 240)
"""After the first attempt at once: three more, each so long after the last. Source: `webhook_url` in `SMS - KPN` 1.0.6."""

MAX_MESSAGES: Mapping[Generation, int] = {"2025": 5000, "2020": 1}
MAX_AT_ONCE: Mapping[Generation, int] = {"2025": 200, "2020": 1}
"""Messages times numbers."""

TEXT_MAX = 1000
SENDER_MAX = 11
REFUSED_SILENTLY = "999"
"""A number with this ending makes KPN answer 200 without document_id: nothing is sent."""

_NUMBER = re.compile(r"(?:06|\+316|00316)[1-58]\d{7}|(?:097|\+3197|003197)\d{7,9}")
_ABROAD = re.compile(r"(?:\+|00)(?!31)[1-9]\d{5,13}")


@dataclass(frozen=True)
class Step:
    """A report on one number.

    Attributes:
        after_s: seconds after the message was taken.
        status: as in `statuses.STATUS`.
        failure: as in `statuses.REASON`, or "".
        part, parts: of a long text.
    """

    after_s: int
    status: int
    failure: str = ""
    part: int = 0
    parts: int = 0


_QUEUED, _TAKEN, _DELIVERED = Step(1, 2), Step(2, 3), Step(5, 1)

FATES: dict[str, tuple[Step, ...]] = {
    "400": (),  # nobody ever hears of it
    "500": (_QUEUED,),  # and nothing more
    "600": (_TAKEN, Step(172_800, 6, "024")),  # expires after two days
    "601": (_TAKEN, Step(172_800, 6, "024"), Step(172_860, 1)),  # expires, and was delivered all the same
    "700": tuple(Step(5 + n, 1, part=n, parts=3) for n in (1, 2, 3)),  # a long text in three parts
    "701": (Step(6, 1, part=1, parts=2), Step(7, 4, "009", part=2, parts=2)),  # one of two parts fails
    "800": (Step(5, 9, "042"),),  # words that nobody knows
    **{f"1{row.word[1:]}": (_TAKEN, Step(5, 4, row.word)) for row in REASON},  # 101-130: fails for the reason 001-030
    **{f"2{row.word[1:]}": (Step(2, 5, row.word),) for row in REASON},  # 201-230: is rejected for it
}
"""Last three digits of a number -> what is reported; any other number is queued, accepted and delivered."""

_ORDINARY = (_QUEUED, _TAKEN, _DELIVERED)


@dataclass(frozen=True)
class Sent:
    """A call that was taken."""

    document_id: str
    generation: Generation
    asked: Mapping[str, Any]
    numbers: tuple[str, ...]


@dataclass(frozen=True)
class Post:
    """A webhook on its way.

    Attributes:
        attempt: counted from 1.
        key_id, signature: of the key that was active when it was written; a later attempt has the same.
    """

    due_at: datetime
    url: str
    body: bytes
    key_id: str
    signature: str
    attempt: int = 1


@dataclass
class Network:
    """KPN's SMS service for one customer.

    Attributes:
        keys: webhook secrets by key id; the last one signs.
        excluded: members that the customer leaves out of delivery reports.
        inbound_url: where incoming messages and reports without a `webhook_url` go; "" = nowhere.
        sends: every call that was taken, in order.
        lost: webhooks that nobody took in four attempts.
    """

    clock: Clock = field(default_factory=Clock)
    keys: dict[str, bytes] = field(default_factory=lambda: {KEY_ID: SECRET})
    excluded: set[str] = field(default_factory=set)
    inbound_url: str = ""
    sends: list[Sent] = field(default_factory=list)
    lost: list[Post] = field(default_factory=list)
    seed: int = 1
    _waiting: list[Post] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._draw = Random(self.seed)  # noqa: S311  ids of a sandbox, repeatable on purpose

    def times_accepted(self, content: str) -> dict[str, int]:
        """How often each number was sent this text."""
        found: dict[str, int] = {}
        for sent in self.sends:
            for message in sent.asked["messages"]:
                for number in message["mobile_number"].split(",") if message["content"] == content else ():
                    found[number] = found.get(number, 0) + 1
        return found

    # --- sending

    def send(self, asked: Any, generation: Generation) -> str | None:
        """Take a call; its document_id, "" where KPN refuses without a word, None for a bad request."""
        numbers = _numbers(asked, generation)
        if numbers is None:
            return None
        if any(number.endswith(REFUSED_SILENTLY) for number in numbers):
            return ""
        document_id = str(UUID(int=self._draw.getrandbits(128), version=4))
        self.sends.append(Sent(document_id, generation, asked, tuple(numbers)))
        if generation == "2025":
            self._report(document_id, asked)
        return document_id

    def _report(self, document_id: str, asked: Mapping[str, Any]) -> None:
        url = asked.get("webhook_url") or self.inbound_url
        for message in asked["messages"] if url else ():
            for number in message["mobile_number"].split(","):
                for step in FATES.get(number[-3:], _ORDINARY):
                    at = self.clock.now() + timedelta(seconds=step.after_s)
                    self._write(at, url, self._body(document_id, number, message["content"], step, at))

    def _body(self, document_id: str, number: str, content: str, step: Step, at: datetime) -> dict[str, Any]:
        said = {
            "document_id": document_id,
            "number": _international(number),
            "time": int(at.timestamp()),
            "message": content,
            "message_type": "sms",
            "customer_id": "sandbox",
            "status": step.status,
            "failure": step.failure or None,
            **({"part": step.part, "parts": step.parts} if step.parts else {}),
        }
        return {DLR_MEMBERS[ours]: value for ours, value in said.items() if DLR_MEMBERS[ours] not in self.excluded}

    def receive(self, sender: str, recipient: str, content: str) -> None:
        """Somebody writes to a virtual number of the customer."""
        now = self.clock.now()
        said = {
            "sender": sender,
            "recipient": recipient,
            "message_id": f"{self._draw.getrandbits(64):016X}.{recipient}",
            "content": content,
            "timestamp_utc": now.replace(tzinfo=None).isoformat(timespec="microseconds"),
            "type": "text/unicode/*",
        }
        self._write(now, self.inbound_url, said)

    # --- webhooks

    def _write(self, due_at: datetime, url: str, said: Mapping[str, Any]) -> None:
        body = json.dumps(said, ensure_ascii=False).encode()
        self._waiting.append(Post(due_at, url, body, "", ""))

    def due(self) -> list[Post]:
        """What is to go out now, the oldest first; each is signed when it first goes out."""
        now = self.clock.now()
        found = sorted((post for post in self._waiting if post.due_at <= now), key=lambda post: post.due_at)
        self._waiting = [post for post in self._waiting if post.due_at > now]
        return [post if post.signature else self._signed(post) for post in found]

    def _signed(self, post: Post) -> Post:
        key_id = list(self.keys)[-1]
        return replace(
            post, key_id=key_id, signature=hmac.new(self.keys[key_id], post.body, hashlib.sha256).hexdigest()
        )

    def headers(self, post: Post) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "X-KPN-Webhook-Signature": post.signature,
            "X-KPN-Webhook-Timestamp": str(int(self.clock.now().timestamp())),
            "X-KPN-Webhook-Key-Id": post.key_id,
            "X-KPN-Webhook-Attempt": str(post.attempt),
        }

    def attempted(self, post: Post, *, is_taken: bool) -> None:
        """Try again later what was not taken, three times at most."""
        if is_taken:
            return
        if post.attempt > len(RETRIES_S):
            self.lost.append(post)
            return
        again = self.clock.now() + timedelta(seconds=RETRIES_S[post.attempt - 1])
        self._waiting.append(replace(post, due_at=again, attempt=post.attempt + 1))


def _numbers(asked: Any, generation: Generation) -> list[str] | None:
    """The numbers of a request, or None when it is not what the API takes."""
    messages = asked.get("messages") if isinstance(asked, dict) else None
    if not isinstance(messages, list) or not 1 <= len(messages) <= MAX_MESSAGES[generation]:
        return None
    if not all(isinstance(m, dict) and _is_text(m.get("content")) for m in messages):
        return None
    sender = asked.get("sender", "")
    numbers = [number for m in messages for number in str(m.get("mobile_number", "")).split(",")]
    is_right = all(_NUMBER.fullmatch(n) or (generation == "2025" and _ABROAD.fullmatch(n)) for n in numbers)
    if not is_right or len(numbers) > MAX_AT_ONCE[generation] or not isinstance(sender, str):
        return None
    return numbers if len(sender) <= SENDER_MAX else None


def _is_text(content: object) -> bool:
    return isinstance(content, str) and 0 < len(content) <= TEXT_MAX


def _international(number: str) -> str:
    """As reports write it: country and number, digits only."""
    return re.sub(r"^(?:\+|00)", "", number) if not re.match(r"0[1-9]", number) else f"31{number[1:]}"
