//! What the server tells of itself and of a restore's three databases.
//!
//! Names come as hexadecimal digits: no character set, escape or line break of a name can then be
//! taken for something else.

use crate::engine::mysql::tools::{self, Family, Series};

/// The comment of the table that marks a swap as done (see `swap.rs`).
pub(super) const MARK: &str = "Respaldo: marks a swap that was done; holds nothing";

/// A server, and what lies on it by the names of a restore.
#[derive(Debug)]
pub(super) struct State {
    pub(super) version: String,
    pub(super) family: Family,
    pub(super) series: Series,
    pub(super) encrypted: bool,
    /// The longest statement that it accepts, in bytes.
    pub(super) max_packet: u64,
    /// Names that differ in case only are the same name.
    pub(super) folds_case: bool,
    pub(super) grants: Vec<String>,
    /// Who else is connected to the target: its number, and a line about it.
    pub(super) connections: Vec<(u64, String)>,
    /// Tables of other databases whose foreign keys refer to tables of the target.
    pub(super) inbound: Vec<String>,
    schemas: Vec<Schema>,
}

/// A database on the server.
#[derive(Debug, Default)]
pub(super) struct Schema {
    pub(super) name: String,
    pub(super) charset: String,
    pub(super) collation: String,
    /// Tables, views and sequences.
    pub(super) tables: Vec<Table>,
    /// Kind and name.
    pub(super) routines: Vec<(String, String)>,
    pub(super) triggers: Vec<String>,
    pub(super) events: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    /// In `information_schema`'s words.
    pub(super) kind: String,
    pub(super) engine: String,
    pub(super) comment: String,
    pub(super) bytes: u64,
}

impl Table {
    pub(super) fn is_view(&self) -> bool {
        self.kind.ends_with("VIEW")
    }

    pub(super) fn is_sequence(&self) -> bool {
        self.kind == "SEQUENCE"
    }

    pub(super) fn is_mark(&self) -> bool {
        self.comment == MARK
    }
}

impl Schema {
    /// What it holds that no `RENAME TABLE` moves to another database, in words.
    pub(super) fn bound(&self) -> Vec<String> {
        let views = self.tables.iter().filter(|table| table.is_view()).count();
        let counts = [
            (views, "view"),
            (self.triggers.len(), "trigger"),
            (self.routines.len(), "routine"),
            (self.events.len(), "event"),
        ];
        let some = counts.into_iter().filter(|(count, _)| *count > 0);
        some.map(|(count, noun)| format!("{count} {noun}{}", if count == 1 { "" } else { "s" })).collect()
    }

    /// The tables that a swap moves.
    pub(super) fn movable(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(|table| !table.is_mark() && !table.is_view())
    }

    pub(super) fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes).sum()
    }

    /// `CHARACTER SET … COLLATE …`, to make another like it.
    pub(super) fn defaults(&self) -> String {
        format!("CHARACTER SET {} COLLATE {}", self.charset, self.collation)
    }
}

impl State {
    /// The database of that name.
    pub(super) fn schema(&self, name: &str) -> Option<&Schema> {
        self.schemas.iter().find(|schema| self.same(&schema.name, name))
    }

    /// Whether two names are one to this server.
    pub(super) fn same(&self, one: &str, other: &str) -> bool {
        one == other || self.folds_case && one.to_lowercase() == other.to_lowercase()
    }
}

/// The question about these databases, the first one being the target.
pub(super) fn question(names: [&str; 3]) -> String {
    let target = text(names[0]);
    let all = names.map(text).join(", ");
    format!(
        "SET SESSION sql_mode = '';\
         SELECT 'server', VERSION(), HEX(@@version_comment), @@lower_case_table_names, @@max_allowed_packet;\
         SHOW SESSION STATUS LIKE 'Ssl_cipher';\
         SELECT 'schema', HEX(schema_name), default_character_set_name, default_collation_name \
           FROM information_schema.schemata WHERE schema_name IN ({all});\
         SELECT 'table', HEX(table_schema), HEX(table_name), table_type, COALESCE(engine, ''), \
           HEX(COALESCE(table_comment, '')), COALESCE(data_length + index_length, 0) \
           FROM information_schema.tables WHERE table_schema IN ({all});\
         SELECT 'routine', HEX(routine_schema), HEX(routine_name), routine_type \
           FROM information_schema.routines WHERE routine_schema IN ({all});\
         SELECT 'trigger', HEX(trigger_schema), HEX(trigger_name) \
           FROM information_schema.triggers WHERE trigger_schema IN ({all});\
         SELECT 'event', HEX(event_schema), HEX(event_name) \
           FROM information_schema.events WHERE event_schema IN ({all});\
         SELECT DISTINCT 'inbound', HEX(referenced_table_schema), HEX(table_schema), HEX(table_name) \
           FROM information_schema.key_column_usage \
           WHERE referenced_table_schema = {target} AND table_schema NOT IN ({all});\
         SELECT 'connection', HEX(db), id, HEX(user), HEX(host), HEX(command), time \
           FROM information_schema.processlist WHERE db = {target} AND id <> CONNECTION_ID();\
         SHOW GRANTS;"
    )
}

