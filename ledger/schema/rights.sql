-- What the connected role could do to the past: one line of text for each right it should not have.
-- Counted are the rights of the login and of every role it is a member of, inherited or not: it could SET ROLE to any of them.
-- And what would open the wall between organisations, which is the role in which the service works for one of them.
WITH login AS (
    SELECT oid, rolsuper FROM pg_roles WHERE rolname = session_user
), roles AS (
    SELECT r.oid, rolname, r.rolsuper, rolcreaterole FROM pg_roles AS r, login
    WHERE r.oid = login.oid OR (NOT login.rolsuper AND pg_has_role(login.oid, r.oid, 'MEMBER'))
), log AS (
    SELECT c.oid, c.relname, c.relowner, c.relnamespace FROM pg_class AS c
    WHERE c.oid IN (SELECT to_regclass(name) FROM unnest(ARRAY[
        'public.stored_events', 'public.heads', 'public.tile_hashes', 'public.duplicates', 'public.joins', 'public.meta'
    ]) AS name)
), walled AS (
    SELECT oid, rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = 'delivery_ledger_tenant'
), found (line) AS (
    SELECT format('%s is a superuser', rolname) FROM roles WHERE rolsuper
    UNION ALL
    SELECT format('%s owns table %s', rolname, relname) FROM roles JOIN log ON relowner = roles.oid
    UNION ALL
    SELECT format('%s may %s on table %s', rolname, right_, relname)
    FROM roles CROSS JOIN log CROSS JOIN unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS right_
    WHERE NOT rolsuper AND relowner <> roles.oid AND (
        has_table_privilege(roles.oid, log.oid, right_)
        OR right_ = 'UPDATE' AND has_any_column_privilege(roles.oid, log.oid, right_)
    )
    UNION ALL
    SELECT DISTINCT format('%s owns schema %s and could drop it', rolname, nspname)
    FROM log JOIN pg_namespace AS n ON n.oid = relnamespace JOIN roles ON nspowner = roles.oid
    UNION ALL
    SELECT format('%s owns database %s and could drop it', rolname, datname)
    FROM pg_database JOIN roles ON datdba = roles.oid WHERE datname = current_database()
    UNION ALL
    SELECT DISTINCT format('%s owns function %s, which guards the log', rolname, proname)
    FROM log JOIN pg_trigger ON tgrelid = log.oid JOIN pg_proc AS p ON p.oid = tgfoid JOIN roles ON proowner = roles.oid
    UNION ALL
    SELECT format('%s may set session_replication_role, which silences triggers', rolname)
    FROM roles WHERE NOT rolsuper AND has_parameter_privilege(roles.oid, 'session_replication_role', 'SET')
    UNION ALL
    SELECT format('%s may create roles, and on this PostgreSQL so join the owner', rolname)
    FROM roles WHERE rolcreaterole AND NOT rolsuper AND current_setting('server_version_num')::int < 160000
    UNION ALL
    SELECT format('%s may write the files of the server', rolname)
    FROM roles WHERE rolname IN ('pg_write_server_files', 'pg_execute_server_program')
    UNION ALL
    SELECT format('%s sees the rows of every organisation: it is a superuser or has BYPASSRLS', rolname)
    FROM walled WHERE rolsuper OR rolbypassrls
    UNION ALL
    SELECT format('%s is a member of %s and sees what that role sees', rolname, roleid::regrole)
    FROM walled JOIN pg_auth_members ON member = oid
    UNION ALL
    SELECT format('%s may read table %s, which has no row-level security', rolname, c.oid::regclass)
    FROM walled JOIN pg_class AS c ON c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
    WHERE c.relnamespace IN (to_regnamespace('public'), to_regnamespace('delivery_read'))
        AND has_any_column_privilege(walled.oid, c.oid, 'SELECT')
)
SELECT line FROM found ORDER BY line
