"""The figures, their limits and their goals: one table."""

from __future__ import annotations

from ops.bench import appending, bulk, checking, exporting, growth, limits, lookup, peers, reading, serving, snapshot
from ops.bench.contract import Figure

FIGURES: tuple[Figure, ...] = (
    Figure("insert", "pgbench: one-row INSERT, 16 clients", "events/s", limits.bare_insert),
    Figure("copy", "binary COPY, 1,000 rows a commit", "events/s", limits.copy),
    Figure("stock", "eventsourcing as it comes, 16 writers", "events/s", limits.stock),
    Figure(
        "append_16",
        "append, 16 writers, PostgreSQL",
        "events/s",
        appending.writers("postgresql", 16, "append_16"),
        "insert",
        0.75,
    ),
    Figure(
        "append_16_stock",
        "the same against eventsourcing as it comes",
        "events/s",
        appending.writers("postgresql", 16),
        "stock",
        15.0,
    ),
    Figure(
        "append_64", "append, 64 writers, PostgreSQL", "events/s", appending.writers("postgresql", 64), "insert", 1.4
    ),
    Figure(
        "append_16_threads", "append, 16 threads, PostgreSQL", "events/s", appending.threads("postgresql", 16), "insert"
    ),
    Figure("append_16_sqlite", "append, 16 writers, SQLite", "events/s", appending.writers("sqlite", 16)),
    Figure(
        "batches", "append in items of 1,000, PostgreSQL", "events/s", appending.batches("postgresql"), "copy", 0.35
    ),
    Figure("batches_sqlite", "append in items of 1,000, SQLite", "events/s", appending.batches("sqlite")),
    Figure("lookup_bare", "bare aiohttp handler, one SELECT by primary key", "requests/s", lookup.bare),
    Figure(
        "lookup", "status of a delivery over HTTP", "requests/s", lookup.of_path(lookup.DELIVERY), "lookup_bare", 0.6
    ),
    Figure("lookup_message", "a whole message over HTTP", "requests/s", lookup.of_path(lookup.MESSAGE), "lookup_bare"),
    Figure("lookup_reference", "search for a reference over HTTP", "requests/s", lookup.by_reference, "lookup_bare"),
    Figure(
        "lookup_p99",
        "status of a delivery, 99th percentile at 200 requests/s",
        "ms",
        lookup.times(lookup.DELIVERY, "lookup_p99"),
        goal=10.0,
    ),
    Figure("verify", "offline verification of the whole log: leaves, root, versions", "s", checking.verify_s, goal=4.0),
    Figure("verify_opened", "the same, and every committed value opened", "s", checking.verify_opened_s, goal=15.0),
    Figure("verify_memory", "memory of the verifier", "MiB", checking.verify_memory),
    Figure("proof", "one proof under ten times the events, short leaves", "ms", checking.proof_ms, goal=5.0),
    Figure("proof_bytes", "the largest such proof", "bytes", checking.proof_bytes, goal=1_536),
    Figure(
        "fsck",
        "full check, a row of values per event, PostgreSQL",
        "events/s",
        checking.fsck_lean_per_s("postgresql"),
        goal=100_000,
    ),
    Figure(
        "fsck_sqlite",
        "full check, a row of values per event, SQLite",
        "events/s",
        checking.fsck_lean_per_s("sqlite"),
        goal=100_000,
    ),
    Figure(
        "fsck_sends", "full check of sends with originals, PostgreSQL", "events/s", checking.fsck_per_s("postgresql")
    ),
    Figure(
        "fsck_sends_sqlite", "full check of sends with originals, SQLite", "events/s", checking.fsck_per_s("sqlite")
    ),
    Figure("fsck_memory", "memory of the full check", "MiB", checking.fsck_memory),
    Figure("originals_read", "originals of 1 MiB read from disk", "s", checking.sequential_read),
    Figure("fsck_originals", "full check of them", "s", checking.fsck_originals, "originals_read", 2.0),
    Figure(
        "lag",
        "lag of the read models at 5,000 events/s, PostgreSQL, p99",
        "ms",
        reading.lag("postgresql"),
        goal=1_000.0,
    ),
    Figure("lag_sqlite", "lag of the read models at 5,000 events/s, SQLite, p99", "ms", reading.lag("sqlite")),
    Figure(
        "rebuild", "rebuild of all read models, PostgreSQL", "events/s", reading.rebuild("postgresql"), goal=40_000.0
    ),
    Figure("rebuild_sqlite", "rebuild of all read models, SQLite", "events/s", reading.rebuild("sqlite")),
    Figure(
        "bulk_paused",
        "reports over HTTP, NDJSON, 500 a request, read models paused",
        "events/s",
        bulk.figure("per_s", is_paused=True),
        goal=25_000.0,
    ),
    Figure(
        "bulk", "the same while read models follow", "events/s", bulk.figure("per_s", is_paused=False), goal=12_000.0
    ),
    Figure("bulk_lag", "lag of statuses meanwhile, p99", "ms", bulk.figure("lag_ms", is_paused=False), goal=2_000.0),
    Figure("bulk_single", "single webhooks meanwhile, p99", "ms", bulk.figure("single_ms", is_paused=False), goal=50.0),
    Figure(
        "bulk_memory",
        "memory of the server, second half of the import less the first",
        "MiB",
        bulk.figure("memory_mib", is_paused=False),
        goal=32.0,
    ),
    Figure("opening", "addresses opened by one processor, nothing around it", "rows/s", exporting.opening),
    Figure(
        "export_csv", "report of all deliveries with addresses, CSV", "rows/s", exporting.rows("csv"), goal=60_000.0
    ),
    Figure(
        "export_jsonl",
        "report of all deliveries with addresses, JSONL",
        "rows/s",
        exporting.rows("jsonl"),
        goal=60_000.0,
    ),
    Figure("export_memory", "memory of that, CSV", "MiB", exporting.memory("csv"), goal=143.0),
    Figure("search_page", "page of 500 deliveries with addresses, in process", "ms", exporting.page),
    Figure("trail", "trail of one delivery, in process", "ms", exporting.trail),
    Figure("evidence_pack", "evidence of 12 events, PDF and seal, recorded, p99", "s", exporting.pack, goal=2.0),
    Figure("start", "from the start of the process to the first ready answer", "s", serving.started, goal=1.0),
    Figure("stop", "from SIGTERM to the end, while messages are registered", "s", serving.stopped, goal=5.0),
    Figure("register_1", "messages registered over HTTP, one process", "requests/s", serving.appending(1)),
    Figure("register_4", "the same by four", "requests/s", serving.appending(4), "register_1", 0.9),
    *growth.figures("postgresql"),
    *growth.figures("sqlite"),
    *growth.TAKEN,
    *snapshot.FIGURES,
)

BY_NAME: tuple[Figure, ...] = (*snapshot.LONG_FIGURES,)
"""Measured only when they are asked for by their own names: they take long."""

PEERS: tuple[Figure, ...] = (
    Figure("message_db", "Message DB, 16 clients", "events/s", peers.message_db),
    Figure("emmett", "Emmett, 16 writers", "events/s", peers.emmett),
    Figure(
        "append_16_message_db",
        "append, 16 writers, against Message DB",
        "events/s",
        appending.writers("postgresql", 16),
        "message_db",
        4.5,
    ),
    Figure(
        "append_16_emmett",
        "append, 16 writers, against Emmett",
        "events/s",
        appending.writers("postgresql", 16),
        "emmett",
        7.0,
    ),
)
"""Event stores of others, measured with --peers or by their own names."""
