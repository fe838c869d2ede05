//! The functions' binaries on Lambda, DynamoDB, S3 and SQS, all emulated, with `respaldo worker`.

mod buckets;
mod credentials;
mod faults;
mod support;
mod throttling;

mod scenarios {
    use respaldo_testkit::scenario::{CloudHost, functions_folder};

    async fn host() -> Option<CloudHost> {
        let functions = functions_folder(crate::respaldo())?;
        Some(CloudHost::start(functions, crate::respaldo(), Vec::new()).await)
    }

    respaldo_testkit::scenarios!(host);
}
