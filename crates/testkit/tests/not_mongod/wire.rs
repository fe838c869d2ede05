//! Frames that no driver sends.

use bson::{RawDocumentBuf, rawdoc};
use respaldo_testkit::not_mongod::NotMongod;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const OP_QUERY: i32 = 2004;
const OP_MSG: i32 = 2013;

fn frame(code: i32, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len() + 16).unwrap();
    let mut frame: Vec<u8> = [length, 7, 0, code].iter().flat_map(|field| field.to_le_bytes()).collect();
    frame.extend(body);
    frame
}

fn message(flags: u32, sections: &[u8]) -> Vec<u8> {
    frame(OP_MSG, &[&flags.to_le_bytes(), sections].concat())
}

fn body(document: &RawDocumentBuf) -> Vec<u8> {
    [&[0], document.as_bytes()].concat()
}

/// What comes back until the other side closes or has answered once: header and rest.
async fn exchange(server: &NotMongod, bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    (answer.len() > 16).then(|| (answer[..16].to_vec(), answer[16..].to_vec()))
}

#[tokio::test]
async fn frames_that_lie_end_their_connection_and_nothing_else() {
    let server = NotMongod::start();
    let ping = rawdoc! { "ping": 1, "$db": "admin" };
    let mut huge = message(0, &body(&ping));
    huge[..4].copy_from_slice(&i32::MAX.to_le_bytes());
    let mut negative = message(0, &body(&ping));
    negative[..4].copy_from_slice(&(-5_i32).to_le_bytes());
    let cut_section = [&[1_u8][..], &100_i32.to_le_bytes(), b"documents\0"].concat();
    let no_name = [&[1_u8][..], &9_i32.to_le_bytes(), b"docum"].concat();
    for wrong in [
        huge,
        negative,
        message(0, &body(&ping))[..30].to_vec(),
        message(0, &[]),
        message(0, &[7, 1, 2, 3]),
        message(0, &[body(&ping), body(&ping)].concat()),
        message(1 << 5, &body(&ping)),
        message(0, &[body(&ping), cut_section].concat()),
        message(0, &[body(&ping), no_name].concat()),
        frame(2012, b"\0\0\0\0\0\0\0\0\0"),
        frame(OP_QUERY, b"\0\0\0\0shop.orders\0\0\0\0\0\0\0\0\0\x05\0\0\0\0"),
    ] {
        assert!(exchange(&server, &wrong).await.is_none(), "{wrong:?} was answered");
    }
    assert!(exchange(&server, &message(0, &body(&ping))).await.is_some());
}

#[tokio::test]
async fn a_checksum_is_read_past_and_a_silent_command_is_not_answered() {
    let server = NotMongod::start();
    let insert = rawdoc! { "insert": "orders", "documents": [{ "_id": 1 }], "$db": "shop" };
    let with_checksum = [body(&insert), vec![1, 2, 3, 4]].concat();
    let (_, answer) = exchange(&server, &message(1, &with_checksum)).await.unwrap();
    let answer = RawDocumentBuf::from_bytes(answer[5..].to_vec()).unwrap();
    assert_eq!(answer.get_i32("n").unwrap(), 1);
    let silent = rawdoc! { "insert": "orders", "documents": [{ "_id": 2 }], "$db": "shop" };
    assert!(exchange(&server, &message(2, &body(&silent))).await.is_none());
    assert_eq!(server.documents("shop", "orders").len(), 2);
}

#[tokio::test]
async fn the_oldest_greeting_is_answered_in_its_own_frame() {
    let server = NotMongod::start();
    let hello = rawdoc! { "isMaster": 1, "helloOk": true };
    let query = [&[0; 4][..], b"admin.$cmd\0", &[0; 4], &(-1_i32).to_le_bytes(), hello.as_bytes()].concat();
    let (header, answer) = exchange(&server, &frame(OP_QUERY, &query)).await.unwrap();
    assert_eq!(header[12..], 1_i32.to_le_bytes(), "an OP_REPLY was expected");
    let answer = RawDocumentBuf::from_bytes(answer[20..].to_vec()).unwrap();
    assert!(answer.get_bool("ismaster").unwrap());
}

#[tokio::test]
async fn a_message_without_a_database_is_refused() {
    let server = NotMongod::start();
    let (_, answer) = exchange(&server, &message(0, &body(&rawdoc! { "ping": 1 }))).await.unwrap();
    let answer = RawDocumentBuf::from_bytes(answer[5..].to_vec()).unwrap();
    assert_eq!(answer.get_i32("code").unwrap(), 40571);
}
