"""What limits us, measured beside us: bare PostgreSQL, and the frame that we build on as it comes."""

from __future__ import annotations

import os
import re
import subprocess
import time
from uuid import UUID

import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from ops.bench.contract import Bench
from ops.bench.load import database_url, per_s

EVENT_BYTES = 900
COPIED = 1_000
"""Rows of one COPY, and of one commit."""


def bare_insert(bench: Bench) -> float:
    """pgbench: 16 clients, each inserting one row of 900 bytes and committing it."""
    url = database_url(bench, "postgresql")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE rows (id bigserial PRIMARY KEY, state bytea NOT NULL)")
        connection.execute("ALTER TABLE rows ALTER COLUMN state SET STORAGE EXTERNAL")
    script = bench.folder / "insert.sql"
    script.write_text(f"INSERT INTO rows (state) VALUES (decode(repeat('61', {EVENT_BYTES}), 'hex'));\n")
    command = [f"{bench.server.programs}/pgbench", "-n", "-M", "prepared", "-c", "16", "-j", "2"]
    seconds = max(1, round(bench.scale.seconds))
    done = subprocess.run(
        [*command, "-T", str(seconds), "-f", str(script), url], check=True, capture_output=True, text=True
    )
    return float(re.search(r"tps = ([\d.]+)", done.stdout)[1])  # type: ignore[index]  # pgbench says so always


def copy(bench: Bench) -> float:
    """Binary COPY of the columns of an event, each 1,000 rows a commit."""
    url = database_url(bench, "postgresql")
    state = os.urandom(EVENT_BYTES)
    done = 0
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE rows (id int8 PRIMARY KEY, stream text NOT NULL, version int8 NOT NULL, topic text NOT NULL, "
            "state bytea NOT NULL, leaf bytea NOT NULL, UNIQUE (stream, version))"
        )
        connection.execute("ALTER TABLE rows ALTER COLUMN state SET STORAGE EXTERNAL")
        begun = time.perf_counter()
        while time.perf_counter() - begun < bench.scale.seconds:
            with connection.cursor() as cursor, cursor.copy("COPY rows FROM STDIN (FORMAT BINARY)") as into:
                into.set_types(["int8", "text", "int8", "text", "bytea", "bytea"])
                for number in range(done, done + COPIED):
                    stream = f"{number % bench.scale.streams:036}"
                    into.write_row((number, stream, number, "content.consigned/1", state, state[:32]))
            done += COPIED
        return done / (time.perf_counter() - begun)


class _Delivery(Aggregate):
    """An aggregate of the frame, with an event of the same size."""

    @event("Told")
    def tell(self, text: str) -> None:
        self.text = text


def stock(bench: Bench) -> float:
    """The frame's own application and PostgreSQL recorder, as documented: 16 threads, one event each."""
    url = psycopg.conninfo.conninfo_to_dict(database_url(bench, "postgresql"))
    environment = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(url["dbname"]),
        "POSTGRES_HOST": str(url["host"]),
        "POSTGRES_PORT": "5432",
        "POSTGRES_USER": str(url["user"]),
        "POSTGRES_PASSWORD": "",
        "POSTGRES_MAX_OVERFLOW": "20",
    }
    app: Application[UUID] = Application(env=environment)
    try:
        deliveries = [_Delivery() for _ in range(min(16 * 50, bench.scale.streams))]
        app.save(*deliveries)
        free = list(deliveries)

        def tell() -> int:
            delivery = free.pop()
            delivery.tell("x" * (EVENT_BYTES - 250))
            app.save(delivery)
            free.append(delivery)
            return 1

        return per_s(tell, 16, bench.scale.seconds)
    finally:
        app.close()
