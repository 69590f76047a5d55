-- The log and what lies beside it, on SQLite. Statements are separated by lines of `--;`.
-- Positions (rowid) are 1, 2, 3 … without a gap; log tables are never updated or deleted from. A transaction of the log inserts a
-- head, then the events it covers; that they reach its size is judged at the commit (a deferred foreign key).
-- INSERT OR REPLACE deletes without firing DELETE triggers, so the INSERT triggers refuse every row that would replace one.
CREATE TABLE IF NOT EXISTS stored_events (
    rowid INTEGER PRIMARY KEY,
    originator_id TEXT NOT NULL,
    originator_version INTEGER NOT NULL,
    topic TEXT NOT NULL,
    state BLOB NOT NULL CHECK (length(state) <= 65535),
    leaf BLOB NOT NULL CHECK (length(leaf) = 32),
    UNIQUE (originator_id, originator_version)
) STRICT
--;
CREATE TABLE IF NOT EXISTS heads (
    size INTEGER PRIMARY KEY REFERENCES stored_events (rowid) DEFERRABLE INITIALLY DEFERRED,
    root BLOB NOT NULL CHECK (length(root) = 32),
    recorded_at INTEGER NOT NULL
) STRICT
--;
CREATE TABLE IF NOT EXISTS tile_hashes (
    level INTEGER NOT NULL,
    tile_index INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, tile_index)
) WITHOUT ROWID, STRICT
--;
CREATE TABLE IF NOT EXISTS duplicates (
    duplicate_key BLOB PRIMARY KEY,
    position INTEGER NOT NULL
) WITHOUT ROWID, STRICT
--;
CREATE TABLE IF NOT EXISTS joins (
    stream TEXT NOT NULL,
    position INTEGER NOT NULL,
    joined_into TEXT NOT NULL,
    PRIMARY KEY (stream, position)
) WITHOUT ROWID, STRICT
--;
CREATE TABLE IF NOT EXISTS meta (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID, STRICT
--;
CREATE TABLE IF NOT EXISTS person_keys (
    key_id BLOB PRIMARY KEY,
    stream TEXT NOT NULL,
    person INTEGER NOT NULL,
    wrapped BLOB NOT NULL
) WITHOUT ROWID, STRICT
--;
CREATE INDEX IF NOT EXISTS person_keys_by_stream ON person_keys (stream, person)
--;
CREATE TABLE IF NOT EXISTS sealed_values (
    position INTEGER NOT NULL,
    key_id BLOB NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (position, key_id)
) WITHOUT ROWID, STRICT
--;
CREATE TABLE IF NOT EXISTS artifacts (
    artifact_id TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    key_id BLOB NOT NULL,
    media_type TEXT NOT NULL,
    body_bytes INTEGER NOT NULL,
    sealed BLOB
) WITHOUT ROWID, STRICT
--;
CREATE TABLE IF NOT EXISTS lookups (
    digest BLOB NOT NULL,
    stream TEXT NOT NULL,
    recipient INTEGER NOT NULL,
    position INTEGER NOT NULL,
    exclusive INTEGER NOT NULL,
    PRIMARY KEY (digest, stream, recipient)
) WITHOUT ROWID, STRICT
--;
CREATE UNIQUE INDEX IF NOT EXISTS lookups_exclusive ON lookups (digest) WHERE exclusive = 1
--;
CREATE INDEX IF NOT EXISTS lookups_by_stream ON lookups (stream, recipient)
--;
-- Beside the log and not part of it: may be changed and deleted.
CREATE TABLE IF NOT EXISTS accounts (
    tenant TEXT NOT NULL,
    account TEXT NOT NULL,
    provider TEXT NOT NULL,
    is_disabled INTEGER NOT NULL,
    opened_at TEXT NOT NULL,
    PRIMARY KEY (tenant, account)
)
--;
CREATE TABLE IF NOT EXISTS account_secrets (
    tenant TEXT NOT NULL,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    key_id BLOB NOT NULL,
    wrapped BLOB NOT NULL,
    sealed BLOB NOT NULL,
    added_at TEXT NOT NULL,
    PRIMARY KEY (tenant, account, name)
)
--;
-- What the service needs to call the provider, sealed like webhook secrets, and in the clear the country of national numbers ('': the provider's).
CREATE TABLE IF NOT EXISTS account_setup (
    tenant TEXT NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    key_id BLOB NOT NULL,
    wrapped BLOB NOT NULL,
    sealed BLOB NOT NULL,
    changed_at TEXT NOT NULL,
    PRIMARY KEY (tenant, account)
)
--;
-- Settings as earlier versions kept them; sealed into account_setup when the ledger is opened.
CREATE TABLE IF NOT EXISTS account_settings (
    tenant TEXT NOT NULL,
    account TEXT NOT NULL,
    settings TEXT NOT NULL,
    changed_at TEXT NOT NULL,
    PRIMARY KEY (tenant, account)
)
--;
CREATE TABLE IF NOT EXISTS account_credentials (
    tenant TEXT NOT NULL,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    key_id BLOB NOT NULL,
    wrapped BLOB NOT NULL,
    sealed BLOB NOT NULL,
    added_at TEXT NOT NULL,
    PRIMARY KEY (tenant, account, name)
)
--;
CREATE TABLE IF NOT EXISTS api_keys (
    api_key_id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    digest BLOB NOT NULL,
    scopes TEXT NOT NULL,
    label TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    revoked_at TEXT NOT NULL
)
--;
-- When an API key was last used, to the minute.
CREATE TABLE IF NOT EXISTS api_key_uses (
    api_key_id TEXT PRIMARY KEY,
    last_used_at TEXT NOT NULL
)
--;
CREATE TABLE IF NOT EXISTS quarantine (
    quarantine_id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    account TEXT NOT NULL,
    received_at TEXT NOT NULL,
    body_bytes INTEGER NOT NULL,
    why TEXT NOT NULL,
    key_id BLOB NOT NULL,
    wrapped BLOB NOT NULL,
    sealed BLOB NOT NULL
)
--;
CREATE INDEX IF NOT EXISTS quarantine_by_account ON quarantine (tenant, account, quarantine_id)
--;
-- Tokens of time-stamp authorities, and what waits for one (position 0); a token over an original is sealed under that original's key.
CREATE TABLE IF NOT EXISTS timestamps (
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    tenant TEXT NOT NULL,
    stream TEXT NOT NULL,
    event_id TEXT NOT NULL,
    key_id BLOB NOT NULL,
    requested_at TEXT NOT NULL,
    retry_at TEXT NOT NULL,
    tries INTEGER NOT NULL,
    token BLOB,
    gen_time TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (kind, subject)
)
--;
CREATE INDEX IF NOT EXISTS timestamps_waiting ON timestamps (retry_at, kind, subject) WHERE position = 0
--;
-- What authorities said of the signers of originals: who is asked when next, and what came. A signer is the SHA-256 of its certificate.
CREATE TABLE IF NOT EXISTS revocations (
    signer TEXT PRIMARY KEY,
    certificates BLOB NOT NULL,
    asked_at TEXT NOT NULL,
    retry_at TEXT NOT NULL,
    tries INTEGER NOT NULL,
    ocsp BLOB,
    crl BLOB,
    error TEXT NOT NULL,
    is_revoked INTEGER NOT NULL
) WITHOUT ROWID, STRICT
--;
-- Verdicts that left open whether the signer was revoked, by position; what is said after `since` may settle them.
CREATE TABLE IF NOT EXISTS revocations_waiting (
    position INTEGER PRIMARY KEY,
    signer TEXT NOT NULL,
    since TEXT NOT NULL
) STRICT
--;
CREATE INDEX IF NOT EXISTS revocations_by_signer ON revocations_waiting (signer, since)
--;
-- What is to be sent: written with the request for it, sealed under the message's key; `due_at` is '' when nothing is to be done.
CREATE TABLE IF NOT EXISTS outbox (
    message TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    account TEXT NOT NULL,
    provider TEXT NOT NULL,
    state TEXT NOT NULL,
    due_at TEXT NOT NULL,
    key_id BLOB NOT NULL,
    sealed BLOB
) WITHOUT ROWID, STRICT
--;
CREATE INDEX IF NOT EXISTS outbox_due ON outbox (due_at, message) WHERE due_at <> ''
--;
CREATE INDEX IF NOT EXISTS outbox_by_state ON outbox (tenant, state, message)
--;
-- What is done by the clock: when it is next due and how it went; what there is to do is derived from the accounts.
CREATE TABLE IF NOT EXISTS jobs (
    tenant TEXT NOT NULL,
    account TEXT NOT NULL,
    job TEXT NOT NULL,
    next_at TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT NOT NULL,
    ok_at TEXT NOT NULL,
    last_error TEXT NOT NULL,
    failures INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    found INTEGER NOT NULL,
    nothing_new INTEGER NOT NULL,
    told INTEGER NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (tenant, account, job)
) WITHOUT ROWID, STRICT
--;
-- Long work that somebody asked for: how far it is, what was asked and what came of it, sealed under a key of its own (none: removed).
-- `run` is drawn for each try; `once` tells the same request from another; `due_at` is '' when nothing is to be done.
CREATE TABLE IF NOT EXISTS tasks (
    task TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    owner TEXT NOT NULL,
    scopes TEXT NOT NULL,
    state TEXT NOT NULL,
    run TEXT NOT NULL,
    once TEXT NOT NULL UNIQUE,
    tries INTEGER NOT NULL,
    due_at TEXT NOT NULL,
    done INTEGER NOT NULL,
    total INTEGER,
    error TEXT NOT NULL,
    created_at TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    key_id BLOB NOT NULL,
    wrapped BLOB,
    request BLOB,
    result BLOB
) WITHOUT ROWID, STRICT
--;
CREATE INDEX IF NOT EXISTS tasks_by_tenant ON tasks (tenant, task)
--;
CREATE INDEX IF NOT EXISTS tasks_by_state ON tasks (state, due_at)
--;
-- When a provider was last asked about a message, and how often it failed since it last answered.
CREATE TABLE IF NOT EXISTS polls (
    tenant TEXT NOT NULL,
    account TEXT NOT NULL,
    message TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    failures INTEGER NOT NULL,
    PRIMARY KEY (tenant, account, message)
) WITHOUT ROWID, STRICT
--;
CREATE TRIGGER IF NOT EXISTS stored_events_next BEFORE INSERT ON stored_events BEGIN
    SELECT RAISE(ABORT, 'position is not the next one')
    WHERE NEW.rowid <> (SELECT coalesce(max(rowid), 0) + 1 FROM stored_events);
    SELECT RAISE(ABORT, 'no head covers the position')
    WHERE NEW.rowid > (SELECT coalesce(max(size), 0) FROM heads);
    SELECT RAISE(ABORT, 'stored_events.version is taken') WHERE EXISTS (
        SELECT 1 FROM stored_events
        WHERE originator_id = NEW.originator_id AND originator_version = NEW.originator_version);
END
--;
CREATE TRIGGER IF NOT EXISTS heads_next BEFORE INSERT ON heads BEGIN
    SELECT RAISE(ABORT, 'a head may only grow') WHERE NEW.size <= (SELECT coalesce(max(size), 0) FROM heads);
    SELECT RAISE(ABORT, 'the clock of the log never runs back')
    WHERE NEW.recorded_at < (SELECT recorded_at FROM heads ORDER BY size DESC LIMIT 1);
END
--;
CREATE TRIGGER IF NOT EXISTS tile_hashes_next BEFORE INSERT ON tile_hashes BEGIN
    SELECT RAISE(ABORT, 'a tile hash is written once')
    WHERE EXISTS (SELECT 1 FROM tile_hashes WHERE level = NEW.level AND tile_index = NEW.tile_index);
END
--;
CREATE TRIGGER IF NOT EXISTS duplicates_next BEFORE INSERT ON duplicates BEGIN
    SELECT RAISE(ABORT, 'duplicates.duplicate_key is taken')
    WHERE EXISTS (SELECT 1 FROM duplicates WHERE duplicate_key = NEW.duplicate_key);
END
--;
CREATE TRIGGER IF NOT EXISTS joins_next BEFORE INSERT ON joins BEGIN
    SELECT RAISE(ABORT, 'a join is written once')
    WHERE EXISTS (SELECT 1 FROM joins WHERE stream = NEW.stream AND position = NEW.position);
END
--;
CREATE TRIGGER IF NOT EXISTS stored_events_no_update BEFORE UPDATE ON stored_events BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
--;
CREATE TRIGGER IF NOT EXISTS stored_events_no_delete BEFORE DELETE ON stored_events BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
--;
CREATE TRIGGER IF NOT EXISTS heads_no_update BEFORE UPDATE ON heads BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
--;
CREATE TRIGGER IF NOT EXISTS heads_no_delete BEFORE DELETE ON heads BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
--;
CREATE TRIGGER IF NOT EXISTS tile_hashes_no_update BEFORE UPDATE ON tile_hashes BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
--;
CREATE TRIGGER IF NOT EXISTS tile_hashes_no_delete BEFORE DELETE ON tile_hashes BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
--;
CREATE TRIGGER IF NOT EXISTS duplicates_no_update BEFORE UPDATE ON duplicates BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
--;
CREATE TRIGGER IF NOT EXISTS duplicates_no_delete BEFORE DELETE ON duplicates BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
--;
CREATE TRIGGER IF NOT EXISTS joins_no_update BEFORE UPDATE ON joins BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
--;
CREATE TRIGGER IF NOT EXISTS joins_no_delete BEFORE DELETE ON joins BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
--;
CREATE TRIGGER IF NOT EXISTS meta_no_update BEFORE UPDATE ON meta BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
--;
CREATE TRIGGER IF NOT EXISTS meta_no_delete BEFORE DELETE ON meta BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
--;
CREATE TRIGGER IF NOT EXISTS meta_next BEFORE INSERT ON meta BEGIN
    SELECT RAISE(ABORT, 'meta is written once') WHERE EXISTS (SELECT 1 FROM meta WHERE name = NEW.name);
END
--;
CREATE TABLE IF NOT EXISTS tracking (
    application_name TEXT PRIMARY KEY,
    notification_id INTEGER
) WITHOUT ROWID, STRICT
--;
CREATE VIEW IF NOT EXISTS leaf_hashes AS SELECT rowid AS notification_id, leaf FROM stored_events