/// Reads the answer: rows of fields with tabs between. None: it is not one.
pub(super) fn read(answer: &str, names: [&str; 3]) -> Option<State> {
    let rows: Vec<Vec<&str>> = answer.lines().map(|line| line.split('\t').collect()).collect();
    let of = |about: &'static str| rows.iter().filter(move |row| row[0] == about).map(|row| &row[1..]);
    let server = of("server").next()?;
    let (version, comment) = (*server.first()?, unhex(server.get(1)?)?);
    let mut state = State {
        version: version.to_owned(),
        family: Family::told_by(&[version, &comment]),
        series: tools::series(version)?,
        encrypted: of("Ssl_cipher").any(|row| row.first().is_some_and(|cipher| !cipher.is_empty())),
        folds_case: *server.get(2)? != "0",
        max_packet: server.get(3)?.parse().ok()?,
        grants: answer.lines().filter(|line| is_grant(line)).map(str::to_owned).collect(),
        connections: vec![],
        inbound: vec![],
        schemas: vec![],
    };
    // The server compares names more loosely than it keeps them apart.
    for row in of("schema") {
        let name = unhex(row.first()?)?;
        if names.iter().any(|wanted| state.same(&name, wanted)) {
            let (charset, collation) = ((*row.get(1)?).to_owned(), (*row.get(2)?).to_owned());
            state.schemas.push(Schema { name, charset, collation, ..Schema::default() });
        }
    }
    for about in ["table", "routine", "trigger", "event"] {
        for row in of(about) {
            let (schema, name) = (unhex(row.first()?)?, unhex(row.get(1)?)?);
            let Some(schema) = state.schemas.iter_mut().find(|known| known.name == schema) else { continue };
            match about {
                "table" => schema.tables.push(table(name, row)?),
                "routine" => schema.routines.push(((*row.get(2)?).to_owned(), name)),
                "trigger" => schema.triggers.push(name),
                _ => schema.events.push(name),
            }
        }
    }
    let (mut inbound, mut connections) = (vec![], vec![]);
    for row in of("inbound").filter(|row| is_named(&state, row, names[0])) {
        inbound.push(format!("{}.{}", unhex(row.get(1)?)?, unhex(row.get(2)?)?));
    }
    for row in of("connection").filter(|row| is_named(&state, row, names[0])) {
        let fields: Option<Vec<String>> = row.get(2..5)?.iter().map(|field| unhex(field)).collect();
        let [user, host, command] = <[String; 3]>::try_from(fields?).ok()?;
        let id = row.get(1)?.parse().ok()?;
        let seconds = row.get(5)?;
        connections.push((id, format!("{id}: {user}@{host}, {command} for {seconds} s")));
    }
    Some(State { connections, inbound, ..state })
}

fn is_grant(line: &str) -> bool {
    line.starts_with("GRANT ") || line.starts_with("REVOKE ")
}

fn is_named(state: &State, row: &[&str], target: &str) -> bool {
    row.first().and_then(|field| unhex(field)).is_some_and(|name| state.same(&name, target))
}

fn table(name: String, row: &[&str]) -> Option<Table> {
    let [kind, engine, comment, bytes] = row.get(2..6)? else { return None };
    Some(Table {
        name,
        kind: (*kind).to_owned(),
        engine: (*engine).to_owned(),
        comment: unhex(comment)?,
        bytes: bytes.parse().ok()?,
    })
}

fn unhex(field: &str) -> Option<String> {
    String::from_utf8(hex::decode(field).ok()?).ok()
}

/// A name as SQL takes it, whatever it holds.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text as SQL takes it in a mode in which a backslash escapes.
pub(super) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_databases_that_only_look_alike_are_left_out() {
        let hex = |name: &str| hex::encode_upper(name);
        let answer = format!(
            "server\t10.11.6-MariaDB\t{}\t0\t16777216\nSsl_cipher\t\nschema\t{}\tutf8mb4\tutf8mb4_bin\n\
             schema\t{}\tlatin1\tlatin1_bin\ntable\t{}\t{}\tBASE TABLE\tInnoDB\t\t16384\n\
             table\t{}\t{}\tBASE TABLE\tInnoDB\t\t16384\nGRANT USAGE ON *.* TO `x`@`%`\n",
            hex("Debian"),
            hex("shop"),
            hex("Shop"),
            hex("shop"),
            hex("a\tb"),
            hex("SHOP"),
            hex("c"),
        );
        let state = read(&answer, ["shop", "aside", "kept"]).unwrap();
        let shop = state.schema("shop").unwrap();
        assert_eq!((shop.tables.len(), shop.tables[0].name.as_str(), shop.bytes()), (1, "a\tb", 16_384));
        assert_eq!(
            (shop.defaults().as_str(), state.grants.len()),
            ("CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", 1)
        );
        assert!(state.schema("Shop").is_none() && state.schema("kept").is_none());
        assert!(read("HTTP/1.1 400 Bad Request", ["a", "b", "c"]).is_none());
    }
}
