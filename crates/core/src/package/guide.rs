//! `RESTORE.md`: how each member is restored with stock tools alone. Commands stand in blocks that a shell runs
//! as they are, one after the other.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::gather::{Gathered, Gathering};
use crate::model::{DumpFormat, EngineKind, safe_component};
use crate::seal::Compression;

/// Writes the guide of a package.
pub(super) fn write(name: &str, created_at: Timestamp, gathered: &Gathered) -> String {
    let mut text = format!("# Restore from {name}\n\n");
    let _infallible = writeln!(
        text,
        "Made by Respaldo {} at {created_at}. The files are backups as they were stored, and nothing but stock\n\
         tools is needed to restore them. All commands are for `bash`, in the folder that this file was unpacked\n\
         into. `MANIFEST.json` tells more of each file.\n\n\
         Are they whole? Each line must end with `OK`:\n\n\
         ```sh\nset -euo pipefail\nsha256sum -c SHA256SUMS\n```\n",
        env!("CARGO_PKG_VERSION")
    );
    if gathered.members.iter().any(is_encrypted) {
        text.push_str(
            "Files whose names end with `.age` are encrypted: set the file with the identity of one of their\n\
             recipients (`age-keygen` wrote it):\n\n```sh\nIDENTITY=${IDENTITY:-identity.txt}\n```\n\n",
        );
    }
    for member in &gathered.members {
        section(&mut text, member);
    }
    if !gathered.left_out.is_empty() {
        text.push_str("## Left out\n\n");
        for left in &gathered.left_out {
            let (database, reason) = (line(&left.database), line(&left.reason));
            let _infallible = writeln!(text, "- {database} (database {}): {reason}", left.database_id);
        }
    }
    text
}

fn is_encrypted(member: &Gathering) -> bool {
    !member.details.encryption.is_empty()
}

fn section(text: &mut String, gathering: &Gathering) {
    let (member, details) = (&gathering.chosen.member, &gathering.details);
    let _infallible = writeln!(text, "## {}\n", member.file);
    let server = details.server_version.as_deref().map(|version| format!(", server {}", line(version)));
    let tool = details.tool_version.as_deref().map(|version| format!(", made by {}", line(version)));
    let _infallible = writeln!(
        text,
        "{}, {} `{}`, backup of {}{}{}.\n",
        line(&member.database),
        member.engine,
        line(&details.database_name),
        member.backup_created_at,
        server.unwrap_or_default(),
        tool.unwrap_or_default(),
    );
    let new = format!("{}_restored", safe_component(&details.database_name).replace(['.', '-'], "_"));
    text.push_str(&how(member.engine, details.dump_format, &member.file, &unpacking(gathering), &new));
    text.push('\n');
}

/// The command that writes the dump to standard output.
fn unpacking(gathering: &Gathering) -> String {
    let file = &gathering.chosen.member.file;
    let mut stages = Vec::new();
    if is_encrypted(gathering) {
        stages.push(format!("age -d -i \"$IDENTITY\" {file}"));
    }
    let unpack = match gathering.details.compression {
        Compression::Gzip => Some("gunzip -c"),
        Compression::Zstd => Some("zstd -dc"),
        Compression::None => None,
    };
    match (unpack, stages.is_empty()) {
        (Some(unpack), true) => stages.push(format!("{unpack} {file}")),
        (Some(unpack), false) => stages.push(unpack.to_owned()),
        (None, true) => stages.push(format!("cat {file}")),
        (None, false) => {}
    }
    stages.join(" | ")
}

