//! How a test talks to the server.

use opendal::services::S3;
use opendal::{HttpTransporter, Operator};
use opendal_http_transport_reqwest::ReqwestTransport;
use respaldo_core::storage::Storage;

use super::S3Server;

impl S3Server {
    /// What finds a server at an endpoint, with its bucket and the key that it knows.
    pub fn settings(endpoint: &str) -> S3 {
        // A second installation of either is refused.
        let _first_wins = rustls::crypto::ring::default_provider().install_default();
        HttpTransporter::install_default(ReqwestTransport::default());
        S3::default()
            .endpoint(endpoint)
            .bucket(Self::BUCKET)
            .region(Self::REGION)
            .access_key_id(Self::ACCESS_KEY)
            .secret_access_key(Self::SECRET_KEY)
            .disable_config_load()
            .disable_ec2_metadata()
    }

    /// The bucket of a server at an endpoint as a place for backups, whose store confirms checksums.
    ///
    /// # Panics
    /// When the settings are refused, which they are not.
    pub fn storage_at(endpoint: &str) -> Storage {
        let settings = Self::settings(endpoint).checksum_algorithm("crc32c");
        let operator = Operator::new(settings).expect("the settings are whole");
        Storage::new(operator, format!("s3://{}", Self::BUCKET))
    }

    /// The same of this server.
    pub fn storage(&self) -> Storage {
        Self::storage_at(&self.endpoint())
    }
}
