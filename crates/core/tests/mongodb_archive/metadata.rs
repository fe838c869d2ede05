//! Options and indexes as text, and back.

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{
    Binary, Bson, DateTime, Decimal128, JavaScriptCodeWithScope, RawDocumentBuf, Regex, Timestamp, doc,
};
use proptest::prelude::*;
use respaldo_core::engine::mongodb::archive::Metadata;
use rstest::rstest;

use crate::support::raw;

fn of_options(options: RawDocumentBuf) -> Metadata {
    Metadata { options, ..Metadata::new() }
}

/// A pointer of a type that nobody makes any more: `{p: DBPointer("a.b", …)}`.
fn pointer() -> RawDocumentBuf {
    let mut bytes = vec![0, 0, 0, 0, 0x0c, b'p', 0, 4, 0, 0, 0, b'a', b'.', b'b', 0];
    bytes.extend_from_slice(&[7; 12]);
    bytes.push(0);
    bytes[0] = u8::try_from(bytes.len()).unwrap();
    RawDocumentBuf::from_bytes(bytes).unwrap()
}

#[test]
fn every_type_comes_back_as_it_was() {
    let binary = |subtype| Bson::Binary(Binary { subtype, bytes: vec![0, 1, 255] });
    let decimals = ["2", "-0", "1E+6144", "1.000", "NaN", "Infinity", "0E-6176"];
    let decimals = decimals.map(|text| text.parse::<Decimal128>().unwrap());
    let museum = doc! {
        "double": [0.0, -0.0, 1.0, -1.5, 1e300, 5e-324, f64::INFINITY, f64::NEG_INFINITY, 9_007_199_254_740_993.0],
        "string": ["", "\" \\ / \u{0} \u{1} \u{7f} \u{2028} ü 🦀", "$oid"],
        "document": { "": {}, "$and": [], "a.b": { "$numberOf": 1 } },
        "binary": [binary(BinarySubtype::Generic), binary(BinarySubtype::BinaryOld), binary(BinarySubtype::UserDefined(0x80)), binary(BinarySubtype::Uuid)],
        "undefined": Bson::Undefined,
        "oid": ObjectId::parse_str("0102030405060708090a0b0c").unwrap(),
        "bool": [true, false],
        "date": [DateTime::MIN, DateTime::MAX, DateTime::from_millis(-1)],
        "null": Bson::Null,
        "regex": Regex { pattern: bson::raw::cstr!("a/\"b").into(), options: bson::raw::cstr!("imx").into() },
        "code": [Bson::JavaScriptCode("f()".to_owned()), Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code: "g".to_owned(), scope: doc! { "x": 1_i64 } })],
        "symbol": Bson::Symbol("s".to_owned()),
        "int": [0, i32::MIN, i32::MAX],
        "long": [0_i64, i64::MIN, i64::MAX],
        "timestamp": Timestamp { time: u32::MAX, increment: 0 },
        "decimal": decimals.to_vec(),
        "ends": [Bson::MinKey, Bson::MaxKey],
    };
    for options in [raw(&museum), pointer()] {
        let metadata = of_options(options);
        let text = metadata.to_json().unwrap();
        assert_eq!(Metadata::from_json(&text).unwrap(), metadata, "{text}");
    }
}

#[test]
fn a_nan_comes_back_as_a_nan() {
    let text = of_options(raw(&doc! { "a": f64::NAN })).to_json().unwrap();
    assert!(text.contains("{\"$numberDouble\":\"NaN\"}"), "{text}");
    let read = Metadata::from_json(&text).unwrap();
    assert!(read.options.get_f64("a").unwrap().is_nan());
}

#[test]
fn the_text_is_canonical_and_in_the_order_of_mongodump() {
    let metadata = Metadata {
        options: raw(
            &doc! { "size": 4096_i64, "capped": true, "collation": { "locale": "de", "strength": 2 } },
        ),
        indexes: vec![raw(
            &doc! { "v": 2, "key": { "zip": 1, "age": -1.0, "$**": "text" }, "name": "zip_1_age_-1" },
        )],
        uuid: Some("d6b7b0bd5dce41c498aa03f115533254".to_owned()),
        collection_name: Some("a \"b\"".to_owned()),
        kind: Some("collection".to_owned()),
        others: raw(&doc! { "later": { "x": 1 } }),
    };
    let expected = "{\"options\":{\"size\":{\"$numberLong\":\"4096\"},\"capped\":true,\"collation\":{\"locale\":\"de\",\
                    \"strength\":{\"$numberInt\":\"2\"}}},\"indexes\":[{\"v\":{\"$numberInt\":\"2\"},\"key\":{\"zip\":\
                    {\"$numberInt\":\"1\"},\"age\":{\"$numberDouble\":\"-1.0\"},\"$**\":\"text\"},\"name\":\"zip_1_age_-1\"}],\
                    \"uuid\":\"d6b7b0bd5dce41c498aa03f115533254\",\"collectionName\":\"a \\\"b\\\"\",\"type\":\"collection\",\
                    \"later\":{\"x\":{\"$numberInt\":\"1\"}}}";
    assert_eq!(metadata.to_json().unwrap(), expected);
    assert_eq!(Metadata::from_json(expected).unwrap(), metadata);
    assert_eq!(Metadata::new().to_json().unwrap(), "{\"indexes\":[]}");
}

