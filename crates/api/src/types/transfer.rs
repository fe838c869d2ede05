//! Where a store gives bytes out, and where it takes them in.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// Where a store gives a download out: the answer of a host that sends nothing of that length.
///
/// Whoever knows `url` needs no key for it until `expires_at`. A download that has begun by then goes on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Download")]
pub struct DownloadView {
    /// The file's name.
    pub name: String,
    /// Its length.
    pub size_bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Until then the addresses open it.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// Where it is (GET, without a key); none where it is in several parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The `Range` to ask for there, where it is only a part of an object (a member of a package).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// Where its parts are; end to end, in this order, they are the file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<DownloadPartView>,
}

/// One part of a download.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "DownloadPart")]
pub struct DownloadPartView {
    /// Where it is (GET, without a key).
    pub url: String,
    /// Its length.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, where it is a whole object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The `Range` to ask for there, where it is only a part of an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
}

/// Where a store takes a file in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "UploadTicket")]
pub struct UploadTicketView {
    /// Its id, and that of the backup that it becomes.
    pub upload_id: String,
    /// Where to send the file, as the body, without a key.
    pub url: String,
    /// How: `PUT`.
    pub method: String,
    /// The headers that must be sent with it.
    pub headers: BTreeMap<String, String>,
    /// Until then sending may begin.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// So many bytes it may have.
    pub most_bytes: u64,
    /// What to ask for when it was sent (POST).
    pub complete: String,
}
