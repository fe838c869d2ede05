//! Uploads in parts that a crash left open.
//!
//! A store of S3's kind keeps the parts of an upload that was never completed, and shows them in no
//! listing of objects. Whoever removes what an attempt left must ask for them apart.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::refusal::Refusal;
use crate::{Error, ErrorKind, Result};

/// Finds and gives up the uploads that were begun and neither completed nor aborted.
#[async_trait]
pub trait UnfinishedUploads: fmt::Debug + Send + Sync {
    /// Aborts every unfinished upload of a key that begins with `prefix`, and answers how many there
    /// were. One that is gone already counts as aborted.
    ///
    /// # Errors
    /// A retryable one when the store cannot answer now; any other says that it refuses to list or to
    /// abort, and how that is mended.
    async fn abort_below(&self, prefix: &str) -> Result<usize>;
}

/// The uploads of one store, and whether it was heard to refuse.
#[derive(Clone, Debug)]
pub(super) struct Unfinished {
    uploads: Arc<dyn UnfinishedUploads>,
    refusal: Refusal,
}

impl Unfinished {
    pub(super) fn new(uploads: Arc<dyn UnfinishedUploads>) -> Self {
        Self { uploads, refusal: Refusal::default() }
    }

    /// Aborts below a prefix. A refusal is kept for [`Self::complaint`] and holds nothing up: a sweep
    /// that failed on it would fail for ever.
    pub(super) async fn abort_below(&self, prefix: &str) -> Result<usize> {
        if prefix.is_empty() {
            return Err(Error::internal("abort uploads", "no prefix would mean every upload in the bucket"));
        }
        match self.uploads.abort_below(prefix).await {
            Err(e) if !e.is_retryable() && e.kind() != ErrorKind::Internal => {
                self.refusal.keep(e);
                Ok(0)
            }
            Ok(aborted) => {
                self.refusal.forget();
                Ok(aborted)
            }
            failed => failed,
        }
    }

    /// The refusal, when nobody was told of it yet.
    pub(super) fn complaint(&self) -> Option<Error> {
        self.refusal.untold()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    struct Scripted(Mutex<Vec<Result<usize>>>);

    #[async_trait]
    impl UnfinishedUploads for Scripted {
        async fn abort_below(&self, _prefix: &str) -> Result<usize> {
            self.0.lock().unwrap().remove(0)
        }
    }

    fn refused() -> Error {
        Error::new(ErrorKind::Storage, "list uploads", "AccessDenied")
    }

    fn scripted(answers: Vec<Result<usize>>) -> Unfinished {
        Unfinished::new(Arc::new(Scripted(Mutex::new(answers))))
    }

    #[tokio::test]
    async fn a_refusal_is_told_once_until_the_store_has_obeyed_again() {
        let unfinished = scripted(vec![Err(refused()), Err(refused()), Ok(1), Err(refused())]);
        assert_eq!(unfinished.complaint(), None);
        assert_eq!(unfinished.abort_below("a/").await.unwrap(), 0);
        assert_eq!(unfinished.abort_below("b/").await.unwrap(), 0);
        assert_eq!(unfinished.complaint(), Some(refused()));
        assert_eq!(unfinished.complaint(), None);
        assert_eq!(unfinished.abort_below("c/").await.unwrap(), 1);
        assert_eq!(unfinished.abort_below("d/").await.unwrap(), 0);
        assert_eq!(unfinished.complaint(), Some(refused()));
    }

    #[tokio::test]
    async fn an_outage_is_answered_so_that_the_sweep_comes_again() {
        let outage = Error::new(ErrorKind::Unavailable, "list uploads", "SlowDown");
        let unfinished = scripted(vec![Err(outage.clone())]);
        assert_eq!(unfinished.abort_below("a/").await.unwrap_err(), outage);
        assert_eq!(unfinished.complaint(), None);
    }

    #[tokio::test]
    async fn no_prefix_never_means_everything() {
        assert_eq!(scripted(Vec::new()).abort_below("").await.unwrap_err().kind(), ErrorKind::Internal);
    }
}
