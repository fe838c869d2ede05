//! A database of everything awkward: every BSON type, every kind of collection, every kind of index.

mod bytes;
mod indexes;
mod shapes;
mod values;

use bson::{RawDocumentBuf, rawdoc};

use super::NotMongod;

pub use values::documents;

/// What the museum shows beside what it always does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Museum {
    /// Documents of exactly 16 MiB, and one byte less, in `large`.
    pub large_documents: usize,
    /// Collections `small_00000` and so on, with three documents and one index each.
    pub small_collections: usize,
    /// Timestamps of nothing on the top level of documents, in `empty_timestamps`: only a newer server,
    /// told so, keeps them when they are inserted.
    pub empty_timestamps: bool,
}

impl Museum {
    /// Fills a database that is not there yet.
    ///
    /// The collections: `values` and `ids` (every type), `not_utf8` (text that is none), some of hostile names, `empty`,
    /// `capped`, `validated` (with a document that its validator refuses), `warned`, `moderate`, `collated`, `clustered`,
    /// `images`, `indexed`, `unique`, `texts`, `places`, `flat_places`, `wild`, `system.js`, views on them and on views, and the
    /// time series `weather` and `plain_series`.
    pub fn fill(self, server: &NotMongod, database: &str) {
        server.load(database, "values", values::documents());
        server.load(database, "ids", values::ids());
        server.load(database, "not_utf8", values::not_utf8());
        shapes::fill(server, database);
        indexes::fill(server, database);
        if self.empty_timestamps {
            server.load(database, "empty_timestamps", values::empty_timestamps());
        }
        self.fill_large(server, database);
        self.fill_small(server, database);
    }

    fn fill_large(self, server: &NotMongod, database: &str) {
        let document = |n: usize| {
            let size = super::collection::MAX_DOCUMENT_BYTES - n % 2;
            values::of_size(i32::try_from(n).expect("a test has few"), size)
        };
        if self.large_documents > 0 {
            server.load(database, "large", (0..self.large_documents).map(document));
        }
    }

    fn fill_small(self, server: &NotMongod, database: &str) {
        for n in 0..self.small_collections {
            let name = format!("small_{n:05}");
            let document = |k: i32| rawdoc! { "_id": k, "of": name.as_str(), "k": k % 2 };
            server.load(database, &name, (0..3).map(document));
            indexes::create(server, database, &name, rawdoc! { "key": { "k": 1 }, "name": "k_1" });
        }
    }
}

fn run(server: &NotMongod, database: &str, command: &RawDocumentBuf) {
    server.run(database, command);
}
