-- What the connected role could do to the past: one line of text for each right it should not have.
-- Counted are the rights of the login and of every role it is a member of, inherited or not: it could SET ROLE to any of them.
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
)
SELECT line FROM found ORDER BY line
