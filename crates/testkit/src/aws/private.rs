//! An emulator of a test's own.

use std::fs;
use std::time::Duration;

use crate::guardian::Guarded;
use crate::host;

/// How long it may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server that ends with this value.
pub(super) struct Private {
    pub(super) port: u16,
    server: Guarded,
}

impl Private {
    /// Starts `words` in a folder with these files; it writes its port into the file `port`.
    pub(super) fn start(name: &str, files: &[(&str, &str)], words: &[String]) -> Self {
        let prefix = format!("respaldo-{name}-");
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir().expect("a folder can be made");
        for (file, text) in files {
            fs::write(dir.path().join(file), text).expect("the folder is ours");
        }
        // As the test's own user: what was installed for it is not another's to read.
        let server = Guarded::start_as_caller(dir, "TERM", words);
        let mut port = None;
        let listens = host::holds_within(PATIENCE, || {
            let text = fs::read_to_string(server.dir().join("port"));
            port = text.ok().and_then(|text| text.parse().ok());
            port.is_some() || !host::is_alive(server.pid())
        });
        match port {
            Some(port) if listens => Self { port, server },
            _ => panic!("{name} does not start: {}", server.log()),
        }
    }

    /// What it has printed.
    pub(super) fn log(&self) -> String {
        self.server.log()
    }
}
