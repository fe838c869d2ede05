//! SQL that empties a database, so that a dump finds what `template0` would show it.
//!
//! `DROP OWNED` would be wrong: it looks at who owns, reaches into other databases' grants and leaves what
//! others own. What is dropped is what a dump makes, kind by kind; `public` comes back as a new database has
//! it, because no dump makes it.

use super::sql::{block, name, text};

/// Drops everything that a dump may hold.
pub(super) fn everything() -> String {
    let mut sql = String::new();
    for (list, command) in EACH {
        sql += &block(&format!(
            "DECLARE n record; BEGIN FOR n IN {list} LOOP EXECUTE format({}, n.a, n.b); END LOOP; END",
            text(command)
        ));
    }
    sql += &block(LARGE_OBJECTS);
    sql += &block(DEFAULT_GRANTS);
    sql += "CREATE EXTENSION IF NOT EXISTS plpgsql;\n";
    sql + &public()
}

/// Drops these tables; whatever else leans on them makes the server refuse.
pub(super) fn tables(chosen: &[(String, String)]) -> String {
    if chosen.is_empty() {
        return String::new();
    }
    let names: Vec<String> =
        chosen.iter().map(|(schema, table)| format!("{}.{}", name(schema), name(table))).collect();
    format!("DROP TABLE IF EXISTS {};\n", names.join(", "))
}

/// Drops a schema with all that lies in it, and refuses when something outside of it would go too.
pub(super) fn schema(schema: &str) -> String {
    let count = format!(
        "WITH others AS (SELECT oid FROM pg_namespace WHERE nspname NOT IN ({}, 'pg_toast')) {COUNT}",
        text(schema)
    );
    let mut sql = block(&format!(
        "DECLARE was bigint := ({count}); BEGIN \
           DROP SCHEMA IF EXISTS {} CASCADE; \
           IF ({count}) <> was THEN \
             RAISE EXCEPTION 'cannot drop schema % because other objects depend on it', {}; \
           END IF; END",
        name(schema),
        text(schema),
    ));
    if schema == "public" {
        sql += &public();
    }
    sql
}

/// How much there is in the schemas of `others`.
const COUNT: &str = "SELECT \
    (SELECT count(*) FROM pg_class WHERE relnamespace IN (SELECT oid FROM others)) \
    + (SELECT count(*) FROM pg_proc WHERE pronamespace IN (SELECT oid FROM others)) \
    + (SELECT count(*) FROM pg_type WHERE typnamespace IN (SELECT oid FROM others)) \
    + (SELECT count(*) FROM pg_constraint WHERE connamespace IN (SELECT oid FROM others)) \
    + (SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
         WHERE NOT attisdropped AND c.relnamespace IN (SELECT oid FROM others)) \
    + (SELECT count(*) FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid \
         WHERE c.relnamespace IN (SELECT oid FROM others)) \
    + (SELECT count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
         WHERE c.relnamespace IN (SELECT oid FROM others)) \
    + (SELECT count(*) FROM pg_event_trigger) + (SELECT count(*) FROM pg_cast)";

/// What is dropped one by one: a query for names, and the command. What an extension brought goes with it.
const EACH: [(&str, &str); 9] = [
    (
        // They fire while all else is dropped; an extension's goes with it.
        "SELECT evtname AS a, '' AS b FROM pg_event_trigger e WHERE NOT EXISTS (SELECT FROM pg_depend d \
         WHERE d.classid = 'pg_event_trigger'::regclass AND d.objid = e.oid AND d.deptype = 'e')",
        "DROP EVENT TRIGGER IF EXISTS %I",
    ),
    ("SELECT pubname AS a, '' AS b FROM pg_publication", "DROP PUBLICATION %I"),
    (
        "SELECT extname AS a, '' AS b FROM pg_extension WHERE oid >= 16384 OR extname <> 'plpgsql'",
        "DROP EXTENSION IF EXISTS %I CASCADE",
    ),
    (
        "SELECT nspname AS a, '' AS b FROM pg_namespace \
         WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'",
        "DROP SCHEMA IF EXISTS %I CASCADE",
    ),
    (
        "SELECT fdwname AS a, '' AS b FROM pg_foreign_data_wrapper",
        "DROP FOREIGN DATA WRAPPER IF EXISTS %I CASCADE",
    ),
    (
        "SELECT lanname AS a, '' AS b FROM pg_language WHERE oid >= 16384",
        "DROP LANGUAGE IF EXISTS %I CASCADE",
    ),
    ("SELECT amname AS a, '' AS b FROM pg_am WHERE oid >= 16384", "DROP ACCESS METHOD IF EXISTS %I CASCADE"),
    (
        "SELECT format_type(castsource, NULL) AS a, format_type(casttarget, NULL) AS b FROM pg_cast \
         WHERE oid >= 16384",
        "DROP CAST IF EXISTS (%s AS %s)",
    ),
    (
        "SELECT format_type(t.trftype, NULL) AS a, l.lanname AS b FROM pg_transform t \
         JOIN pg_language l ON l.oid = t.trflang WHERE t.oid >= 16384",
        "DROP TRANSFORM IF EXISTS FOR %s LANGUAGE %I",
    ),
];

const LARGE_OBJECTS: &str = "BEGIN PERFORM lo_unlink(oid) FROM pg_largeobject_metadata; END";

/// Default privileges outside of schemas: each role's become what they are without any.
const DEFAULT_GRANTS: &str = "DECLARE d record; what text; who text; BEGIN
  FOR d IN SELECT * FROM pg_default_acl WHERE defaclnamespace = 0 LOOP
    what := CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
      WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END;
    who := format('ALTER DEFAULT PRIVILEGES FOR ROLE %I', pg_get_userbyid(d.defaclrole));
    EXECUTE (SELECT coalesce(string_agg(DISTINCT format('%s REVOKE ALL ON %s FROM %s;', who, what,
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END), ' '), '')
      FROM aclexplode(d.defaclacl) a);
    EXECUTE format('%s GRANT ALL ON %s TO %I', who, what, pg_get_userbyid(d.defaclrole));
    IF what = 'FUNCTIONS' THEN EXECUTE who || ' GRANT EXECUTE ON FUNCTIONS TO PUBLIC'; END IF;
    IF what = 'TYPES' THEN EXECUTE who || ' GRANT USAGE ON TYPES TO PUBLIC'; END IF;
  END LOOP;
END";

/// `public` as a new database has it: since 15 it belongs to the database's owner, whoever that is; before,
/// everybody may make tables in it.
fn public() -> String {
    block(
        "BEGIN
           IF current_setting('server_version_num')::int >= 150000 THEN
             CREATE SCHEMA public AUTHORIZATION pg_database_owner;
             GRANT USAGE ON SCHEMA public TO PUBLIC;
           ELSE
             CREATE SCHEMA public;
             EXECUTE format('ALTER SCHEMA public OWNER TO %I', pg_get_userbyid(10));
             GRANT ALL ON SCHEMA public TO PUBLIC;
           END IF;
           COMMENT ON SCHEMA public IS 'standard public schema';
         END",
    )
}
