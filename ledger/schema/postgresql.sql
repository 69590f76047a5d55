-- The log and what lies beside it, on PostgreSQL 15 or newer. Run by the owner (`delivery-ledger db migrate`), never by the service.
-- Positions (notification_id) are 1, 2, 3 … without a gap; log tables are never updated, deleted or truncated.
-- Statements are separated by lines of `--;`. {service}, {privacy} and {tenant} are role names, {reader} the schema of the read models,
-- {schema} that of everything else.
--
-- What the service's role may do is append. A transaction of the log inserts one head, then exactly the events that the head
-- covers; whatever else it holds, triggers refuse. What no trigger can judge is whether the hashes it inserts are true: fsck does.
-- Guards name everything with its schema and search nowhere else, so that no table of the service's own can stand in for ours.
--
-- Text keys are compared as bytes: an operating system that changes its sort order cannot break their indexes.
SELECT pg_advisory_xact_lock(7305411) -- the appender's: guards are renewed between two appends
--;
CREATE TABLE IF NOT EXISTS stored_events (
    notification_id bigint PRIMARY KEY,
    originator_id text COLLATE "C" NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL CHECK (length(state) <= 65535),
    leaf bytea NOT NULL CHECK (length(leaf) = 32),
    CONSTRAINT stored_events_version UNIQUE (originator_id, originator_version)
) WITH (autovacuum_analyze_threshold = 1000, autovacuum_vacuum_insert_threshold = 1000000)
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
    stream text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    joined_into text NOT NULL,
    PRIMARY KEY (stream, position)
)
--;
CREATE TABLE IF NOT EXISTS meta (
    name text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL
)
--;
CREATE TABLE IF NOT EXISTS person_keys (
    key_id bytea PRIMARY KEY,
    stream text COLLATE "C" NOT NULL,
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
    artifact_id text COLLATE "C" PRIMARY KEY,
    position bigint NOT NULL,
    key_id bytea NOT NULL,
    media_type text NOT NULL,
    body_bytes bigint NOT NULL,
    sealed bytea
)
--;
CREATE TABLE IF NOT EXISTS lookups (
    digest bytea NOT NULL,
    stream text COLLATE "C" NOT NULL,
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
    tenant text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    provider text NOT NULL,
    is_disabled smallint NOT NULL,
    opened_at text NOT NULL,
    PRIMARY KEY (tenant, account)
)
--;
CREATE TABLE IF NOT EXISTS account_secrets (
    tenant text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    key_id bytea NOT NULL,
    wrapped bytea NOT NULL,
    sealed bytea NOT NULL,
    added_at text NOT NULL,
    PRIMARY KEY (tenant, account, name)
)
--;
-- What the service needs to call the provider, sealed like webhook secrets, and in the clear the country of national numbers ('': the provider's).
CREATE TABLE IF NOT EXISTS account_setup (
    tenant text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    region text NOT NULL,
    key_id bytea NOT NULL,
    wrapped bytea NOT NULL,
    sealed bytea NOT NULL,
    changed_at text NOT NULL,
    PRIMARY KEY (tenant, account)
)
--;
-- Settings as earlier versions kept them; sealed into account_setup when the ledger is opened.
CREATE TABLE IF NOT EXISTS account_settings (
    tenant text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    settings text NOT NULL,
    changed_at text NOT NULL,
    PRIMARY KEY (tenant, account)
)
--;
CREATE TABLE IF NOT EXISTS account_credentials (
    tenant text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    key_id bytea NOT NULL,
    wrapped bytea NOT NULL,
    sealed bytea NOT NULL,
    added_at text NOT NULL,
    PRIMARY KEY (tenant, account, name)
)
--;
CREATE TABLE IF NOT EXISTS api_keys (
    api_key_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    scopes text NOT NULL,
    label text NOT NULL,
    created_at text NOT NULL,
    expires_at text NOT NULL,
    revoked_at text NOT NULL
)
--;
-- When an API key was last used, to the minute.
CREATE TABLE IF NOT EXISTS api_key_uses (
    api_key_id text COLLATE "C" PRIMARY KEY,
    last_used_at text COLLATE "C" NOT NULL
)
--;
CREATE TABLE IF NOT EXISTS quarantine (
    quarantine_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
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
-- Tokens of time-stamp authorities, and what waits for one (position 0); a token over an original is sealed under that original's key.
CREATE TABLE IF NOT EXISTS timestamps (
    kind text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    tenant text NOT NULL,
    stream text NOT NULL,
    event_id text NOT NULL,
    key_id bytea NOT NULL,
    requested_at text NOT NULL,
    retry_at text COLLATE "C" NOT NULL,
    tries integer NOT NULL,
    token bytea,
    gen_time text NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (kind, subject)
)
--;
CREATE INDEX IF NOT EXISTS timestamps_waiting ON timestamps (retry_at, kind, subject) WHERE position = 0
--;
-- What authorities said of the signers of originals: who is asked when next, and what came. A signer is the SHA-256 of its certificate.
CREATE TABLE IF NOT EXISTS revocations (
    signer text COLLATE "C" PRIMARY KEY,
    certificates bytea NOT NULL,
    asked_at text COLLATE "C" NOT NULL,
    retry_at text COLLATE "C" NOT NULL,
    tries integer NOT NULL,
    ocsp bytea,
    crl bytea,
    error text NOT NULL,
    is_revoked integer NOT NULL
)
--;
-- Verdicts that left open whether the signer was revoked, by position; what is said after `since` may settle them.
CREATE TABLE IF NOT EXISTS revocations_waiting (
    position bigint PRIMARY KEY,
    signer text COLLATE "C" NOT NULL,
    since text COLLATE "C" NOT NULL
)
--;
CREATE INDEX IF NOT EXISTS revocations_by_signer ON revocations_waiting (signer, since)
--;
-- What is to be sent: written with the request for it, sealed under the message's key; `due_at` is '' when nothing is to be done.
CREATE TABLE IF NOT EXISTS outbox (
    message text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    provider text NOT NULL,
    state text COLLATE "C" NOT NULL,
    due_at text COLLATE "C" NOT NULL,
    key_id bytea NOT NULL,
    sealed bytea
)
--;
CREATE INDEX IF NOT EXISTS outbox_due ON outbox (due_at, message) WHERE due_at <> ''
--;
CREATE INDEX IF NOT EXISTS outbox_by_state ON outbox (tenant, state, message)
--;
-- What is done by the clock: when it is next due and how it went; what there is to do is derived from the accounts.
CREATE TABLE IF NOT EXISTS jobs (
    tenant text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    job text COLLATE "C" NOT NULL,
    next_at text COLLATE "C" NOT NULL,
    asked_at text COLLATE "C" NOT NULL,
    started_at text COLLATE "C" NOT NULL,
    ended_at text COLLATE "C" NOT NULL,
    ok_at text COLLATE "C" NOT NULL,
    last_error text NOT NULL,
    failures bigint NOT NULL,
    runs bigint NOT NULL,
    found bigint NOT NULL,
    nothing_new bigint NOT NULL,
    told bigint NOT NULL,
    state text NOT NULL,
    PRIMARY KEY (tenant, account, job)
)
--;
-- Long work that somebody asked for: how far it is, what was asked and what came of it, sealed under a key of its own (none: removed).
-- `run` is drawn for each try; `once` tells the same request from another; `due_at` is '' when nothing is to be done.
CREATE TABLE IF NOT EXISTS tasks (
    task text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    scopes text NOT NULL,
    state text COLLATE "C" NOT NULL,
    run text NOT NULL,
    once text COLLATE "C" NOT NULL UNIQUE,
    tries bigint NOT NULL,
    due_at text COLLATE "C" NOT NULL,
    done bigint NOT NULL,
    total bigint,
    error text NOT NULL,
    created_at text NOT NULL,
    started_at text COLLATE "C" NOT NULL,
    ended_at text NOT NULL,
    expires_at text COLLATE "C" NOT NULL,
    key_id bytea NOT NULL,
    wrapped bytea,
    request bytea,
    result bytea
)
--;
CREATE INDEX IF NOT EXISTS tasks_by_tenant ON tasks (tenant, task)
--;
CREATE INDEX IF NOT EXISTS tasks_by_state ON tasks (state, due_at)
--;
-- When a provider was last asked about a message, and how often it failed since it last answered.
CREATE TABLE IF NOT EXISTS polls (
    tenant text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    message text COLLATE "C" NOT NULL,
    asked_at text COLLATE "C" NOT NULL,
    failures bigint NOT NULL,
    PRIMARY KEY (tenant, account, message)
)
--;
CREATE SCHEMA IF NOT EXISTS {reader}
--;
-- How far each read model has read; written in the transaction of its rows.
CREATE TABLE IF NOT EXISTS {reader}.tracking (
    application_name text COLLATE "C" PRIMARY KEY,
    notification_id bigint NOT NULL
)
--;
ALTER TABLE stored_events ALTER COLUMN state SET STORAGE EXTERNAL
--;
ALTER TABLE artifacts ALTER COLUMN sealed SET STORAGE EXTERNAL
--;
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the log is append-only: % on %', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$
--;
-- Events come after their head and fill it: from the one before to its size, none twice, none missing.
CREATE OR REPLACE FUNCTION check_positions() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first_added bigint; last_added bigint; added_count bigint; sizes bigint[];
BEGIN
    SELECT min(notification_id), max(notification_id), count(*) INTO first_added, last_added, added_count FROM added;
    IF added_count = 0 THEN RETURN NULL; END IF;
    sizes := ARRAY(SELECT size FROM {schema}.heads ORDER BY size DESC LIMIT 2);
    IF last_added IS DISTINCT FROM sizes[1] OR first_added <> coalesce(sizes[2], 0) + 1 OR last_added - first_added + 1 <> added_count THEN
        RAISE EXCEPTION '% events at positions % to % do not fill the head %; the one before is %',
            added_count, first_added, last_added, sizes[1], coalesce(sizes[2], 0) USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
--;
-- Judged at the commit: a head ends at the last event, and its time is not before the one of the head before.
CREATE OR REPLACE FUNCTION check_head() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last_event bigint; time_before bigint;
BEGIN
    SELECT max(notification_id) INTO last_event FROM {schema}.stored_events;
    SELECT recorded_at INTO time_before FROM {schema}.heads WHERE size < NEW.size ORDER BY size DESC LIMIT 1;
    IF NEW.size IS DISTINCT FROM last_event THEN
        RAISE EXCEPTION 'head % does not end at the last event %', NEW.size, last_event USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.recorded_at < time_before THEN
        RAISE EXCEPTION 'head % was recorded at %, before the one before it at %', NEW.size, NEW.recorded_at, time_before
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
--;
-- All of one transaction in one call: what is stored beside the events comes as arrays, a column each.
-- The lock is the appender's, until the transaction ends; the database's clock is read after it, so that waiting is no error of a clock.
CREATE OR REPLACE FUNCTION append_batch(
    expected bigint, clock_us bigint, new_root bytea, recorded_us bigint,
    streams text[], versions bigint[], topics text[], states bytea[], leaves bytea[],
    tile_levels smallint[], tile_indexes bigint[], tiles bytea[],
    duplicate_keys bytea[], duplicate_positions bigint[],
    join_streams text[], join_positions bigint[], joins_into text[],
    key_ids bytea[], key_streams text[], key_persons integer[], key_wraps bytea[],
    value_positions bigint[], value_keys bytea[], value_blobs bytea[],
    artifact_ids text[], artifact_positions bigint[], artifact_keys bytea[], artifact_types text[], artifact_sizes bigint[],
    artifact_blobs bytea[],
    lookup_digests bytea[], lookup_streams text[], lookup_recipients integer[], lookup_positions bigint[], lookup_exclusives smallint[],
    outbox_messages text[], outbox_tenants text[], outbox_accounts text[], outbox_providers text[], outbox_states text[],
    outbox_times text[], outbox_keys bytea[], outbox_blobs bytea[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    found bigint; ahead bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7305411);
    SELECT coalesce((SELECT size FROM {schema}.heads ORDER BY size DESC LIMIT 1), 0) INTO found;
    IF found <> expected THEN
        RAISE EXCEPTION 'head moved: expected %, found %', expected, found USING ERRCODE = 'LG001';
    END IF;
    ahead := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - clock_us;
    IF abs(ahead) > 2000000 THEN
        RAISE EXCEPTION 'the database clock is % microseconds ahead of ours', ahead USING ERRCODE = 'LG002';
    END IF;
    INSERT INTO {schema}.heads VALUES (expected + cardinality(states), new_root, recorded_us);
    INSERT INTO {schema}.stored_events
        SELECT expected + n, stream, version, topic, state, leaf
        FROM unnest(streams, versions, topics, states, leaves) WITH ORDINALITY AS added (stream, version, topic, state, leaf, n);
    IF cardinality(tiles) > 0 THEN
        INSERT INTO {schema}.tile_hashes SELECT * FROM unnest(tile_levels, tile_indexes, tiles);
    END IF;
    IF cardinality(duplicate_keys) > 0 THEN
        INSERT INTO {schema}.duplicates SELECT * FROM unnest(duplicate_keys, duplicate_positions);
    END IF;
    IF cardinality(join_streams) > 0 THEN
        INSERT INTO {schema}.joins SELECT * FROM unnest(join_streams, join_positions, joins_into);
    END IF;
    IF cardinality(key_ids) > 0 THEN
        INSERT INTO {schema}.person_keys SELECT * FROM unnest(key_ids, key_streams, key_persons, key_wraps);
    END IF;
    IF cardinality(value_positions) > 0 THEN
        INSERT INTO {schema}.sealed_values SELECT * FROM unnest(value_positions, value_keys, value_blobs);
    END IF;
    IF cardinality(artifact_ids) > 0 THEN
        INSERT INTO {schema}.artifacts SELECT * FROM unnest(
            artifact_ids, artifact_positions, artifact_keys, artifact_types, artifact_sizes, artifact_blobs);
    END IF;
    IF cardinality(lookup_digests) > 0 THEN
        INSERT INTO {schema}.lookups SELECT * FROM unnest(
            lookup_digests, lookup_streams, lookup_recipients, lookup_positions, lookup_exclusives);
    END IF;
    IF cardinality(outbox_messages) > 0 THEN
        INSERT INTO {schema}.outbox SELECT * FROM unnest(
            outbox_messages, outbox_tenants, outbox_accounts, outbox_providers, outbox_states, outbox_times, outbox_keys,
            outbox_blobs);
    END IF;
END $$
--;
DO $$
DECLARE
    log_table text;
BEGIN
    FOREACH log_table IN ARRAY ARRAY['stored_events', 'heads', 'tile_hashes', 'duplicates', 'joins', 'meta'] LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', log_table);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER no_change', log_table); -- also under session_replication_role
    END LOOP;
END $$
--;
CREATE OR REPLACE TRIGGER positions AFTER INSERT ON stored_events
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_positions()
--;
DROP TRIGGER IF EXISTS head_ends ON heads
--;
CREATE CONSTRAINT TRIGGER head_ends AFTER INSERT ON heads
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_head()
--;
-- The one way to change a wrapped key: against what it was, by the owner's right, for the privacy role, which could destroy it anyway.
CREATE OR REPLACE FUNCTION rewrap_keys(ids bytea[], olds bytea[], news bytea[]) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH swapped AS (
        UPDATE {schema}.person_keys AS held SET wrapped = swap.new FROM unnest(ids, olds, news) AS swap(id, old, new)
        WHERE held.key_id = swap.id AND held.wrapped = swap.old RETURNING 1
    ) SELECT count(*) FROM swapped
$$
--;
REVOKE ALL ON FUNCTION rewrap_keys(bytea[], bytea[], bytea[]) FROM PUBLIC, {service}
--;
GRANT EXECUTE ON FUNCTION rewrap_keys(bytea[], bytea[], bytea[]) TO {privacy}
--;
REVOKE ALL ON stored_events, heads, tile_hashes, duplicates, joins, meta, person_keys, sealed_values, artifacts, lookups,
    accounts, account_secrets, account_setup, account_settings, account_credentials, api_keys, api_key_uses, quarantine, timestamps, outbox,
    jobs, polls, tasks, revocations, revocations_waiting
    FROM PUBLIC, {service}, {privacy}, {tenant} -- also what default privileges gave
--;
GRANT USAGE ON SCHEMA {schema} TO {service}, {privacy}, {tenant}
--;
GRANT USAGE, CREATE ON SCHEMA {reader} TO {service}
--;
GRANT SELECT, INSERT, UPDATE, DELETE ON {reader}.tracking TO {service}
--;
GRANT SELECT, INSERT ON stored_events, heads, tile_hashes, duplicates, joins, meta, person_keys, sealed_values, artifacts, lookups
    TO {service}
--;
GRANT SELECT, INSERT, UPDATE, DELETE ON accounts, account_secrets, account_setup, account_settings, account_credentials, api_keys, api_key_uses,
    quarantine, timestamps, outbox, jobs, polls, tasks, revocations, revocations_waiting TO {service}
--;
GRANT SELECT ON stored_events, heads, duplicates, joins, meta, person_keys, sealed_values, artifacts, lookups TO {privacy}
--;
GRANT DELETE ON person_keys, sealed_values, artifacts, lookups TO {privacy}
--;
-- And what lies beside the log of somebody who is erased.
GRANT SELECT, DELETE ON timestamps, outbox TO {privacy}
--;
-- The second wall between organisations. Whoever works for one of them does so in the role {tenant}, which sees the rows that belong to
-- the organisation named in `delivery_ledger.tenant` and those of the ledger itself, and none of an organisation while none is named; a table
-- without a line here it does not see at all.
-- The service, which appends, keeps the read models and does the jobs, sees everything. Read models get the same wall from whoever makes
-- them (projections/runner.py).
--
-- A SELECT in parentheses is evaluated once for a statement, not for each row; OFFSET 0 keeps the planner from reading a whole table for
-- what is one probe of an index.
CREATE OR REPLACE FUNCTION own_tenant() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT nullif(current_setting('delivery_ledger.tenant', true), '')
$$
--;
-- How an event says so: keys and values are of a few plain characters, quotes in other texts are escaped, so this stands nowhere else in one.
CREATE OR REPLACE FUNCTION own_mark() RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT convert_to('"tenant":"' || {schema}.own_tenant() || '"', 'UTF8')
$$
--;
-- Leaf hashes say nothing of what was hashed (each event holds a nonce), and every proof needs those of the neighbours.
CREATE OR REPLACE VIEW leaf_hashes AS SELECT notification_id, leaf FROM stored_events
--;
REVOKE ALL ON leaf_hashes FROM PUBLIC, {service}, {privacy}, {tenant}
--;
GRANT SELECT ON leaf_hashes TO {service}, {tenant}
--;
GRANT USAGE ON SCHEMA {reader} TO {tenant}
--;
DO $$
DECLARE
    by_position constant text := 'EXISTS (SELECT FROM {schema}.stored_events AS e WHERE e.notification_id = position OFFSET 0)';
    of_tenant constant text := 'tenant = (SELECT {schema}.own_tenant())';
    wall record;
BEGIN
    FOR wall IN SELECT * FROM (VALUES
        ('{schema}.stored_events', 'SELECT',
            'position((SELECT {schema}.own_mark()) IN state) > 0', 'position(''"tenant":"ledger"''::bytea IN state) > 0'),
        ('{schema}.heads', 'SELECT', 'true', ''),
        ('{schema}.tile_hashes', 'SELECT', 'true', ''),
        ('{schema}.duplicates', 'SELECT', by_position, ''),
        ('{schema}.joins', 'SELECT', by_position, ''),
        ('{schema}.meta', '', '', ''),
        ('{schema}.person_keys', 'SELECT',
            'CASE WHEN starts_with(stream, ''account/'') THEN split_part(stream, ''/'', 2) = (SELECT {schema}.own_tenant())
             ELSE EXISTS (SELECT FROM {schema}.stored_events AS e WHERE e.originator_id = stream AND e.originator_version = 1 OFFSET 0) END', ''),
        ('{schema}.sealed_values', 'SELECT', by_position, ''),
        ('{schema}.artifacts', 'SELECT', by_position, ''),
        ('{schema}.lookups', 'SELECT', by_position, ''),
        ('{schema}.accounts', 'SELECT, INSERT, UPDATE', of_tenant, ''),
        ('{schema}.account_secrets', 'SELECT, INSERT, UPDATE, DELETE', of_tenant, ''),
        ('{schema}.account_setup', 'SELECT, INSERT, UPDATE', of_tenant, ''),
        ('{schema}.account_settings', 'SELECT, INSERT, UPDATE, DELETE', of_tenant, ''),
        ('{schema}.account_credentials', 'SELECT, INSERT, UPDATE, DELETE', of_tenant, ''),
        ('{schema}.api_keys', 'SELECT, INSERT, UPDATE', of_tenant, ''),
        ('{schema}.api_key_uses', 'SELECT',
            'EXISTS (SELECT FROM {schema}.api_keys AS k WHERE k.api_key_id = api_key_uses.api_key_id OFFSET 0)', ''),
        ('{schema}.quarantine', 'SELECT, INSERT, DELETE', of_tenant, ''),
        ('{schema}.timestamps', 'SELECT', of_tenant, 'kind = ''checkpoint'''),
        ('{schema}.revocations', 'SELECT', 'true', ''),
        ('{schema}.revocations_waiting', '', '', ''),
        ('{schema}.outbox', 'SELECT, UPDATE', of_tenant, ''),
        ('{schema}.jobs', 'SELECT, INSERT, UPDATE', of_tenant, 'tenant = ''ledger'''),
        ('{schema}.tasks', 'SELECT, INSERT, UPDATE, DELETE', of_tenant, ''),
        ('{schema}.polls', 'SELECT', of_tenant, ''),
        ('{reader}.tracking', 'SELECT', 'true', '')
    ) AS walls (name, rights, own, ledgers) LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', wall.name);
        EXECUTE format('DROP POLICY IF EXISTS everything ON %s', wall.name);
        EXECUTE format('CREATE POLICY everything ON %s TO {service}, {privacy} USING (true)', wall.name);
        EXECUTE format('DROP POLICY IF EXISTS own ON %s', wall.name);
        CONTINUE WHEN wall.rights = '';
        EXECUTE format('CREATE POLICY own ON %s TO {tenant} USING (%s)', wall.name, wall.own);
        EXECUTE format('DROP POLICY IF EXISTS ledgers ON %s', wall.name);
        IF wall.ledgers <> '' THEN
            EXECUTE format('CREATE POLICY ledgers ON %s FOR SELECT TO {tenant} USING (%s)', wall.name, wall.ledgers);
        END IF;
        EXECUTE format('GRANT %s ON %s TO {tenant}', wall.rights, wall.name);
    END LOOP;
END $$
