-- The log and what lies beside it, on PostgreSQL 15 or newer. Run by the owner (`delivery-ledger db migrate`), never by the service.
-- Positions (notification_id) are 1, 2, 3 … without a gap; log tables are never updated, deleted or truncated.
-- Statements are separated by lines of `--;`. {service} and {privacy} are role names, {reader} the schema of the read models.
CREATE TABLE IF NOT EXISTS stored_events (
    notification_id bigint PRIMARY KEY,
    originator_id text NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL CHECK (length(state) <= 65535),
    leaf bytea NOT NULL CHECK (length(leaf) = 32),
    CONSTRAINT stored_events_version UNIQUE (originator_id, originator_version)
) WITH (autovacuum_analyze_threshold = 1000, autovacuum_vacuum_insert_threshold = 1000000)
--;
ALTER TABLE stored_events ALTER COLUMN state SET STORAGE EXTERNAL
--;
CREATE TABLE IF NOT EXISTS heads (
    size bigint PRIMARY KEY,
    root bytea NOT NULL CHECK (length(root) = 32),
    recorded_at bigint NOT NULL
)
--;
CREATE TABLE IF NOT EXISTS tile_hashes (
    level smallint NOT NULL,
    tile_index bigint NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, tile_index)
)
--;
CREATE TABLE IF NOT EXISTS duplicates (
    duplicate_key bytea PRIMARY KEY,
    position bigint NOT NULL
)
--;
CREATE TABLE IF NOT EXISTS joins (
    stream text NOT NULL,
    position bigint NOT NULL,
    joined_into text NOT NULL,
    PRIMARY KEY (stream, position)
)
--;
CREATE TABLE IF NOT EXISTS meta (
    name text PRIMARY KEY,
    value bytea NOT NULL
)
--;
CREATE TABLE IF NOT EXISTS person_keys (
    key_id bytea PRIMARY KEY,
    stream text NOT NULL,
    person integer NOT NULL,
    wrapped bytea NOT NULL
)
--;
CREATE INDEX IF NOT EXISTS person_keys_by_stream ON person_keys (stream, person)
--;
CREATE TABLE IF NOT EXISTS sealed_values (
    position bigint NOT NULL,
    key_id bytea NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (position, key_id)
)
--;
CREATE TABLE IF NOT EXISTS artifacts (
    artifact_id text PRIMARY KEY,
    position bigint NOT NULL,
    key_id bytea NOT NULL,
    media_type text NOT NULL,
    body_bytes bigint NOT NULL,
    sealed bytea
)
--;
ALTER TABLE artifacts ALTER COLUMN sealed SET STORAGE EXTERNAL
--;
CREATE TABLE IF NOT EXISTS lookups (
    digest bytea NOT NULL,
    stream text NOT NULL,
    recipient integer NOT NULL,
    position bigint NOT NULL,
    exclusive smallint NOT NULL,
    PRIMARY KEY (digest, stream, recipient)
)
--;
CREATE UNIQUE INDEX IF NOT EXISTS lookups_exclusive ON lookups (digest) WHERE exclusive = 1
--;
CREATE INDEX IF NOT EXISTS lookups_by_stream ON lookups (stream, recipient)
--;
-- Beside the log and not part of it: may be changed and deleted.
CREATE TABLE IF NOT EXISTS accounts (
    tenant text NOT NULL,
    account text NOT NULL,
    provider text NOT NULL,
    is_disabled smallint NOT NULL,
    opened_at text NOT NULL,
    PRIMARY KEY (tenant, account)
)
--;
CREATE TABLE IF NOT EXISTS account_secrets (
    tenant text NOT NULL,
    account text NOT NULL,
    name text NOT NULL,
    key_id bytea NOT NULL,
    wrapped bytea NOT NULL,
    sealed bytea NOT NULL,
    added_at text NOT NULL,
    PRIMARY KEY (tenant, account, name)
)
--;
CREATE TABLE IF NOT EXISTS api_keys (
    api_key_id text PRIMARY KEY,
    tenant text NOT NULL,
    digest bytea NOT NULL,
    scopes text NOT NULL,
    label text NOT NULL,
    created_at text NOT NULL,
    expires_at text NOT NULL,
    revoked_at text NOT NULL
)
--;
CREATE TABLE IF NOT EXISTS quarantine (
    quarantine_id text PRIMARY KEY,
    tenant text NOT NULL,
    account text NOT NULL,
    received_at text NOT NULL,
    body_bytes bigint NOT NULL,
    why text NOT NULL,
    key_id bytea NOT NULL,
    wrapped bytea NOT NULL,
    sealed bytea NOT NULL
)
--;
CREATE INDEX IF NOT EXISTS quarantine_by_account ON quarantine (tenant, account, quarantine_id)
--;
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log is append-only: % on %', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$
--;
CREATE OR REPLACE FUNCTION check_next_positions() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    first bigint; final bigint; added_count bigint; head bigint;
BEGIN
    SELECT min(notification_id), max(notification_id), count(*) INTO first, final, added_count FROM added;
    IF added_count = 0 THEN RETURN NULL; END IF;
    SELECT coalesce((SELECT size FROM heads ORDER BY size DESC LIMIT 1), 0) INTO head;
    IF first <> head + 1 OR final - first + 1 <> added_count THEN
        RAISE EXCEPTION 'positions % to % do not follow the head %', first, final, head USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
--;
CREATE OR REPLACE FUNCTION expect_head(expected bigint, clock_us bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    found bigint; apart bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7305411);
    SELECT coalesce((SELECT size FROM heads ORDER BY size DESC LIMIT 1), 0) INTO found;
    IF found <> expected THEN
        RAISE EXCEPTION 'head moved: expected %, found %', expected, found USING ERRCODE = 'LG001';
    END IF;
    apart := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - clock_us;
    IF abs(apart) > 2000000 THEN
        RAISE EXCEPTION 'the database clock is % microseconds ahead of ours', apart USING ERRCODE = 'LG002';
    END IF;
END $$
--;
DO $$
DECLARE
    log_table text;
BEGIN
    FOREACH log_table IN ARRAY ARRAY['stored_events', 'heads', 'tile_hashes', 'duplicates', 'joins', 'meta'] LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS no_change ON %I', log_table);
        EXECUTE format('CREATE TRIGGER no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', log_table);
    END LOOP;
END $$
--;
DROP TRIGGER IF EXISTS next_positions ON stored_events
--;
CREATE TRIGGER next_positions AFTER INSERT ON stored_events
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_next_positions()
--;
CREATE SCHEMA IF NOT EXISTS {reader}
--;
GRANT USAGE ON SCHEMA {schema} TO {service}, {privacy}
--;
GRANT USAGE, CREATE ON SCHEMA {reader} TO {service}
--;
GRANT SELECT, INSERT ON stored_events, heads, tile_hashes, duplicates, joins, meta, person_keys, sealed_values, artifacts, lookups
    TO {service}
--;
GRANT SELECT, INSERT, UPDATE, DELETE ON accounts, account_secrets, api_keys, quarantine TO {service}
--;
GRANT SELECT ON stored_events, heads, duplicates, joins, meta, person_keys, sealed_values, artifacts, lookups TO {privacy}
--;
GRANT DELETE ON person_keys, sealed_values, artifacts, lookups TO {privacy}
--;
REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM PUBLIC
