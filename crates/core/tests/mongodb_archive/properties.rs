//! Any documents of any collections, in any order, cut anywhere.

use proptest::prelude::*;
use respaldo_core::engine::mongodb::archive::{Event, MAGIC, Parser, Writer};
use respaldo_core::fingerprint::Fingerprint;

use crate::support::{collection, header, observed, read};

/// A document of that many bytes, whose contents are not looked at.
fn document(contents: &[u8]) -> Vec<u8> {
    let length = u32::try_from(contents.len() + 5).unwrap();
    [&length.to_le_bytes()[..], contents, &[0]].concat()
}

/// What to do next with one of the collections: write a document, or end it.
fn steps() -> impl Strategy<Value = Vec<(usize, Option<Vec<u8>>)>> {
    let contents = prop::collection::vec(any::<u8>(), 0..120).prop_map(Some);
    prop::collection::vec((0..4_usize, prop_oneof![9 => contents, 1 => Just(None)]), 0..40)
}

proptest! {
    #[test]
    fn what_is_written_in_any_order_is_read_and_watched(steps in steps(), cuts in prop::collection::vec(1..200_usize, 1..20)) {
        let declared: Vec<_> = (0..4).map(|n| collection("shop", &format!("c{n}"))).collect();
        let mut writer = Writer::new(Vec::new(), &header(), &declared).unwrap();
        let (mut expected, mut fingerprint, mut ended) = (Vec::new(), Fingerprint::default(), [false; 4]);
        for n in 0..4 {
            fingerprint.table(&format!("c{n}"));
        }
        for (at, contents) in steps {
            if ended[at] {
                continue;
            }
            if let Some(contents) = contents {
                let document = document(&contents);
                writer.document(at, &document).unwrap();
                fingerprint.table(&format!("c{at}")).add_row(&document);
                expected.push((at, document));
            } else {
                writer.end(at).unwrap();
                ended[at] = true;
            }
        }
        for at in (0..4).filter(|at| !ended[*at]) {
            writer.end(at).unwrap();
        }
        let archive = writer.finish().unwrap();
        let (found_header, found_declared, documents) = read(&archive).unwrap();
        prop_assert_eq!((found_header, found_declared), (header(), declared));
        prop_assert_eq!(&documents, &expected);
        prop_assert_eq!(observed(&archive, cuts[0]).unwrap().fingerprint, fingerprint);
        prop_assert_eq!(pushed(&archive, &cuts), expected);
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400), magic in any::<bool>(), piece in 1..50_usize) {
        if magic {
            bytes.splice(0..0, MAGIC);
        }
        prop_assert_eq!(observed(&bytes, piece).is_ok(), read(&bytes).is_ok());
    }
}

/// Whole documents, of a parser that is fed pieces of these lengths in turn.
fn pushed(archive: &[u8], cuts: &[usize]) -> Vec<(usize, Vec<u8>)> {
    let (mut parser, mut documents, mut rest) = (Parser::new(), Vec::new(), archive);
    for cut in cuts.iter().cycle() {
        let (mut piece, after) = rest.split_at((*cut).min(rest.len()));
        while let Some(event) = parser.next(&mut piece).unwrap() {
            if let Event::Document { at, bytes } = event {
                documents.push((at, bytes.to_vec()));
            }
        }
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    parser.finish().unwrap();
    documents
}
