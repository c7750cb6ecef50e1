/*
 * The SQL of edits: one key each. Every text locks the row, looks at it, and updates it, or inserts
 * it where there is none: one statement, atomic, right beside any other writer. Should somebody
 * insert the row between the look and our insert, the unique key makes the statement an error
 * (23505) and it is tried again: nothing is ever computed from a row that has changed since.
 *
 * Parameters: $1 key, $2 value, $3 text to compare or a decimal number; integers: $4 kind of
 * expiry, $5 its ms, $6 number (increment, offset, version), $7 condition or longest result, $8
 * whether the old payload is wanted. Result, one row: version (0: nothing was done), outcome,
 * payload after it (NULL: not live), ms until it expires (NULL: never), old payload (NULL: it was
 * not live).
 */
#include "store_private.h"

const unsigned STORE_EDIT_TYPES[STORE_EDIT_PARAMS] = {25, 25, 25, 20, 20, 20, 20, 20};

/* The row as it was: p payload, x expiry, v version (0: no row), a active; due: the wanted expiry
 * in ms since 1970. */
static const char BEGIN[] =
    "WITH old AS MATERIALIZED (SELECT {P} AS p, expires_at AS x, version AS v, {A} AS a, {L} AS "
    "live FROM {T} WHERE {K} = $1 FOR NO KEY UPDATE),"
    " was AS (SELECT p, x, coalesce(v, 0) AS v, v IS NOT NULL AS found, coalesce(a, false) AS a,"
    " coalesce(live, false) AS live, CASE $4 WHEN 3 THEN floor(extract(epoch FROM "
    "clock_timestamp()) * 1000)::bigint + $5 ELSE $5 END AS due"
    " FROM (SELECT 1) AS one LEFT JOIN old ON true),"
    " new AS MATERIALIZED (SELECT *, ";

/* `due` as a timestamp, exact to the millisecond and in every time zone. */
static const char DUE[] = "(timestamp 'epoch' + (due / 86400000)::int * interval '1 day' + (due % "
                          "86400000) * interval '1 ms') AT TIME ZONE 'UTC'";

/* From `new`: w whether to write np, nx, na; outcome. */
static const char END[] =
    "),"
    " upd AS (UPDATE {T} AS t SET {P} = new.np, {A} = new.na, expires_at = new.nx, version = "
    "nextval({S}), updated_at = now() FROM new WHERE t.{K} = $1 AND new.found AND new.w"
    " RETURNING t.version),"
    " ins AS (INSERT INTO {T} ({K}, {P}, {A}, version, expires_at) SELECT $1, np, na, "
    "nextval({S}), nx FROM new WHERE w AND NOT found RETURNING version)"
    " SELECT coalesce(upd.version, ins.version, 0), outcome::bigint, CASE WHEN there THEN CASE "
    "WHEN w THEN np ELSE p END END, CASE WHEN there AND ends IS NOT NULL THEN greatest(0, "
    "extract(epoch FROM ends - now()) * 1000)::bigint END, CASE WHEN live AND $8 = 1 THEN p END"
    " FROM (SELECT *, CASE WHEN w THEN na AND (nx IS NULL OR nx > now()) ELSE live END AS there,"
    " CASE WHEN w THEN nx ELSE x END AS ends FROM new) AS new LEFT JOIN upd ON true LEFT JOIN ins "
    "ON true";

