//! Why a file is refused once it is known what it is.

use std::io;

use crate::{Error, ErrorKind};

const FIELD: &str = "file";
const OPERATION: &str = "receive a file";

/// The sender went away, or sent less than it had announced.
pub(super) fn broke_off(sent: u64, announced: Option<u64>) -> Error {
    let of = announced.map_or_else(String::new, |announced| format!(" of {announced}"));
    about(ErrorKind::Invalid, format!("the upload broke off after {sent}{of} bytes"))
        .with_mend("send the file again")
}

pub(super) fn sent_too_much(most: u64) -> Error {
    about(ErrorKind::TooLarge, format!("it is larger than the {most} bytes that an upload may have"))
        .with_mend("pack it by zstd, or raise uploads.max_upload_gb in config.yaml")
}

pub(super) fn unpacks_to_too_much(most: u64) -> Error {
    about(ErrorKind::TooLarge, format!("it unpacks to more than the {most} bytes that an upload may have"))
        .with_mend("raise uploads.max_gb in config.yaml")
}

/// More than any dump is packed.
pub(super) fn bomb(ratio: u64) -> Error {
    about(ErrorKind::Invalid, format!("it unpacks to more than {ratio} times its size, as no dump does"))
        .with_mend("unpack it yourself and send it as it is, if it is yours")
}

fn window(most: u64) -> Error {
    let mebibytes = most >> 20;
    let why =
        format!("its zstd window is larger than the {mebibytes} MiB that memory_budget_mb leaves for it");
    about(ErrorKind::Invalid, why)
        .with_mend("pack it without --long or --ultra, or raise server.memory_budget_mb in config.yaml")
}

/// What an error of a decoder, whose windows may have so many bytes, means for the file.
pub(super) fn unreadable(error: &io::Error, most_window: u64) -> Error {
    if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return inner.clone();
    }
    if error.to_string().contains("too much memory") {
        return window(most_window);
    }
    let what = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it was packed, and ends before its end".to_owned(),
        _ => format!("it was packed, and is damaged: {error}"),
    };
    about(ErrorKind::Invalid, what).with_mend("look whether it unpacks (gzip -t, zstd -t), and send it again")
}

/// What an observer says against a dump is said of the file.
pub(super) fn of_the_file(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Invalid | ErrorKind::Incomplete | ErrorKind::Corrupt if error.field().is_none() => {
            let refused = about(ErrorKind::Invalid, error.message());
            match error.mend() {
                Some(mend) => refused.with_mend(mend),
                None => refused,
            }
        }
        _ => error,
    }
}

fn about(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, OPERATION, message).with_field(FIELD)
}
