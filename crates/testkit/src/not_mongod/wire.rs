//! The frames of the wire protocol: `OP_MSG`, and `OP_QUERY` for the first `hello` of a connection.

use std::io::{Error, ErrorKind, Result};

use bson::RawDocumentBuf;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest message that is taken or given, in bytes; a mongod's `maxMessageSizeBytes`.
pub(super) const MAX_MESSAGE_BYTES: usize = 48_000_000;

const HEADER_BYTES: usize = 16;
const OP_REPLY: i32 = 1;
const OP_QUERY: i32 = 2004;
const OP_MSG: i32 = 2013;
const CHECKSUM_PRESENT: u32 = 1;
const MORE_TO_COME: u32 = 1 << 1;
/// The flags of which a server must know what they mean, or refuse the message.
const REQUIRED_FLAGS: u32 = 0xffff;

/// A request as it came over the wire.
pub(super) struct Message {
    pub(super) id: i32,
    /// Whether it was an `OP_QUERY`, whose answer has another frame.
    pub(super) legacy: bool,
    /// The sender wants no answer.
    pub(super) silent: bool,
    pub(super) body: RawDocumentBuf,
    pub(super) sequences: Vec<(String, Vec<RawDocumentBuf>)>,
}

/// Reads one message; none at the end of the stream.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Message>> {
    let mut header = [0_u8; HEADER_BYTES];
    if stream.read(&mut header[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut header[1..]).await?;
    let mut fields = Bytes(&header);
    let (length, id, _, code) = (fields.i32()?, fields.i32()?, fields.i32()?, fields.i32()?);
    let length = usize::try_from(length).ok().filter(|n| (HEADER_BYTES..=MAX_MESSAGE_BYTES).contains(n));
    let length = length.ok_or_else(|| broken("the message's length is out of bounds"))?;
    let mut rest = vec![0; length - HEADER_BYTES];
    stream.read_exact(&mut rest).await?;
    match code {
        OP_MSG => read_msg(id, &rest).map(Some),
        OP_QUERY => read_query(id, &rest).map(Some),
        other => Err(broken(&format!("opcode {other} is not spoken here"))),
    }
}

fn read_msg(id: i32, rest: &[u8]) -> Result<Message> {
    let mut bytes = Bytes(rest);
    let flags = bytes.u32()?;
    if flags & REQUIRED_FLAGS & !(CHECKSUM_PRESENT | MORE_TO_COME) != 0 {
        return Err(broken("the message has unknown required flags"));
    }
    if flags & CHECKSUM_PRESENT != 0 {
        // Its value is not compared: no driver of today sends one without being asked.
        let end = bytes.0.len().checked_sub(4).ok_or_else(|| broken("the checksum is missing"))?;
        bytes.0 = &bytes.0[..end];
    }
    let (mut body, mut sequences) = (None, Vec::new());
    while !bytes.0.is_empty() {
        match bytes.take(1)?[0] {
            0 if body.is_none() => body = Some(bytes.document()?),
            1 => sequences.push(read_sequence(&mut bytes)?),
            _ => return Err(broken("the message has a second body, or a section of unknown kind")),
        }
    }
    let body = body.ok_or_else(|| broken("the message has no body"))?;
    Ok(Message { id, legacy: false, silent: flags & MORE_TO_COME != 0, body, sequences })
}

fn read_sequence(bytes: &mut Bytes<'_>) -> Result<(String, Vec<RawDocumentBuf>)> {
    let size = usize::try_from(bytes.i32()?).ok().and_then(|size| size.checked_sub(4));
    let mut section = Bytes(bytes.take(size.ok_or_else(|| broken("a section's length is out of bounds"))?)?);
    let name = section.cstring()?;
    let mut documents = Vec::new();
    while !section.0.is_empty() {
        documents.push(section.document()?);
    }
    Ok((name, documents))
}

fn read_query(id: i32, rest: &[u8]) -> Result<Message> {
    let mut bytes = Bytes(rest);
    bytes.u32()?;
    let namespace = bytes.cstring()?;
    let (_, _) = (bytes.i32()?, bytes.i32()?);
    let mut body = bytes.document()?;
    let database = namespace.strip_suffix(".$cmd").ok_or_else(|| broken("OP_QUERY is for commands alone"))?;
    if body.get("$db").ok().flatten().is_none() {
        body.append(bson::raw::cstr!("$db"), database);
    }
    Ok(Message { id, legacy: true, silent: false, body, sequences: Vec::new() })
}

/// The whole frame of an answer.
pub(super) fn reply(to: &Message, body: &RawDocumentBuf) -> Vec<u8> {
    let body = body.as_bytes();
    let mut frame = Vec::with_capacity(body.len() + 64);
    let code = if to.legacy { OP_REPLY } else { OP_MSG };
    for field in [0, to.id.wrapping_add(1), to.id, code] {
        frame.extend(field.to_le_bytes());
    }
    if to.legacy {
        // Flags (AwaitCapable), no cursor, from the first document, one document.
        frame.extend(8_i32.to_le_bytes());
        frame.extend(0_i64.to_le_bytes());
        frame.extend(0_i32.to_le_bytes());
        frame.extend(1_i32.to_le_bytes());
    } else {
        frame.extend(0_u32.to_le_bytes());
        frame.push(0);
    }
    frame.extend(body);
    set_length(&mut frame, 0);
    frame
}

/// Writes a frame's length into its header, `beyond` bytes from the truth.
pub(super) fn set_length(frame: &mut [u8], beyond: i32) {
    let length = i32::try_from(frame.len()).unwrap_or(i32::MAX).saturating_add(beyond);
    frame[..4].copy_from_slice(&length.to_le_bytes());
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| broken("the message is cut"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn i32(&mut self) -> Result<i32> {
        self.u32().map(u32::cast_signed)
    }

    fn u32(&mut self) -> Result<u32> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn cstring(&mut self) -> Result<String> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or_else(|| broken("a name has no end"))?;
        let name = self.take(end + 1)?;
        String::from_utf8(name[..end].to_vec()).map_err(|_| broken("a name is not UTF-8"))
    }

    fn document(&mut self) -> Result<RawDocumentBuf> {
        let length = self.0.first_chunk().map_or(0, |bytes| i32::from_le_bytes(*bytes));
        let length = usize::try_from(length).map_err(|_| broken("a document has a negative length"))?;
        let bytes = self.take(length)?.to_vec();
        RawDocumentBuf::from_bytes(bytes).map_err(|error| broken(&error.to_string()))
    }
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what.to_owned())
}
