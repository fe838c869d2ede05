//! From a dump into `psql`: straight, or through `pg_restore` where it is an archive.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::super::contents::Contents;
use super::super::{PlainObserver, Postgres};
use super::choose::Choice;
use super::explain;
use super::script::{Rules, Script};
use super::session::Session;
use super::tools::Tools;
use crate::engine::feed::{Feed, feed};
use crate::engine::observe::Observed;
use crate::engine::restore::{Dump, DumpSource, Target, observer_for};
use crate::model::Ownership;
use crate::seal::read_error;
use crate::{Error, ErrorKind, Result};

/// What of an archive is read at a time to learn what it holds.
const PIECE: usize = 64 * 1024;
/// The file that names an archive's chosen entries.
const LIST: &str = "chosen.list";

/// Reads an archive's table of contents.
pub(super) async fn contents(source: &DumpSource) -> Result<(Contents, Option<String>)> {
    let mut dump = source.open().await?;
    let reading = tokio::task::spawn_blocking(move || {
        let (mut contents, mut piece) = (Contents::listing(), vec![0; PIECE]);
        loop {
            let read = match dump.read(&mut piece) {
                Ok(0) => {
                    let message = format!("the archive ends {}", contents.place());
                    return Err(Error::new(ErrorKind::Incomplete, "read the dump", message));
                }
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(read_error(&e)),
            };
            if contents.read(&mut &piece[..read])?.is_some() {
                let made_by = contents.tool_version.clone();
                return Ok((contents, made_by));
            }
        }
    });
    reading.await.map_err(|e| Error::internal("read the dump", e))?
}

/// Loads a plain dump.
pub(super) async fn plain(
    session: &Session<'_>,
    tools: &Tools,
    target: &Target,
    source: &DumpSource,
    rules: Rules,
) -> Result<Observed> {
    let redactor = target.at.login.redactor();
    let feed_of = Feed {
        dump: source.open().await?,
        most: target.dump.raw_bytes,
        observer: observer_for(&Postgres, target),
        filter: Some(Box::new(Script::new(rules))),
        meter: target.meter.clone(),
    };
    let psql = session.loader(&tools.psql.path).start(redactor, Some(target.at.log.clone()))?;
    feed(psql, feed_of, |ended| explain::loader(&ended)).await
}

/// Loads an archive: `pg_restore` writes its SQL, which goes the way of a plain dump. `psql` learns of the
/// end only when the whole archive was found good.
pub(super) async fn custom(
    session: &Session<'_>,
    tools: &Tools,
    target: &Target,
    source: &DumpSource,
    rules: Rules,
    choice: Option<&Choice>,
) -> Result<Observed> {
    let log = || Some(target.at.log.clone());
    let redactor = target.at.login.redactor();
    let list = choice.map(|choice| write_list(&target.at.staging, choice)).transpose()?;
    let tool =
        tools.pg_restore.as_ref().ok_or_else(|| Error::internal("restore", "no pg_restore was chosen"))?;
    let dump = source.open().await?;
    let mut unpacker =
        unpacker(session, &tool.path, target, list.as_deref()).start(redactor.clone(), log())?;
    let sql = unpacker.take_stdout()?.into_owned_fd().map_err(|e| Error::internal("read a tool", e))?;
    let psql = session.loader(&tools.psql.path).start(redactor, log())?;
    let (verdict, judged) = sync_channel(1);
    let unpacking = async {
        let unpacked = feed(
            unpacker,
            Feed {
                dump,
                most: target.dump.raw_bytes,
                observer: observer_for(&Postgres, target),
                filter: None,
                meter: target.meter.clone(),
            },
            |ended| explain::unpacker(&ended),
        )
        .await;
        tell(&verdict, &unpacked);
        unpacked
    };
    let loading = feed(
        psql,
        Feed {
            dump: Dump::new(Gated { sql: File::from(sql), judged }),
            most: u64::MAX,
            observer: Box::new(PlainObserver::new()),
            filter: Some(Box::new(Script::new(rules))),
            meter: std::sync::Arc::default(),
        },
        |ended| explain::loader(&ended),
    );
    let (unpacked, loaded) = tokio::join!(unpacking, loading);
    // When the loader fails, the other one only finds its pipe broken.
    loaded?;
    unpacked
}

fn tell(verdict: &SyncSender<Result<()>>, unpacked: &Result<Observed>) {
    // Nobody listens any more when the loader has failed.
    let _heard = verdict.try_send(unpacked.as_ref().map(|_| ()).map_err(Clone::clone));
}

fn unpacker(
    session: &Session<'_>,
    tool: &Path,
    target: &Target,
    list: Option<&Path>,
) -> crate::engine::process::Invocation {
    let mut invocation = session.tool(tool).args(["--file=-", "--format=custom"]).piped();
    if target.options.ownership == Ownership::None {
        invocation = invocation.args(["--no-owner", "--no-privileges"]);
    }
    match list {
        Some(list) => invocation.arg("--use-list").arg(list),
        None => invocation,
    }
}

fn write_list(staging: &Path, choice: &Choice) -> Result<PathBuf> {
    let path = staging.join(LIST);
    let lines: String = choice.entries.iter().map(|id| format!("{id};\n")).collect();
    std::fs::write(&path, lines)
        .map_err(|e| Error::new(ErrorKind::Storage, "write a list of tables", e.to_string()))?;
    Ok(path)
}

/// A tool's output, whose end is believed only when the tool was found to have had a whole archive.
struct Gated {
    sql: File,
    judged: Receiver<Result<()>>,
}

impl Read for Gated {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.sql.read(buffer)? {
            0 => match self.judged.recv() {
                Ok(Ok(())) => Ok(0),
                Ok(Err(e)) => Err(io::Error::other(e)),
                Err(_) => Err(io::Error::other("whoever unpacks the archive is gone")),
            },
            read => Ok(read),
        }
    }
}
