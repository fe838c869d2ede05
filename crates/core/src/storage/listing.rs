//! What lies in storage: all of it, page by page, or folder by folder.

use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use opendal::Entry;

use super::{Storage, error};
use crate::{Error, Result};

impl Storage {
    /// The keys below a folder (which ends with a slash), in no particular order.
    pub async fn list(&self, folder: &str) -> Result<Vec<String>> {
        self.walk(folder).try_collect().await
    }

    /// The same as a stream, for folders that may hold very many.
    pub fn walk(&self, folder: &str) -> BoxStream<'static, Result<String>> {
        let entries = self.entries(folder, true);
        let files = entries.try_filter(|entry| std::future::ready(!entry.metadata().is_dir()));
        files.map_ok(|entry| entry.path().to_owned()).boxed()
    }

    /// The names of what lies directly in a folder (which ends with a slash), in order; a folder's name ends
    /// with a slash.
    pub async fn names(&self, folder: &str) -> Result<Vec<String>> {
        let named = |entry: Entry| entry.path().strip_prefix(folder).map(str::to_owned);
        let names = self.entries(folder, false).map_ok(named);
        let names = names.try_filter_map(|name| std::future::ready(Ok(name)));
        let mut names: Vec<String> = names.try_collect().await?;
        names.retain(|name| !name.is_empty());
        names.sort_unstable();
        Ok(names)
    }

    fn entries(&self, folder: &str, recursive: bool) -> BoxStream<'static, Result<Entry>> {
        let (operator, folder) = (self.operator.clone(), folder.to_owned());
        let lister = async move {
            match operator.lister_with(&folder).recursive(recursive).await {
                Ok(lister) => Ok(Some(lister)),
                Err(e) if e.kind() == opendal::ErrorKind::NotFound => Ok(None),
                Err(e) => Err(explain(&e)),
            }
        };
        let entries = futures::stream::once(lister)
            .try_filter_map(|lister| std::future::ready(Ok(lister)))
            .map_ok(|lister| {
                // What goes away while the list is read is not there.
                let there = |e: &opendal::Error| e.kind() != opendal::ErrorKind::NotFound;
                let kept =
                    lister.filter(move |entry| std::future::ready(entry.as_ref().err().is_none_or(there)));
                kept.map_err(|e| explain(&e))
            });
        entries.try_flatten().boxed()
    }
}

fn explain(e: &opendal::Error) -> Error {
    error::explain("list storage", e)
}
