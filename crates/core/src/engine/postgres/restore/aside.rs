//! Databases beside the target: made like it, and dropped.

use serde::Deserialize;

use super::session::{DATABASE, QUESTION, Session};
use super::sql::{block, list, name, text};
use crate::Result;
use crate::engine::restore::Target;
use crate::model::Ownership;

/// How a database was made.
#[derive(Debug, Deserialize)]
struct Likeness {
    owner: String,
    encoding: String,
    collate: String,
    ctype: String,
    tablespace: String,
    provider: Option<String>,
    locale: Option<String>,
    rules: Option<String>,
    connections: i64,
}

/// A database that was made.
pub(super) struct Made {
    connections: Option<i64>,
}

impl Made {
    /// What must wait until it is loaded: a limit would keep the loader out.
    pub(super) async fn finish(&self, server: &Session<'_>, database: &str) -> Result<()> {
        let Some(limit) = self.connections else { return Ok(()) };
        let sql = format!("ALTER DATABASE {} CONNECTION LIMIT {limit}", name(database));
        server.run(&sql, QUESTION).await.map(drop)
    }
}

/// Makes the database aside, like the target where there is one, and drops what lay there.
pub(super) async fn make(server: &Session<'_>, target: &Target) -> Result<Made> {
    drop_database(server, &target.aside, true).await?;
    let keeps = target.options.ownership == Ownership::Keep;
    let Some(like) = likeness(server, target.database_name()).await? else {
        let sql = format!("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", name(&target.aside));
        server.run(&sql, DATABASE).await?;
        return Ok(Made { connections: None });
    };
    server.run(&like.create(&target.aside, keeps), DATABASE).await?;
    server.transact(&properties(target.database_name(), &target.aside, keeps), QUESTION).await?;
    Ok(Made { connections: Some(like.connections).filter(|limit| *limit != -1) })
}

/// Drops a database, if it is there; with `force` its connections are ended.
pub(super) async fn drop_database(server: &Session<'_>, database: &str, force: bool) -> Result<()> {
    if force {
        server.run(&end_connections(&[database]), QUESTION).await?;
    }
    // FORCE came with 13; before it, whoever connects at once makes the server refuse.
    let forced: bool =
        server.ask("SELECT to_json(current_setting('server_version_num')::int >= 130000)").await?;
    let how = if force && forced { " WITH (FORCE)" } else { "" };
    server.run(&format!("DROP DATABASE IF EXISTS {}{how}", name(database)), DATABASE).await.map(drop)
}

/// SQL that ends every connection to these databases.
pub(super) fn end_connections(databases: &[&str]) -> String {
    format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname IN {} AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
        list(databases)
    )
}

async fn likeness(server: &Session<'_>, database: &str) -> Result<Option<Likeness>> {
    // Columns that came with a later version are asked for by name.
    let query = format!(
        "SELECT coalesce((SELECT json_build_object(
           'owner', pg_get_userbyid(d.datdba), 'encoding', pg_encoding_to_char(d.encoding),
           'collate', d.datcollate, 'ctype', d.datctype, 'tablespace', s.spcname,
           'provider', to_jsonb(d) ->> 'datlocprovider',
           'locale', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'),
           'rules', to_jsonb(d) ->> 'daticurules', 'connections', d.datconnlimit)
         FROM pg_database d JOIN pg_tablespace s ON s.oid = d.dattablespace
         WHERE d.datname = {}), 'null')",
        text(database)
    );
    server.ask(&query).await
}

impl Likeness {
    fn create(&self, database: &str, keeps: bool) -> String {
        let mut sql = format!("CREATE DATABASE {} TEMPLATE template0", name(database));
        let mut add = |word: &str, value: String| sql.extend([" ", word, " ", &value]);
        if keeps {
            add("OWNER", name(&self.owner));
        }
        add("ENCODING", text(&self.encoding));
        add("LC_COLLATE", text(&self.collate));
        add("LC_CTYPE", text(&self.ctype));
        let locale = self.locale.as_deref().map(text);
        match (self.provider.as_deref(), locale) {
            (Some("i"), Some(locale)) => {
                add("LOCALE_PROVIDER", "icu".to_owned());
                add("ICU_LOCALE", locale);
                if let Some(rules) = &self.rules {
                    add("ICU_RULES", text(rules));
                }
            }
            (Some("b"), Some(locale)) => {
                add("LOCALE_PROVIDER", "builtin".to_owned());
                add("BUILTIN_LOCALE", locale);
            }
            (Some("c"), _) => add("LOCALE_PROVIDER", "libc".to_owned()),
            _ => {}
        }
        // Where a new database lies anyway: to name it takes a right that few are given.
        if self.tablespace != "pg_default" {
            add("TABLESPACE", name(&self.tablespace));
        }
        sql
    }
}

