"""`delivery-ledger db migrate` by the owner, before the first start and with every newer version, beside a service that owns nothing."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from ledger.database import SERVICE_ROLE
from ops.system import opened
from tests.ops.test_cli import Shell
from tests.ops.test_serve import service_url, settings_of
from tests.postgres import Database

__all__ = ["service_url"]


def test_owner_who_migrates_leaves_the_read_models_to_the_service(
    service_url: str,
    empty_postgresql_database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It begins no log and makes no table of a read model; once a log has begun, it says so there. Any service login builds all again."""
    shell = Shell(tmp_path, empty_postgresql_database.url, monkeypatch, capsys)
    shell.run("db", "migrate")
    with psycopg.connect(empty_postgresql_database.superuser_url) as reads:
        made = "SELECT tablename FROM pg_tables WHERE schemaname = 'delivery_read' AND tablename <> 'tracking'"
        assert [] == reads.execute(made).fetchall()
        assert [(0,)] == reads.execute("SELECT count(*) FROM stored_events").fetchall()
    settings = settings_of(service_url, tmp_path)
    with opened(settings) as system:
        system.accounts.add(settings.tenant, "sms", "kpn_sms")
        assert system.runner.run() > 0
        before = system.ledger.head().size
        owners = (
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'delivery_read' AND tablename LIKE 'read%'"
        )
        assert [(SERVICE_ROLE,)] == system.ledger.database.read(owners)
    monkeypatch.setenv("LEDGER_KEY_FOLDER", str(settings.key_folder))
    monkeypatch.setenv("LEDGER_ARTIFACT_FOLDER", str(settings.artifact_folder))
    monkeypatch.setenv("LEDGER_HEAD_FOLDER", str(settings.head_folder))
    shell.run("db", "migrate")
    with opened(settings) as system:
        assert ["operation.asked"] == [event.type for event in system.ledger.feed(before)]
        assert all(system.runner.rebuild(model).events for model in system.runner.models)
