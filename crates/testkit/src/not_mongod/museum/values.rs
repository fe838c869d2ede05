//! Documents of every BSON type and of values at the edges.

use bson::RawDocumentBuf;

use super::bytes::Bytes;

const ID: &[u8] = b"_id";
const V: &[u8] = b"v";

/// Named values, each made of a document's start.
fn values() -> Vec<(&'static str, Bytes)> {
    let start = |name: &str| Bytes::default().text(2, ID, name.as_bytes());
    let named = |name: &'static str, add: &dyn Fn(Bytes) -> Bytes| (name, add(start(name)));
    let mut all = numbers(&named);
    all.extend(texts(&named));
    all.extend(binaries(&named));
    all.extend(times(&named));
    all.extend(nested(&named));
    all.extend(singles(&named));
    all
}

type Named<'a> = dyn Fn(&'static str, &dyn Fn(Bytes) -> Bytes) -> (&'static str, Bytes) + 'a;
type Values = Vec<(&'static str, Bytes)>;

fn numbers(named: &Named<'_>) -> Values {
    let doubles: [(&str, u64); 9] = [
        ("zero", 0),
        ("negative zero", 1 << 63),
        ("quiet NaN", 0x7ff8_0000_0000_0000),
        ("NaN with a payload", 0x7ff8_dead_beef_0001),
        ("negative signalling NaN", 0xfff0_0000_0000_0001),
        ("infinity", 0x7ff0_0000_0000_0000),
        ("negative infinity", 0xfff0_0000_0000_0000),
        ("smallest subnormal", 1),
        ("largest double", 0x7fef_ffff_ffff_ffff),
    ];
    let mut all: Values = doubles.iter().map(|(name, bits)| named(name, &|to| to.double(V, *bits))).collect();
    let decimals: [(&str, u64, u64); 8] = [
        ("decimal zero", 0x3040_0000_0000_0000, 0),
        ("decimal negative zero with exponent", 0xb05a_0000_0000_0000, 0),
        ("decimal 0.1", 0x303e_0000_0000_0000, 1),
        ("decimal 0.10", 0x303c_0000_0000_0000, 10),
        ("decimal NaN", 0x7c00_0000_0000_0000, 0),
        ("decimal NaN with a payload", 0x7e00_0000_0000_0000, 0x12),
        ("decimal negative infinity", 0xf800_0000_0000_0000, 0),
        ("decimal largest", 0x5fff_ed09_bead_87c0, 0x378d_8e63_ffff_ffff),
    ];
    all.extend(decimals.iter().map(|(name, high, low)| named(name, &|to| to.decimal(V, *high, *low))));
    all.extend([
        named("smallest int", &|to| to.int(V, i32::MIN)),
        named("largest int", &|to| to.int(V, i32::MAX)),
        named("smallest long", &|to| to.long(V, i64::MIN)),
        named("largest long", &|to| to.long(V, i64::MAX)),
        named("a long that no double is", &|to| to.long(V, (1 << 53) + 1)),
        named("a small number as a long", &|to| to.long(V, 1)),
    ]);
    all
}

fn texts(named: &Named<'_>) -> Values {
    vec![
        named("empty text", &|to| to.text(2, V, b"")),
        named("text with NUL", &|to| to.text(2, V, b"a\0b\0")),
        named("text beyond the plane", &|to| to.text(2, V, "🦀𝒳\u{10ffff}".as_bytes())),
        named("text with a byte order mark", &|to| to.text(2, V, "\u{feff}e\u{301}\u{202e}".as_bytes())),
        named("control characters", &|to| to.text(2, V, b"\x01\r\n\t\x7f\"\\")),
        named("code", &|to| to.text(0x0d, V, b"function () { return \"\\n\"; }")),
        named("code with scope", &|to| {
            to.scoped_code(V, b"return x\0;", Bytes::default().int(b"x", 1).text(2, b"", b"empty key"))
        }),
        named("symbol", &|to| to.text(0x0e, V, "sÿmbol".as_bytes())),
        named("pointer", &|to| to.pointer(V, b"shop.orders", *b"\x00\xff0123456789")),
        named("regex", &|to| to.regex(V, "^ä.*[\"'/]$".as_bytes(), b"imsx")),
        named("regex with options out of order", &|to| to.regex(V, b"", b"xi")),
    ]
}

fn binaries(named: &Named<'_>) -> Values {
    let uuid: Vec<u8> = (0..16).collect();
    let mut all = vec![
        named("empty binary", &|to| to.binary(V, 0, b"")),
        named("old binary", &|to| to.binary(V, 2, &[&4_i32.to_le_bytes()[..], b"\x00\x01\xfe\xff"].concat())),
        named("old uuid", &|to| to.binary(V, 3, &uuid)),
        named("uuid", &|to| to.binary(V, 4, &uuid)),
        named("md5", &|to| to.binary(V, 5, &uuid)),
        named("encrypted", &|to| to.binary(V, 6, &[1; 33])),
        named("column", &|to| to.binary(V, 7, b"\x01\x00\x00\x00\x00\x00")),
        named("sensitive", &|to| to.binary(V, 8, b"secret")),
        named("vector", &|to| to.binary(V, 9, &[0x27, 0, 0, 0, 0x80, 0x3f])),
        named("user's own binary", &|to| to.binary(V, 0x80, &[0xff; 300])),
        named("user's last binary", &|to| to.binary(V, 0xff, b"\0")),
    ];
    all.push(named("function binary", &|to| to.binary(V, 1, b"()")));
    all
}

fn times(named: &Named<'_>) -> Values {
    vec![
        named("epoch", &|to| to.date(V, 0)),
        named("before the epoch", &|to| to.date(V, -1)),
        named("first date", &|to| to.date(V, i64::MIN)),
        named("last date", &|to| to.date(V, i64::MAX)),
        named("timestamp", &|to| to.timestamp(V, u32::MAX, 7)),
        named("timestamp of one", &|to| to.timestamp(V, 0, 1)),
        // On the top level a mongod puts the time into an empty one.
        named("empty timestamp within", &|to| to.document(V, Bytes::default().timestamp(b"t", 0, 0))),
    ]
}

fn nested(named: &Named<'_>) -> Values {
    let deep = (0..150).fold(Bytes::default().int(b"bottom", 0), |inner, level| {
        if level % 2 == 0 {
            Bytes::default().document(b"d", inner)
        } else {
            Bytes::default().array(b"0", inner)
        }
    });
    vec![
        named("empty document", &|to| to.document(V, Bytes::default())),
        named("empty array", &|to| to.array(V, Bytes::default())),
        named("array with keys out of order", &|to| {
            to.array(V, Bytes::default().int(b"7", 1).int(b"", 2).int(b"x", 3))
        }),
        named("150 levels", &|to| to.element(3, V, deep.clone().build().as_bytes())),
        named("empty key", &|to| to.int(b"", 1).int(b" ", 2)),
        named("one key twice", &|to| to.int(V, 1).text(2, V, b"two").int(V, 3)),
        named("dots and dollars", &|to| {
            to.int(b"a.b", 1).int(b"$c", 2).document(b"d", Bytes::default().int(b"$set", 3).int(b"..", 4))
        }),
        named("key beyond the plane", &|to| to.int("ключ🔑".as_bytes(), 1)),
        named("a reference", &|to| {
            let id = Bytes::default().text(2, b"$ref", b"orders").int(b"$id", 1).text(2, b"$db", b"shop");
            to.document(V, id)
        }),
        named("what looks like extended JSON", &|to| {
            let inner = Bytes::default().text(2, b"$numberLong", b"1").text(2, b"$oid", b"x");
            to.document(V, inner)
        }),
    ]
}

fn singles(named: &Named<'_>) -> Values {
    vec![
        named("undefined", &|to| to.element(6, V, &[])),
        named("object id", &|to| to.element(7, V, b"\x00\xff0123456789")),
        named("false", &|to| to.element(8, V, &[0])),
        named("true", &|to| to.element(8, V, &[1])),
        named("null", &|to| to.element(0x0a, V, &[])),
        named("lowest key", &|to| to.element(0xff, V, &[])),
        named("highest key", &|to| to.element(0x7f, V, &[])),
    ]
}

/// One document for each value, named by its `_id`.
pub fn documents() -> Vec<RawDocumentBuf> {
    values().into_iter().map(|(_, document)| document.build()).collect()
}

/// Documents whose `_id` is of every type that one can be of; the same number twice is in no collection.
pub(super) fn ids() -> Vec<RawDocumentBuf> {
    let object = Bytes::default().int(b"a", 1).document(b"b", Bytes::default().int(b"", 2));
    let id = |add: &dyn Fn(Bytes) -> Bytes| add(Bytes::default()).text(2, b"x", b"y").build();
    vec![
        id(&|to| to.element(0x0a, ID, &[])),
        id(&|to| to.element(0xff, ID, &[])),
        id(&|to| to.element(0x7f, ID, &[])),
        id(&|to| to.text(2, ID, b"")),
        id(&|to| to.text(2, ID, b"a\0")),
        id(&|to| to.text(2, ID, b"a")),
        id(&|to| to.double(ID, f64::NAN.to_bits())),
        id(&|to| to.double(ID, (-0.0_f64).to_bits())),
        id(&|to| to.double(ID, 0.1_f64.to_bits())),
        id(&|to| to.decimal(ID, 0x303e_0000_0000_0000, 1)),
        id(&|to| to.long(ID, i64::MAX)),
        id(&|to| to.long(ID, i64::MAX - 1)),
        id(&|to| to.int(ID, -1)),
        id(&|to| to.document(ID, object.clone())),
        id(&|to| to.document(ID, Bytes::default())),
        id(&|to| to.binary(ID, 0, b"a")),
        id(&|to| to.binary(ID, 0x80, b"a")),
        id(&|to| to.binary(ID, 4, &[7; 16])),
        id(&|to| to.element(7, ID, &[0; 12])),
        id(&|to| to.element(8, ID, &[0])),
        id(&|to| to.date(ID, i64::MIN)),
        id(&|to| to.timestamp(ID, 0, 0)),
        id(&|to| to.text(0x0d, ID, b"code")),
        id(&|to| to.text(0x0e, ID, b"symbol")),
        id(&|to| to.scoped_code(ID, b"x", Bytes::default().int(b"x", 1))),
        id(&|to| to.pointer(ID, b"a.b", [1; 12])),
        id(&|to| to.element(7, ID, &[0xff; 12])),
    ]
}

/// Texts whose bytes are no UTF-8; servers keep them.
pub(super) fn not_utf8() -> Vec<RawDocumentBuf> {
    vec![
        Bytes::default().int(ID, 1).text(2, V, b"latin \xe9\xff").build(),
        Bytes::default().int(ID, 2).document(V, Bytes::default().text(2, b"half", b"\xed\xa0\x80")).build(),
    ]
}

/// Timestamps that an insertion fills in, and one as an `_id`, which it leaves alone.
pub(super) fn empty_timestamps() -> Vec<RawDocumentBuf> {
    vec![
        Bytes::default().int(ID, 1).timestamp(b"a", 0, 0).timestamp(b"b", 0, 0).build(),
        Bytes::default().timestamp(ID, 0, 0).timestamp(b"a", 0, 1).build(),
    ]
}

/// A document of that many bytes, of which no two neighbours are equal.
pub(super) fn of_size(id: i32, size: usize) -> RawDocumentBuf {
    let frame = Bytes::default().int(ID, id).binary(V, 0, b"").build().as_bytes().len();
    let mut noise = u32::try_from(size).expect("a document is small") ^ id.cast_unsigned();
    let bytes: Vec<u8> = (0..size - frame)
        .map(|_| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise.to_be_bytes()[0]
        })
        .collect();
    Bytes::default().int(ID, id).binary(V, 0, &bytes).build()
}
