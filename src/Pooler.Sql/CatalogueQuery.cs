namespace Pooler.Sql;

/// <summary>
/// The query from whose rows <see cref="VolatileNames"/> is built. Every role may ask it. It needs PostgreSQL 11.
/// Stored expressions are read as PostgreSQL writes them down (pg_node_tree), for what they use of PostgreSQL itself is not in
/// pg_depend. A connection that asks it does so with jit = off: compiling takes longer than all the rest. Two parameters: names of
/// functions and relations to count as harmless, and as volatile, with commas between them (with Npgsql's arrays its converters of all
/// types would be in the binary).
/// </summary>
public static class CatalogueQuery
{
    /// <summary>Gives a letter of <see cref="CatalogueKind"/> and a name by row.</summary>
    public const string Text = """
        WITH RECURSIVE
        -- Functions of PostgreSQL that are volatile and yet do no harm anywhere.
        harmless (name) AS (VALUES
            ('array_sample'), ('array_shuffle'), ('clock_timestamp'), ('gen_random_uuid'), ('pg_collation_actual_version'),
            ('pg_database_collation_actual_version'), ('pg_database_size'), ('pg_indexes_size'), ('pg_partition_ancestors'),
            ('pg_partition_tree'), ('pg_relation_size'), ('pg_sleep'), ('pg_sleep_for'), ('pg_sleep_until'), ('pg_table_size'),
            ('pg_tablespace_size'), ('pg_total_relation_size'), ('random'), ('random_normal'), ('timeofday'), ('uuidv4'), ('uuidv7')),
        -- Functions of PostgreSQL that are not volatile, but fail or answer otherwise on a standby.
        elsewhere (name) AS (VALUES
            ('pg_backend_pid'), ('pg_conf_load_time'), ('pg_current_xact_id'), ('pg_current_xact_id_if_assigned'), ('pg_cursor'),
            ('pg_get_replication_slots'), ('pg_listening_channels'), ('pg_postmaster_start_time'), ('pg_prepared_statement'),
            ('pg_show_all_settings'), ('pg_walfile_name'), ('pg_walfile_name_offset'), ('txid_current'), ('txid_current_if_assigned')),
        proc AS (
            SELECT p.oid, p.proname::text AS name, p.pronamespace = 'pg_catalog'::regnamespace AS is_own, p.provolatile, p.prokind,
                p.pronargs, p.pronargdefaults, p.proargtypes, p.proargdefaults
            FROM pg_catalog.pg_proc p
            WHERE p.prokind <> 'p'),
        volatile_type (oid) AS (
            SELECT t.oid FROM pg_catalog.pg_type t
            WHERE EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.provolatile = 'v' AND p.oid IN (t.typinput, t.typoutput, t.typreceive, t.typsend))
            UNION
            SELECT unnest(CASE c.castcontext WHEN 'e' THEN ARRAY[c.casttarget] ELSE ARRAY[c.casttarget, c.castsource] END)
            FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc WHERE p.provolatile = 'v'
            UNION
            SELECT con.contypid FROM pg_catalog.pg_constraint con,
                regexp_matches(con.conbin::text, ':(?:funcid|opfuncid) (\d+)', 'g') AS used JOIN pg_catalog.pg_proc p ON p.oid = used[1]::oid
            WHERE con.contypid <> 0 AND p.provolatile = 'v'),
        -- Domains over them, arrays of them.
        unsafe_type (oid) AS (
            SELECT oid FROM volatile_type
            UNION
            SELECT t.oid FROM unsafe_type u JOIN pg_catalog.pg_type t ON u.oid IN (t.typbasetype, t.typelem)),
        volatile_function (oid) AS (
            SELECT oid FROM proc
            WHERE name <> ALL (string_to_array($1, ',')) AND (name = ANY (string_to_array($2, ','))
                OR (provolatile = 'v' AND NOT (is_own AND name IN (SELECT h.name FROM harmless h)))
                OR (is_own AND (name IN (SELECT e.name FROM elsewhere e) OR name LIKE 'pg\_stat\_get\_%')))
            UNION
            -- An aggregate is what its functions are.
            SELECT a.aggfnoid::oid FROM pg_catalog.pg_aggregate a JOIN pg_catalog.pg_proc p ON p.oid IN (a.aggtransfn::oid, a.aggfinalfn::oid,
                a.aggcombinefn::oid, a.aggserialfn::oid, a.aggdeserialfn::oid, a.aggmtransfn::oid, a.aggminvtransfn::oid, a.aggmfinalfn::oid)
            WHERE p.provolatile = 'v' AND p.proname <> ALL (string_to_array($1, ','))
            UNION
            -- What a call leaves out is computed at the call.
            SELECT f.oid FROM proc f, regexp_matches(f.proargdefaults::text, ':(?:funcid|opfuncid) (\d+)', 'g') AS used
                JOIN pg_catalog.pg_proc p ON p.oid = used[1]::oid
            WHERE f.pronargdefaults > 0 AND p.provolatile = 'v' AND p.proname <> ALL (string_to_array($1, ','))),
        -- Views and what row security adds to a query.
        expression AS (
            SELECT c.oid, r.ev_action::text AS tree
            FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
            WHERE c.relkind = 'v' AND r.ev_type = '1'
            UNION ALL
            SELECT pol.polrelid, pol.polqual::text FROM pg_catalog.pg_policy pol WHERE pol.polcmd IN ('r', '*')),
        mention AS MATERIALIZED (
            SELECT DISTINCT e.oid, split_part(field, ' ', 1) AS what, split_part(field, ' ', 2)::oid AS used
            FROM expression e, unnest(string_to_array(e.tree, ' :')) AS field
            WHERE field ~ '^(funcid|opfuncid|aggfnoid|winfnoid|relid|resulttype) \d+$'),
        unsafe_relation (oid) AS (
            SELECT oid FROM (
                SELECT c.oid, c.relname FROM pg_catalog.pg_class c WHERE c.relkind = 'S' OR c.relpersistence = 'u'
                UNION
                SELECT c.oid, c.relname FROM pg_catalog.pg_class c WHERE c.relname = ANY (string_to_array($2, ','))
                UNION
                SELECT c.oid, c.relname FROM pg_catalog.pg_attribute a JOIN unsafe_type u ON u.oid = a.atttypid JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
                WHERE a.attnum > 0 AND NOT a.attisdropped
                UNION
                SELECT c.oid, c.relname FROM mention m JOIN pg_catalog.pg_class c ON c.oid = m.oid
                WHERE (m.what NOT IN ('relid', 'resulttype') AND m.used IN (SELECT oid FROM volatile_function))
                    OR (m.what = 'resulttype' AND m.used IN (SELECT oid FROM unsafe_type))
                UNION
                -- FOR UPDATE
                SELECT c.oid, c.relname FROM expression e JOIN pg_catalog.pg_class c ON c.oid = e.oid WHERE e.tree ~ ':rowMarks \('
            ) AS start WHERE relname <> ALL (string_to_array($1, ','))
            UNION
            -- A view of a relation, a table with this partition.
            SELECT user_of.oid FROM unsafe_relation u JOIN (
                SELECT m.used, m.oid FROM mention m WHERE m.what = 'relid'
                UNION ALL
                SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits i
            ) AS user_of ON user_of.used = u.oid)
        SELECT CASE
                WHEN bool_or(v.oid IS NOT NULL AND NOT (f.is_own AND f.name = 'set_config')) THEN 'v'
                WHEN bool_or(v.oid IS NOT NULL) THEN 's'
                ELSE 'f' END AS kind, f.name
        FROM (
            SELECT oid, name, is_own FROM proc
            UNION ALL
            -- A type's name called like a function is a cast.
            SELECT NULL, t.typname, false FROM pg_catalog.pg_type t
            WHERE t.typtype IN ('b', 'd', 'e', 'r', 'm') AND t.typcategory <> 'A' AND t.oid NOT IN (SELECT oid FROM unsafe_type)
        ) AS f LEFT JOIN volatile_function v ON v.oid = f.oid
        GROUP BY f.name
        UNION ALL
        SELECT 'n', c.relname FROM pg_catalog.pg_class c
        WHERE c.oid IN (SELECT oid FROM unsafe_relation) AND c.relkind IN ('r', 'v', 'm', 'f', 'p', 'S')
        UNION
        SELECT 'n', t.typname FROM pg_catalog.pg_type t WHERE t.oid IN (SELECT oid FROM unsafe_type)
        UNION
        -- SQL's own names of types.
        SELECT 'n', word FROM (VALUES ('int2', 'smallint'), ('int4', 'int'), ('int4', 'integer'), ('int8', 'bigint'), ('float4', 'real'),
            ('float4', 'float'), ('float8', 'float'), ('float8', 'double'), ('numeric', 'decimal'), ('numeric', 'dec'), ('bool', 'boolean'),
            ('bpchar', 'char'), ('bpchar', 'character'), ('bpchar', 'nchar'), ('bpchar', 'national'), ('varchar', 'char'), ('varchar', 'character'),
            ('varchar', 'nchar'), ('varchar', 'national'), ('timestamptz', 'timestamp'), ('timetz', 'time'), ('varbit', 'bit')) AS alias (name, word)
            JOIN pg_catalog.pg_type t ON t.typname = alias.name WHERE t.oid IN (SELECT oid FROM unsafe_type)
        UNION
        -- "row.name" may be the call of a function that takes the row.
        SELECT 'n', f.name FROM proc f JOIN volatile_function v ON v.oid = f.oid JOIN pg_catalog.pg_type t ON t.oid = f.proargtypes[0]
        WHERE f.pronargs - f.pronargdefaults <= 1 AND NOT f.is_own
            AND (t.typtype = 'c' OR t.typname IN ('record', 'any', 'anyelement', 'anycompatible', 'anynonarray', 'anycompatiblenonarray'))
        UNION
        SELECT 'o', o.oprname FROM pg_catalog.pg_operator o JOIN volatile_function v ON v.oid = o.oprcode
        """;
}
