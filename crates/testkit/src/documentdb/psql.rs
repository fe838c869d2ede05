//! One `psql` that lives as long as the server and is fed by its standard input.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::codes;
use crate::host;
use crate::not_mongod::Refusal;
use crate::postgres::Postgres;

/// Binary values are hexadecimal both ways.
const PREPARE: &str = "SET documentdb_core.bsonUseEJson = off;\nSET client_min_messages = error;\nSET statement_timeout = '60s';\n";

pub(super) struct Psql {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// Stands on a line of its own after each answer.
    end: String,
}

impl Psql {
    pub(super) fn start(postgres: &Postgres) -> Self {
        let mut command = postgres.client("psql", "postgres");
        command.args(["-X", "-q", "-A", "-t"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("psql can be started");
        let stdin = child.stdin.take().expect("it was asked for");
        let stdout = BufReader::new(child.stdout.take().expect("it was asked for"));
        let mut psql = Self { child, stdin, stdout, end: host::random_hex(12) };
        psql.stdin.write_all(PREPARE.as_bytes()).expect("psql reads");
        psql
    }

    /// Runs one statement; its rows as lines, or what the server said against it.
    pub(super) fn query(&mut self, sql: &str) -> Result<Vec<String>, Refusal> {
        let end = &self.end;
        let script = format!("{sql};\n\\echo {end} :SQLSTATE\n\\echo :LAST_ERROR_MESSAGE\n\\echo {end}\n");
        self.stdin.write_all(script.as_bytes()).expect("psql reads");
        let mut rows = self.lines();
        let state = rows.pop().expect("psql tells the state");
        let message = self.lines();
        if state == "00000" {
            return Ok(rows);
        }
        let text = message[..message.len() - 1].join(" ");
        Err(codes::refusal(&state, &text))
    }

    /// The lines up to the mark, and what stands behind it.
    fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let read = self.stdout.read_line(&mut line).expect("psql prints UTF-8");
            assert!(read > 0, "psql has ended");
            let line = line.trim_end_matches('\n');
            if let Some(rest) = line.strip_prefix(&self.end) {
                lines.push(rest.trim().to_owned());
                return lines;
            }
            lines.push(line.to_owned());
        }
    }
}

impl Drop for Psql {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
