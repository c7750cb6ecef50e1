-- Ringfence's table, its sequence, triggers and roles. Load it once, as a superuser or the database's owner:
--   psql -v ON_ERROR_STOP=1 -d DATABASE -f configs/schema.sql
--   psql -v rf_schema=app -v rf_table=flags ...     other names; the node's option `table` must say the same
-- The database's encoding must be UTF8.
\set ON_ERROR_STOP on
\if :{?rf_schema}
\else
    \set rf_schema ringfence
\endif
\if :{?rf_table}
\else
    \set rf_table entry
\endif

\set rf_seq :rf_table _version
\set rf_live :rf_table _live
\set rf_scan :rf_table _scan
\set rf_expiry :rf_table _expiry
\set rf_channel rf_ :rf_schema _ :rf_table
-- The sequence as the triggers name it: schema and name, each quoted.
SELECT format('%I.%I', :'rf_schema', :'rf_seq') AS rf_seq_name \gset

BEGIN;

-- Roles: owner (no login) owns everything, node is what ringfence-node logs in as (or a member of), editor is for people, purge for
-- `ringfence-ctl purge`. Roles belong to the whole cluster, so they are made only if they are not there.
SELECT format('CREATE ROLE %I NOLOGIN', name)
FROM unnest(ARRAY['ringfence_owner', 'ringfence_node', 'ringfence_editor', 'ringfence_purge']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE ringfence_node SET synchronous_commit = 'on';
ALTER ROLE ringfence_node SET default_transaction_isolation = 'read committed';
ALTER ROLE ringfence_node SET tcp_user_timeout = '10s';
ALTER ROLE ringfence_node SET client_connection_check_interval = '1s';

CREATE SCHEMA IF NOT EXISTS :"rf_schema";
ALTER SCHEMA :"rf_schema" OWNER TO ringfence_owner;
SET LOCAL search_path = :"rf_schema";


-- The table. `active = false` is a key that was deleted or switched off. `version` has no default: our statements number their rows themselves,
-- and the triggers below number everybody else's, under the row's lock, so that a key's versions rise in the order of the commits.
CREATE SEQUENCE :"rf_seq" AS bigint CACHE 1 NO CYCLE;
CREATE TABLE :"rf_table" (
    key        text COLLATE "C" PRIMARY KEY CHECK (octet_length(key) BETWEEN 1 AND 1024),
    payload    text NOT NULL,
    active     boolean NOT NULL DEFAULT true,
    version    bigint NOT NULL,
    expires_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now()
);
ALTER SEQUENCE :"rf_seq" OWNED BY :"rf_table".version;
-- SCAN and RANDOMKEY walk the keys in the order of this hash; 52 bits, so that a cursor is exact in a double too.
CREATE INDEX :"rf_scan" ON :"rf_table" ((hashtextextended(key, 0) >> 12)) WHERE active;

-- The nodes' sweep looks for what has expired.
CREATE INDEX :"rf_expiry" ON :"rf_table" (expires_at) WHERE active AND expires_at IS NOT NULL;

CREATE VIEW :"rf_live" AS
    SELECT key, payload, version, expires_at, updated_at FROM :"rf_table"
    WHERE active AND (expires_at IS NULL OR expires_at > now());

-- Numbers, for whoever does not set them rightly. The argument is the sequence.
CREATE FUNCTION rf_number_insert() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.version := nextval(TG_ARGV[0]::regclass);
    RETURN NEW;
END $$;

CREATE FUNCTION rf_number_update() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.version := greatest(nextval(TG_ARGV[0]::regclass), OLD.version + 1);
    NEW.updated_at := now();
    RETURN NEW;
END $$;

-- The feed: one message or a few per statement (node/feed.h has the format). The argument is the channel. Above 2,000 rows it is "everything".
CREATE FUNCTION rf_feed_insert() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rows_count bigint := (SELECT count(*) FROM (SELECT FROM new_rows LIMIT 2001) AS counted);
BEGIN
    IF rows_count = 0 THEN -- as in an upsert of rows that are all there
        RETURN NULL;
    END IF;
    IF rows_count > 2000 THEN
        PERFORM pg_notify(TG_ARGV[0], E'1\ne\n');
        RETURN NULL;
    END IF;
    PERFORM pg_notify(TG_ARGV[0], E'1\n' || string_agg(line, '')) FROM (
        SELECT line, sum(octet_length(line)) OVER (ROWS UNBOUNDED PRECEDING) / 6500 AS chunk FROM (
            SELECT CASE WHEN active THEN 'c ' ELSE 'n ' END || version || ' ' || octet_length(key) || ' ' || key || E'\n' AS line
            FROM new_rows
        ) AS lines
    ) AS chunks GROUP BY chunk;
    RETURN NULL;
END $$;

CREATE FUNCTION rf_feed_update() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rows_count bigint := (SELECT count(*) FROM (SELECT FROM new_rows LIMIT 2001) AS counted);
BEGIN
    IF rows_count = 0 THEN -- as in one of rows that are all new
        RETURN NULL;
    END IF;
    IF rows_count > 2000 THEN
        PERFORM pg_notify(TG_ARGV[0], E'1\ne\n');
        RETURN NULL;
    END IF;
    PERFORM pg_notify(TG_ARGV[0], E'1\n' || string_agg(line, '')) FROM (
        SELECT line, sum(octet_length(line)) OVER (ROWS UNBOUNDED PRECEDING) / 6500 AS chunk FROM (
            SELECT CASE WHEN active THEN 'c ' WHEN key NOT IN (SELECT o.key FROM old_rows AS o WHERE o.active) THEN 'n '
                WHEN expires_at <= now() THEN 'x ' ELSE 'd ' END
                || version || ' ' || octet_length(key) || ' ' || key || E'\n' AS line FROM new_rows
            UNION ALL
            SELECT CASE WHEN o.active THEN 'g ' ELSE 'p ' END || octet_length(o.key) || ' ' || o.key || E'\n' FROM old_rows AS o
            WHERE NOT EXISTS (SELECT FROM new_rows AS n WHERE n.key = o.key)
        ) AS lines
    ) AS chunks GROUP BY chunk;
    RETURN NULL;
END $$;

CREATE FUNCTION rf_feed_delete() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rows_count bigint := (SELECT count(*) FROM (SELECT FROM old_rows LIMIT 2001) AS counted);
BEGIN
    IF rows_count = 0 THEN -- nothing to tell
        RETURN NULL;
    END IF;
    IF rows_count > 2000 THEN
        PERFORM pg_notify(TG_ARGV[0], E'1\ne\n');
        RETURN NULL;
    END IF;
    PERFORM pg_notify(TG_ARGV[0], E'1\n' || string_agg(line, '')) FROM (
        SELECT line, sum(octet_length(line)) OVER (ROWS UNBOUNDED PRECEDING) / 6500 AS chunk FROM (
            SELECT CASE WHEN active THEN 'g ' ELSE 'p ' END || octet_length(key) || ' ' || key || E'\n' AS line FROM old_rows
        ) AS lines
    ) AS chunks GROUP BY chunk;
    RETURN NULL;
END $$;

CREATE FUNCTION rf_feed_truncate() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify(TG_ARGV[0], E'1\ne\n');
    RETURN NULL;
END $$;

-- The WHEN clauses keep the numbering off our own statements, which number themselves.
CREATE TRIGGER rf_number_insert BEFORE INSERT ON :"rf_table" FOR EACH ROW
    WHEN (NEW.version IS NULL) EXECUTE FUNCTION rf_number_insert(:'rf_seq_name');
CREATE TRIGGER rf_number_update BEFORE UPDATE ON :"rf_table" FOR EACH ROW
    WHEN (NOT coalesce(NEW.version > OLD.version, false)) EXECUTE FUNCTION rf_number_update(:'rf_seq_name');
CREATE TRIGGER rf_feed_insert AFTER INSERT ON :"rf_table" REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION rf_feed_insert(:'rf_channel');
CREATE TRIGGER rf_feed_update AFTER UPDATE ON :"rf_table" REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION rf_feed_update(:'rf_channel');
CREATE TRIGGER rf_feed_delete AFTER DELETE ON :"rf_table" REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION rf_feed_delete(:'rf_channel');
CREATE TRIGGER rf_feed_truncate AFTER TRUNCATE ON :"rf_table"
    FOR EACH STATEMENT EXECUTE FUNCTION rf_feed_truncate(:'rf_channel');
ALTER TABLE :"rf_table" ENABLE ALWAYS TRIGGER rf_number_insert, ENABLE ALWAYS TRIGGER rf_number_update,
    ENABLE ALWAYS TRIGGER rf_feed_insert, ENABLE ALWAYS TRIGGER rf_feed_update,
    ENABLE ALWAYS TRIGGER rf_feed_delete, ENABLE ALWAYS TRIGGER rf_feed_truncate;

-- For operators: after a restore, a rewrite of the table, or work with the triggers off, let every node fetch everything again.
CREATE FUNCTION everything() RETURNS void LANGUAGE sql SET search_path = pg_catalog, pg_temp
    RETURN pg_notify(:'rf_channel', E'1\ne\n');

ALTER TABLE :"rf_table" OWNER TO ringfence_owner;
ALTER VIEW :"rf_live" OWNER TO ringfence_owner;
ALTER FUNCTION rf_number_insert() OWNER TO ringfence_owner;
ALTER FUNCTION rf_number_update() OWNER TO ringfence_owner;
ALTER FUNCTION rf_feed_insert() OWNER TO ringfence_owner;
ALTER FUNCTION rf_feed_update() OWNER TO ringfence_owner;
ALTER FUNCTION rf_feed_delete() OWNER TO ringfence_owner;
ALTER FUNCTION rf_feed_truncate() OWNER TO ringfence_owner;
ALTER FUNCTION everything() OWNER TO ringfence_owner;

-- Who may do what. The node never deletes, truncates or renames; an editor never sets a version.
REVOKE ALL ON SCHEMA :"rf_schema" FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"rf_schema" FROM PUBLIC;
GRANT USAGE ON SCHEMA :"rf_schema" TO ringfence_node, ringfence_editor, ringfence_purge;
GRANT USAGE ON SEQUENCE :"rf_seq" TO ringfence_node;
GRANT SELECT, INSERT (key, payload, active, version, expires_at, updated_at),
    UPDATE (payload, active, version, expires_at, updated_at) ON :"rf_table" TO ringfence_node;
GRANT SELECT, INSERT (key, payload, active, expires_at), UPDATE (payload, active, expires_at), DELETE
    ON :"rf_table" TO ringfence_editor;
GRANT SELECT ON :"rf_live" TO ringfence_editor;
GRANT EXECUTE ON FUNCTION everything() TO ringfence_editor;
GRANT SELECT, DELETE ON :"rf_table" TO ringfence_purge;

COMMIT;
