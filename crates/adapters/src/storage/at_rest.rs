//! How S3 keeps objects: who encrypts them there, and in which storage class.

use opendal::services::S3;
use respaldo_core::Result;

use crate::url::Url;

const ENCRYPTIONS: [&str; 3] = ["AES256", "aws:kms", "aws:kms:dsse"];
/// Those from which an object can be read at once.
const CLASSES: [&str; 6] =
    ["STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "REDUCED_REDUNDANCY"];
const ARCHIVES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];

/// What every object asks for when it is made; nothing where the bucket's own settings decide.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct AtRest {
    encryption: Option<String>,
    /// An id, an ARN or an alias: no secret.
    kms_key: Option<String>,
    class: Option<String>,
}

impl AtRest {
    /// # Errors
    /// `Config` for a value that S3 does not know, a key without `aws:kms`, and a class whose objects
    /// cannot be read at once.
    pub(super) fn take(url: &mut Url) -> Result<Self> {
        let encryption = url.take("sse");
        let (kms_key, class) = (url.take("sse_kms_key_id"), url.take("storage_class"));
        if encryption.as_deref().is_some_and(|text| !ENCRYPTIONS.contains(&text)) {
            return Err(url.refuse("sse must be AES256, aws:kms or aws:kms:dsse").with_mend(
                "leave sse out for the bucket's own setting; keys that customers provide (SSE-C) are not \
                 supported: `encryption` seals a backup before it leaves",
            ));
        }
        if kms_key.is_some() && !encryption.as_deref().is_some_and(|text| text.starts_with("aws:kms")) {
            let mend = "add sse=aws:kms, or take sse_kms_key_id out";
            return Err(url.refuse("sse_kms_key_id needs sse=aws:kms or sse=aws:kms:dsse").with_mend(mend));
        }
        if kms_key.as_deref().is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(url.refuse("sse_kms_key_id is not the id, the ARN or the alias of a key"));
        }
        if let Some(class) = class.as_deref() {
            check_class(url, class)?;
        }
        Ok(Self { encryption, kms_key, class })
    }

    pub(super) fn apply(&self, mut builder: S3) -> S3 {
        if let Some(encryption) = &self.encryption {
            builder = builder.server_side_encryption(encryption);
        }
        if let Some(key) = &self.kms_key {
            builder = builder.server_side_encryption_aws_kms_key_id(key);
        }
        if let Some(class) = &self.class {
            builder = builder.default_storage_class(class);
        }
        builder
    }
}

fn check_class(url: &Url, class: &str) -> Result<()> {
    if CLASSES.contains(&class) {
        return Ok(());
    }
    if ARCHIVES.contains(&class) {
        let why = format!("storage_class {class} cannot be read at once: no backup there could be verified");
        return Err(url.refuse(why).with_mend(
            "use GLACIER_IR, or let a lifecycle rule move old artifacts (they must be brought back before a \
             restore)",
        ));
    }
    Err(url.refuse(format!("storage_class must be one of {}", CLASSES.join(", "))))
}
