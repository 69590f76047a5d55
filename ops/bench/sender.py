"""What loads a server from outside, as a program of its own: reports in bulk, and single webhooks at a steady pace.

Its argument is an `Order` as JSON. It makes all requests and writes a line; once standard input ends it sends them, and writes `Sent`.
So it takes as little as can be of the processors that it shares with the server, and several begin together.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import msgspec

NDJSON = "application/x-ndjson"
BUSY = frozenset({429, 503})
BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
NUMBERS_PER_CALL = 200


class Order(msgspec.Struct, frozen=True):
    """What is to be sent.

    Attributes:
        kind: `calls` (answers to calls that send text messages), `reports` (one for each line) or `webhooks` (one for each request).
        path: where to.
        first: number of the first line; each is used once.
        lines: in a request.
        requests: in all, over all connections.
        streams: recipients that reports are about.
        seconds: after which nothing more is begun.
        pause_s: between two requests of a connection.
        key_id, secret: that webhooks are signed with.
    """

    kind: str
    url: str
    path: str
    api_key: str
    account: str
    key_id: str
    secret: str
    streams: int
    lines: int
    requests: int
    connections: int
    first: int = 0
    seconds: float = 3600.0
    pause_s: float = 0.0


class Sent(msgspec.Struct):
    """What came of it.

    Attributes:
        stored: lines that the server acknowledged as new.
        seconds: from the first request to the last answer.
        waits_ms: how long each request took.
        busy: answers that said to come again later.
    """

    stored: int = 0
    seconds: float = 0.0
    waits_ms: list[float] = []
    busy: int = 0


class Request(msgspec.Struct):
    """Bytes to send and the headers that go with them."""

    body: bytes
    headers: dict[str, str]


def call_line(order: Order, number: int) -> bytes:
    """The answer to one call that sent a text to 200 numbers."""
    first = number * NUMBERS_PER_CALL
    numbers = [_phone(each) for each in range(first, min(first + NUMBERS_PER_CALL, order.streams))]
    messages = [{"content": "Your parcel is on its way", "mobile_number": each} for each in numbers]
    record = {
        "account": order.account,
        "operation": "send",
        "observed_at": BEGAN.isoformat(),
        "status": 200,
        "request": json.dumps({"messages": messages, "sender": "Bench"}),
        "body": json.dumps({"document_id": _document(first), "status": "OK"}),
    }
    return json.dumps(record).encode()


def _phone(recipient: int) -> str:
    return f"+316{10_000_000 + recipient}"


def _document(recipient: int) -> str:
    return f"document-{recipient // NUMBERS_PER_CALL}"


def report(order: Order, number: int) -> bytes:
    """A report of one state of one number; each number of a line is another fact."""
    recipient = number * 7919 % order.streams
    at = BEGAN + timedelta(seconds=number)
    said = {
        "DLRID": _document(recipient),
        "RecipientPhonenumber": _phone(recipient),
        "StatusDateTime": int(at.timestamp()),
        "Message": "Your parcel is on its way",
        "MessageType": "SMS",
        "CustomerId": "customer-1",
        "Status": "1" if number % 2 else "3",
        "ErrorCode": "",
    }
    return json.dumps(said).encode()


def _signed(order: Order, body: bytes, at: datetime) -> dict[str, str]:
    return {
        "x-kpn-webhook-signature": hmac.new(order.secret.encode(), body, hashlib.sha256).hexdigest(),
        "x-kpn-webhook-timestamp": str(int(at.timestamp())),
        "x-kpn-webhook-key-id": order.key_id,
    }


def report_line(order: Order, number: int) -> bytes:
    """A report as an arrival record, with the signature it came with."""
    body, at = report(order, number), BEGAN + timedelta(seconds=number)
    record = {
        "account": order.account,
        "operation": "webhook.dlr",
        "observed_at": at.isoformat(),
        "headers": _signed(order, body, at),
        "body": body.decode(),
    }
    return json.dumps(record).encode()


def _bulk(line: Callable[[Order, int], bytes], order: Order, number: int) -> Request:
    first = order.first + number * order.lines
    body = b"\n".join(line(order, each) for each in range(first, first + order.lines))
    return Request(body, {"Content-Type": NDJSON, "X-Api-Key": order.api_key})


def _webhook(order: Order, number: int) -> Request:
    body = report(order, order.first + number)
    return Request(body, {"Content-Type": "application/json", **_signed(order, body, datetime.now(UTC))})


_REQUEST: dict[str, Callable[[Order, int], Request]] = {
    "calls": lambda order, number: _bulk(call_line, order, number),
    "reports": lambda order, number: _bulk(report_line, order, number),
    "webhooks": _webhook,
}


def made(order: Order) -> list[Request]:
    """What is to be sent, the last first."""
    return [_REQUEST[order.kind](order, number) for number in reversed(range(order.requests))]


def send(order: Order, requests: list[Request]) -> Sent:
    """Send requests over some connections, each of which waits for its answer."""
    sent, failed = Sent(waits_ms=[]), list[BaseException]()
    begun = time.perf_counter()

    def run() -> None:
        try:
            _send_some(order, requests, sent, begun + order.seconds)
        except BaseException as error:  # noqa: BLE001  told by the thread that waits for all
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(order.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    sent.seconds = time.perf_counter() - begun
    return sent


def _send_some(order: Order, requests: list[Request], sent: Sent, until: float) -> None:
    connection = http.client.HTTPConnection(urlsplit(order.url).netloc)
    while time.perf_counter() < until and requests:
        request = requests.pop()
        begun = time.perf_counter()
        connection.request("POST", order.path, request.body, request.headers)
        answer = connection.getresponse()
        data = answer.read()
        if answer.status in BUSY:
            sent.busy += 1
            requests.append(request)
            time.sleep(float(answer.headers["Retry-After"]))
            continue
        if answer.status != 200:
            raise RuntimeError(data.decode())
        sent.waits_ms.append((time.perf_counter() - begun) * 1000)
        sent.stored += data.count(b'"status":201') if order.lines > 1 or order.kind == "calls" else 1
        if order.pause_s:
            time.sleep(order.pause_s)
    connection.close()


def main() -> None:
    """Make, wait, send, tell."""
    order = msgspec.json.decode(sys.argv[1], type=Order)
    requests = made(order)
    sys.stdout.buffer.write(b"made\n")
    sys.stdout.flush()
    sys.stdin.read()
    sys.stdout.buffer.write(msgspec.json.encode(send(order, requests)))


if __name__ == "__main__":
    main()