fn how(engine: EngineKind, format: DumpFormat, file: &str, unpacking: &str, new: &str) -> String {
    match engine {
        EngineKind::Postgres => postgres(format, file, unpacking, new),
        EngineKind::Mysql | EngineKind::Mariadb => {
            let client = if engine == EngineKind::Mysql { "mysql" } else { "mariadb" };
            // Without `--comments` these clients take comments out of routines.
            let load = format!("{client} --max-allowed-packet=1G --comments --default-character-set=utf8mb4");
            format!(
                "The client finds server, user and password in `~/.my.cnf`. A dump of MariaDB may begin with a line\n\
                 about the sandbox mode: for a client of MySQL, or an older one, take it out with `tail -n +2`.\n\n```sh\n\
                 {client} -e 'CREATE DATABASE `{new}`'\n{unpacking} | {load} {new}\n```\n"
            )
        }
        EngineKind::Sqlite => format!(
            "The dump is the database file itself:\n\n```sh\n\
             {unpacking} > {new}.db\nsqlite3 {new}.db 'PRAGMA integrity_check'\n```\n"
        ),
        EngineKind::Mongodb => format!(
            "Set `MONGODB_URI` to the server. The collections come back under the names that they had:\n\n```sh\n\
             {unpacking} | mongorestore --uri=\"$MONGODB_URI\" --archive\n```\n"
        ),
        EngineKind::Neo4j => format!(
            "Set `NEO4J_ADDRESS`, `NEO4J_USERNAME` and `NEO4J_PASSWORD`:\n\n```sh\n{unpacking} | cypher-shell\n```\n"
        ),
        EngineKind::Oracle => format!("The dump, for `impdp`:\n\n```sh\n{unpacking} > {new}.dmp\n```\n"),
    }
}

/// Roles that the dump names are made first, without a right to log in; those that are there stay.
fn postgres(format: DumpFormat, file: &str, unpacking: &str, new: &str) -> String {
    const ROLES: &str = r#"sed -nE 's/^ALTER .* OWNER TO ("[^"]+"|[a-z0-9_$]+);$/\1/p
  s/^(GRANT|REVOKE) .* (TO|FROM) ("[^"]+"|[a-z0-9_$]+)( WITH GRANT OPTION)?;$/\3/p
  s/^ALTER DEFAULT PRIVILEGES FOR ROLE ("[^"]+"|[a-z0-9_$]+) .* (TO|FROM) ("[^"]+"|[a-z0-9_$]+)( WITH GRANT OPTION)?;$/\1, \3/p
  s/^ALTER DEFAULT PRIVILEGES FOR ROLE ("[^"]+"|[a-z0-9_$]+) .*;$/\1/p
  s/^CREATE POLICY .* TO (("[^"]+"|[a-z0-9_$]+)(, ("[^"]+"|[a-z0-9_$]+))*)(;| USING .*| WITH CHECK .*)$/\1/p
  s/^CREATE USER MAPPING FOR ("[^"]+"|[a-z0-9_$]+) SERVER .*$/\1/p' |
  sort -u | sed -E 's/("[^"]+"|[a-z0-9_$]+)(, )?/CREATE ROLE \1 NOLOGIN;/g' | psql -X -q -d postgres"#;
    let (script, load) = match format {
        DumpFormat::Custom => (
            format!("{unpacking} > {file}.dump\npg_restore -s -f - {file}.dump"),
            format!("pg_restore --exit-on-error -d {new} {file}.dump\nrm {file}.dump"),
        ),
        DumpFormat::Plain => {
            (unpacking.to_owned(), format!("{unpacking} | psql -X -q --set ON_ERROR_STOP=1 -d {new}"))
        }
    };
    format!(
        "`psql` and its like are told the server by `PGHOST`, `PGPORT`, `PGUSER` and `PGPASSWORD`. Roles are not part\n\
         of a dump: those that it names are made, without a right to log in. For those that are there already\n\
         `psql` prints an error, which does no harm.\n\n```sh\n\
         {script} |\n  {ROLES}\ncreatedb -T template0 {new}\n{load}\n```\n"
    )
}

/// Text of others on one line that is nothing but text.
fn line(text: &str) -> String {
    let plain = |c: char| if c.is_control() || matches!(c, '`' | '<' | '>' | '[' | ']') { ' ' } else { c };
    text.chars().map(plain).collect()
}
