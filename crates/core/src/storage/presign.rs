//! Addresses that open one object for a while, to whoever knows them.

use std::fmt;
use std::time::Duration;

use opendal::Operator;
use opendal::raw::PresignedRequest;

use super::{Storage, error};
use crate::{Error, ErrorKind, Result};

/// A request that the store grants to whoever sends it as it is, until it expires.
#[derive(Clone)]
pub struct Presigned {
    /// Its method.
    pub method: String,
    /// Its address. Who knows it needs no other right: it belongs into an answer, never into a log.
    pub url: String,
    /// The headers that must be sent with it.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for Presigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presigned").field("method", &self.method).finish_non_exhaustive()
    }
}

impl Storage {
    /// For a store that grants requests by their address. `signing` reaches the same objects, and adds nothing
    /// to requests that depends on their bodies.
    pub fn with_presigning(mut self, signing: Operator) -> Self {
        self.signing = Some(signing);
        self
    }

    /// Whether it gives out addresses of its objects.
    pub fn can_presign(&self) -> bool {
        self.signing.is_some()
    }

    /// A request that reads an object. The store answers with this `Content-Disposition`.
    ///
    /// # Errors
    /// `Unsupported` where [`Self::can_presign`] says no; else what keeps the store's credentials away.
    pub async fn presign_read(&self, key: &str, ttl: Duration, disposition: &str) -> Result<Presigned> {
        let signing = self.signing()?;
        let signed = signing
            .presign_read_with(key, ttl)
            .override_content_disposition(disposition)
            .override_content_type("application/octet-stream")
            .override_cache_control("private, no-store")
            .await;
        signed.map(|request| granted(&request)).map_err(|e| explain(&e))
    }

    /// A request that stores an object, whatever its length.
    ///
    /// # Errors
    /// As [`Self::presign_read`].
    pub async fn presign_write(&self, key: &str, ttl: Duration) -> Result<Presigned> {
        let signed = self.signing()?.presign_write(key, ttl).await;
        signed.map(|request| granted(&request)).map_err(|e| explain(&e))
    }

    fn signing(&self) -> Result<&Operator> {
        self.signing.as_ref().ok_or_else(|| {
            let what = format!("{} gives out no addresses of its objects", self.location);
            Error::new(ErrorKind::Unsupported, "sign an address", what)
        })
    }
}

fn granted(request: &PresignedRequest) -> Presigned {
    let headers = request.header().iter();
    let headers =
        headers.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    Presigned {
        method: request.method().as_str().to_owned(),
        url: request.uri().to_string(),
        headers: headers.collect(),
    }
}

fn explain(e: &opendal::Error) -> Error {
    error::explain("sign an address", e)
}
