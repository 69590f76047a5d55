"""The audit of dependencies, against a stand-in of OSV (its API, POST /v1/querybatch)."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ops import audit


class Osv(BaseHTTPRequestHandler):
    """Says what its server was told to say."""

    def do_POST(self) -> None:
        server: Any = self.server
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        server.asked += asked
        if server.hold is not None:
            server.hold.wait(30)
        known = [
            {"vulns": [{"id": "PYSEC-1", "modified": "x"}]} if q["package"]["name"] == server.bad else {} for q in asked
        ]
        body = server.body or json.dumps({"results": known}).encode()
        self.send_response(server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@contextmanager
def osv(*, bad: str = "", status: int = 200, body: bytes = b"", hold: threading.Event | None = None) -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Osv)
    server.asked, server.bad, server.status, server.body, server.hold = [], bad, status, body, hold
    server.url = f"http://127.0.0.1:{server.server_port}/v1/querybatch"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        if hold is not None:
            hold.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_every_package_of_the_lock_is_asked_for() -> None:
    """With its version, and once for each version."""
    packages = audit.locked(audit.LOCK.read_text())
    assert len(packages) > 50
    assert {"aiohttp", "cryptography", "defusedxml"} <= {package.name for package in packages}
    assert [] == [package for package in packages if not package.version[:1].isdigit()]


def test_a_known_vulnerability_fails_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """With the package, the version and what to do."""
    with osv(bad="aiohttp") as server:
        assert 1 == audit.main(server.url)
        assert len(audit.locked(audit.LOCK.read_text())) == len(server.asked)
    said = capsys.readouterr().out
    assert "aiohttp" in said
    assert "PYSEC-1" in said
    with osv() as server:
        assert 0 == audit.main(server.url)


def test_an_advisory_that_is_accepted_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its id, with a reason."""
    monkeypatch.setitem(audit.ACCEPTED, "PYSEC-1", "we do not use that part")
    with osv(bad="aiohttp") as server:
        assert {} == asyncio.run(audit.advisories([audit.Package("aiohttp", "1")], server.url))


@pytest.mark.parametrize("how", [{"status": 503}, {"status": 302}, {"body": b"<html>"}, {"body": b'{"results": []}'}])
def test_without_data_the_audit_is_skipped_with_a_reason(
    how: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Never taken for a clean one."""
    with osv(**how) as server:
        assert 0 == audit.main(server.url)
    assert "skipped" in capsys.readouterr().out


def test_a_server_that_hangs_or_is_not_there_holds_nobody_up(capsys: pytest.CaptureFixture[str]) -> None:
    """After its time the audit is skipped."""
    with osv(hold=threading.Event()) as server:
        assert 0 == audit.main(server.url, 0.3)
    assert 0 == audit.main(server.url, 0.3)
    assert 2 == capsys.readouterr().out.count("skipped")


def test_the_audit_is_part_of_what_ci_runs() -> None:
    """In the script that checks everything."""
    assert "python -m ops.audit" in (Path(__file__).parents[2] / "ops/test").read_text()