/// SQL that gives one database the settings, the comment and the labels of another, and its grants where
/// owners are kept. The values never leave the server: a setting may be a secret.
fn properties(from: &str, to: &str, keeps: bool) -> String {
    let (from, to) = (text(from), text(to));
    let mut sql = block(&settings(&from, &to));
    sql += &block(&format!(
        "DECLARE l record; note text := (SELECT shobj_description(oid, 'pg_database') FROM pg_database \
           WHERE datname = {from});
         BEGIN
           IF note IS NOT NULL THEN EXECUTE format('COMMENT ON DATABASE %I IS %L', {to}, note); END IF;
           FOR l IN SELECT s.provider, s.label FROM pg_shseclabel s JOIN pg_database d ON d.oid = s.objoid \
             WHERE s.classoid = 'pg_database'::regclass AND d.datname = {from} LOOP
             EXECUTE format('SECURITY LABEL FOR %I ON DATABASE %I IS %L', l.provider, {to}, l.label);
           END LOOP;
         END"
    ));
    if keeps {
        sql += &block(&grants(&from, &to));
    }
    sql
}

/// A list is set and taken over as it is; any other value is one string.
fn settings(from: &str, to: &str) -> String {
    format!(
        "DECLARE s record; place text; BEGIN
           FOR s IN SELECT r.setrole, split_part(c.entry, '=', 1) AS key,
               substr(c.entry, strpos(c.entry, '=') + 1) AS value
             FROM pg_db_role_setting r JOIN pg_database d ON d.oid = r.setdatabase,
               unnest(r.setconfig) WITH ORDINALITY AS c (entry, place)
             WHERE d.datname = {from} ORDER BY r.setrole, c.place LOOP
             place := CASE s.setrole WHEN 0 THEN format('ALTER DATABASE %I', {to})
               ELSE format('ALTER ROLE %I IN DATABASE %I', pg_get_userbyid(s.setrole), {to}) END;
             IF lower(s.key) IN ('search_path', 'temp_tablespaces', 'local_preload_libraries',
                 'session_preload_libraries', 'unix_socket_directories', 'shared_preload_libraries') THEN
               PERFORM set_config(s.key, s.value, true);
               EXECUTE format('%s SET %I FROM CURRENT', place, s.key);
               PERFORM set_config('search_path', 'pg_catalog', true);
             ELSE
               EXECUTE format('%s SET %I TO %L', place, s.key, s.value);
             END IF;
           END LOOP;
         END"
    )
}

/// Grants by the owner come first: others' follow from them.
fn grants(from: &str, to: &str) -> String {
    format!(
        "DECLARE g record; BEGIN
           IF (SELECT datacl IS NULL FROM pg_database WHERE datname = {from}) THEN RETURN; END IF;
           EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', {to});
           EXECUTE format('REVOKE ALL ON DATABASE %I FROM %I', {to}, \
             (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = {to}));
           FOR g IN SELECT a.grantee, a.privilege_type, a.is_grantable, \
               CASE WHEN a.grantor <> d.datdba THEN pg_get_userbyid(a.grantor) END AS other
             FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = {from}
             ORDER BY a.grantor <> d.datdba LOOP
             IF g.other IS NOT NULL THEN EXECUTE format('SET LOCAL ROLE %I', g.other); END IF;
             EXECUTE format('GRANT %s ON DATABASE %I TO %s%s', g.privilege_type, {to}, \
               CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END, \
               CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
             RESET ROLE;
           END LOOP;
         END"
    )
}