#[test]
fn a_key_that_stands_twice_stays_twice() {
    let text = "{\"options\":{\"a\":{\"$numberInt\":\"1\"},\"a\":{\"$numberInt\":\"2\"}},\"indexes\":[]}";
    assert_eq!(Metadata::from_json(text).unwrap().to_json().unwrap(), text);
}

#[test]
fn what_older_tools_and_other_writers_wrote_is_read() {
    let text = "{\"options\":null,\"indexes\":[{\"v\":2,\"a\":3000000000,\"b\":1.5,\"c\":1e3,\"d\":{\"$date\":0},\
                \"e\":{\"$binary\":\"AAE=\",\"$type\":\"00\"},\"f\":{\"$uuid\":\"00112233-4455-6677-8899-aabbccddeeff\"},\
                \"g\":{\"$regex\":\"x\",\"$options\":\"i\"},\"h\":{\"$timestamp\":{\"t\":{\"$numberLong\":\"4294967295\"},\"i\":1}}}]}";
    let read = Metadata::from_json(text).unwrap();
    let uuid = hex::decode("00112233445566778899aabbccddeeff").unwrap();
    let expected = doc! {
        "v": 2, "a": 3_000_000_000_i64, "b": 1.5, "c": 1000.0, "d": DateTime::from_millis(0),
        "e": Binary { subtype: BinarySubtype::Generic, bytes: vec![0, 1] },
        "f": Binary { subtype: BinarySubtype::Uuid, bytes: uuid },
        "g": { "$regex": "x", "$options": "i" },
        "h": Timestamp { time: u32::MAX, increment: 1 },
    };
    assert_eq!(read.indexes, [raw(&expected)]);
    assert!(read.options.is_empty());
}

#[rstest]
#[case("", "it is no JSON")]
#[case("[]", "it is no object")]
#[case("{\"indexes\":{}}", "indexes has a value of a wrong type")]
#[case("{\"indexes\":[1]}", "an index is no object")]
#[case("{\"uuid\":1}", "uuid has a value of a wrong type")]
#[case("{\"options\":{\"a\":{\"$numberInt\":\"3000000000\"}}}", "a: $numberInt holds no such number")]
#[case("{\"options\":{\"a\":{\"$numberInt\":1}}}", "$numberInt has a value of a wrong type")]
#[case("{\"options\":{\"a\":{\"$oid\":\"12\"}}}", "24 hexadecimal digits")]
#[case("{\"options\":{\"a\":{\"$oid\":\"0102030405060708090a0b0c\",\"b\":1}}}", "$oid does not stand alone")]
#[case("{\"options\":{\"a\":{\"$minKey\":2}}}", "$minKey is not 1")]
#[case("{\"options\":{\"a\":{\"$scope\":{}}}}", "$scope has no $code")]
#[case("{\"options\":{\"a\":{\"$timestamp\":{\"t\":-1,\"i\":1}}}}", "$timestamp.t is no number")]
#[case("{\"options\":{\"a\":{\"$binary\":{\"base64\":\"!\",\"subType\":\"00\"}}}}", "$binary")]
#[case("{\"options\":{\"a\\u0000b\":1}}", "a name holds a NUL")]
#[case("{\"options\":{}} x", "it is no JSON")]
fn metadata_that_no_server_gave_is_refused(#[case] text: &str, #[case] expected: &str) {
    let error = Metadata::from_json(text).unwrap_err();
    assert!(error.message().contains(expected), "{error}");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_without_a_panic(text in "[\\[\\]{}\":,$a-z0-9. -]{0,200}") {
        if let Ok(metadata) = Metadata::from_json(&text) {
            let again = metadata.to_json().unwrap();
            prop_assert_eq!(Metadata::from_json(&again).unwrap().to_json().unwrap(), again);
        }
    }

    #[test]
    fn any_number_comes_back(int in any::<i32>(), long in any::<i64>(), double in any::<f64>(), decimal in any::<[u8; 16]>()) {
        let options = raw(&doc! { "i": int, "l": long, "d": double });
        let text = of_options(options.clone()).to_json().unwrap();
        let read = Metadata::from_json(&text).unwrap().options;
        if double.is_nan() {
            prop_assert!(read.get_f64("d").unwrap().is_nan());
        } else {
            prop_assert_eq!(read, options);
        }
        // Not every sixteen bytes are a decimal in its canonical form; but what is written is read as that.
        let options = raw(&doc! { "d": Decimal128::from_bytes(decimal) });
        let text = of_options(options).to_json().unwrap();
        let read = Metadata::from_json(&text).unwrap();
        prop_assert_eq!(read.to_json().unwrap(), text);
    }
}
