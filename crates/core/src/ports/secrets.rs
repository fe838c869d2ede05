//! Where references to secrets are resolved.

use async_trait::async_trait;
pub use secrecy::{ExposeSecret, SecretString};

use crate::Result;

/// Resolves a name, such as the `POSTGRES_PASSWORD` of `password_var`, to the secret it stands for.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The secret, or none when the name stands for nothing.
    async fn get(&self, name: &str) -> Result<Option<SecretString>>;
}
