//! `respaldo serve`: one process, on either catalog.

mod sqlite {
    use respaldo_testkit::scenario::{Catalog, LocalHost};

    async fn host() -> Option<LocalHost> {
        Some(LocalHost::start(crate::respaldo(), Catalog::Sqlite).await)
    }

    respaldo_testkit::scenarios!(host);
}

#[cfg(feature = "aws")]
mod dynamodb {
    use respaldo_testkit::scenario::{Catalog, LocalHost};

    async fn host() -> Option<LocalHost> {
        Some(LocalHost::start(crate::respaldo(), Catalog::Dynamodb).await)
    }

    respaldo_testkit::scenarios!(host);
}
