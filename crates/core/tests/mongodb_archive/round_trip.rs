//! What is written is read.

use bson::doc;

use crate::support::{bytes, collection, header, observed, read, written};

#[test]
fn interleaved_collections_are_read_in_the_order_of_the_stream() {
    let declared =
        vec![collection("shop", "orders"), collection("shop", "empty"), collection("shop", "people")];
    let documents = vec![
        (0, bytes(&doc! { "_id": 1, "a": "x" })),
        (2, bytes(&doc! { "_id": 1 })),
        (0, bytes(&doc! { "_id": 2 })),
        (0, bytes(&doc! {})),
    ];
    let archive = written(&header(), &declared, &documents);
    assert_eq!(read(&archive).unwrap(), (header(), declared, documents));
    for piece in [1, 7, archive.len()] {
        let found = observed(&archive, piece).unwrap();
        let rows: Vec<_> =
            found.fingerprint.0.iter().map(|(name, table)| (name.as_str(), table.rows)).collect();
        assert_eq!(rows, [("empty", 0), ("orders", 3), ("people", 1)]);
    }
}