static const char *const TEXTS[] = {
    [STORE_SQL_EDIT_SET] =
        "{B} CASE $7 WHEN 1 THEN NOT live WHEN 2 THEN live WHEN 3 THEN live AND p = $3 WHEN 4 THEN "
        "v = $6 ELSE true END AS w, 0 AS outcome, $2 AS np, CASE $4 WHEN 0 THEN NULL WHEN 1 THEN "
        "CASE WHEN live THEN x END ELSE {D} END AS nx, true AS na FROM was{E}",
    [STORE_SQL_EDIT_DELETE] =
        "{B} live AS w, 0 AS outcome, p AS np, x AS nx, false AS na FROM was{E}",
    [STORE_SQL_EDIT_EXPIRE] =
        "{B} 0 AS outcome, p AS np, CASE WHEN past THEN x ELSE {D} END AS nx, NOT past AS na FROM "
        "(SELECT was.*, due <= extract(epoch FROM clock_timestamp()) * 1000 AS past,"
        " live AND (($7 & 1) = 0 OR x IS NULL) AND (($7 & 2) = 0 OR x IS NOT NULL)"
        " AND (($7 & 4) = 0 OR coalesce(due > floor(extract(epoch FROM x) * 1000), false))"
        " AND (($7 & 8) = 0 OR coalesce(due < floor(extract(epoch FROM x) * 1000), true)) AS w"
        " FROM was) AS was{E}",
    [STORE_SQL_EDIT_PERSIST] =
        "{B} live AND x IS NOT NULL AS w, 0 AS outcome, p AS np, NULL::timestamptz AS nx,"
        " true AS na FROM was{E}",
    /* numeric does not overflow, so that nothing here is an error to PostgreSQL. */
    [STORE_SQL_EDIT_ADD] =
        "{B} outcome = 0 AS w, CASE WHEN outcome = 0 THEN sum::text END AS np, CASE WHEN live THEN "
        "x END AS nx, true AS na FROM (SELECT *, CASE WHEN base IS NULL OR base NOT BETWEEN "
        "-9223372036854775808 AND 9223372036854775807 THEN 1 WHEN sum NOT BETWEEN "
        "-9223372036854775808 AND 9223372036854775807 THEN 3 ELSE 0 END AS outcome FROM (SELECT *,"
        " base + $6 AS sum FROM (SELECT was.*, CASE WHEN NOT live THEN 0::numeric WHEN "
        "octet_length(p) <= 20 AND p ~ '^(0|-?[1-9][0-9]{0,18})$' THEN p::numeric END AS base"
        " FROM was) AS b) AS s) AS o{E}",
    [STORE_SQL_EDIT_ADD_DECIMAL] =
        "{B} outcome = 0 AS w, CASE WHEN outcome = 0 THEN trim_scale(round(sum, 17))::text END AS "
        "np, CASE WHEN live THEN x END AS nx, true AS na FROM (SELECT *, CASE WHEN base IS NULL OR "
        "abs(base) > 1.18e4932 THEN 2 WHEN abs(sum) > 1.18e4932 THEN 6 ELSE 0 END AS outcome FROM "
        "(SELECT *, base + $3::numeric AS sum FROM (SELECT was.*, CASE WHEN NOT live THEN "
        "0::numeric WHEN octet_length(p) < 5120 AND p ~ "
        "'^[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]{1,4})?$' THEN p::numeric END AS base"
        " FROM was) AS b) AS s) AS o{E}",
    [STORE_SQL_EDIT_APPEND] =
        "{B} outcome = 0 AND NOT (live AND $2 = '') AS w, CASE WHEN live THEN p ELSE '' END || $2 "
        "AS np, CASE WHEN live THEN x END AS nx, true AS na FROM (SELECT *, CASE WHEN "
        "octet_length($2) + CASE WHEN live THEN octet_length(p) ELSE 0 END > $7 THEN 4 ELSE 0 END "
        "AS outcome FROM was) AS o{E}",
    /* The value itself is text; so the result is, unless a cut goes through a character or a gap
       would have to be filled with zero bytes. */
    [STORE_SQL_EDIT_OVERLAY] =
        "{B} outcome = 0 AND val <> '' AS w, CASE WHEN outcome = 0 THEN convert_from(overlay(b "
        "placing val from $6::int + 1 for octet_length(val)), 'UTF8') END AS np, CASE WHEN live "
        "THEN x END AS nx, true AS na FROM (SELECT *, CASE WHEN val = '' THEN 0 WHEN $6 + "
        "octet_length(val) > $7 THEN 4 WHEN $6 > octet_length(b) THEN 5 WHEN $6 < octet_length(b) "
        "AND (get_byte(b, $6::int) & 192) = 128 THEN 5 WHEN $6 + octet_length(val) < "
        "octet_length(b) AND (get_byte(b, $6::int + octet_length(val)) & 192) = 128 THEN 5 ELSE 0 "
        "END AS outcome FROM (SELECT was.*, CASE WHEN live THEN convert_to(p, 'UTF8') ELSE '' END "
        "AS b, convert_to($2, 'UTF8') AS val FROM was) AS i) AS o{E}",
    [STORE_SQL_EDIT_ENABLE] =
        "{B} v <> 0 AND NOT live AS w, 0 AS outcome, p AS np, CASE WHEN x > now() THEN x END AS nx,"
        " true AS na FROM was{E}",
    [STORE_SQL_EDIT_DISABLE] =
        "{B} a AS w, 0 AS outcome, p AS np, x AS nx, false AS na FROM was{E}",
};

const char *store_sql_edit(enum store_statement statement) {
    return TEXTS[statement];
}

const char *store_sql_edit_part(char part) {
    return part == 'B' ? BEGIN : part == 'D' ? DUE : END;
}
