//! Storage on S3 and on stores that speak its protocol.

use std::sync::Arc;

use opendal::services::S3;
use opendal::{HttpTransporter, OperationContext, Operator};
use reqsign_aws_v4::{Credential, DefaultCredentialProvider, StaticCredentialProvider};
use reqsign_core::ProvideCredentialChain;
use respaldo_core::Result;
use respaldo_core::ports::ExposeSecret;
use respaldo_core::storage::{Bucket, Confirmation, Storage};

use super::at_rest::AtRest;
use super::parts::PlainParts;
use super::uploads::{Uploads, signer};
use super::{AccessKey, Options, remote, unusable};
use crate::url::Url;

/// What a store of S3's kind signs with when it has no regions.
const NO_REGION: &str = "us-east-1";
/// S3 numbers the parts of an upload from 1 to this.
const MOST_PARTS: u64 = 10_000;
const PARAMETERS: &str = "s3:// takes endpoint, region, path_style, max_parts, confirm, sse, sse_kms_key_id \
                          and storage_class";

/// Where the objects lie, worked out once for all that send requests there.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) region: String,
    /// With its scheme, without a slash at the end.
    endpoint: String,
    bucket: String,
    path_style: bool,
    /// What every key begins with: empty, or ending with a slash.
    pub(super) root: String,
}

pub(super) fn open(mut url: Url, options: &Options) -> Result<Storage> {
    let max_parts = url.take_number("max_parts")?;
    if max_parts.is_some_and(|parts| parts > MOST_PARTS) {
        return Err(url.refuse(format!("max_parts must be at most {MOST_PARTS}, as many as S3 takes")));
    }
    let confirmation = take_confirmation(&mut url)?;
    let at_rest = AtRest::take(&mut url)?;
    let place = Place::take(&mut url)?;
    remote::install_transport();
    // Addresses are signed before anybody knows the bytes: a checksum would be that of none.
    let signing = Operator::new(at_rest.apply(place.builder(options))).map_err(|error| unusable(&error))?;
    let mut builder = place.builder(options);
    // A store that is read back may be one that refuses what it does not know.
    if confirmation == Confirmation::Checksums {
        builder = builder.checksum_algorithm("crc32c");
    }
    let tuning = options.tuning;
    let plain_parts = PlainParts::new(signer(&place.region, credentials(options.key.as_ref())));
    let context = OperationContext::new().with_http_transport(HttpTransporter::new(plain_parts));
    let operator =
        Operator::new(at_rest.apply(builder)).map_err(|error| unusable(&error))?.with_context(context);
    let uploads = Uploads::new(place, credentials(options.key.as_ref()), tuning);
    let mut storage = Storage::new(remote::patient(operator, tuning), remote::location(&url))
        .with_unfinished_uploads(Arc::new(uploads))
        .with_presigning(signing);
    if confirmation == Confirmation::ReadBack {
        storage = storage.with_read_back();
    }
    Ok(max_parts.into_iter().fold(storage, Storage::with_most_parts))
}

/// Where the objects of an `s3://` URL lie, for whoever asks the store what OpenDAL has no call for.
pub(super) fn bucket(mut url: Url) -> Result<Bucket> {
    url.take_number("max_parts")?;
    take_confirmation(&mut url)?;
    AtRest::take(&mut url)?;
    let Place { region, endpoint, bucket, path_style, root } = Place::take(&mut url)?;
    let endpoint = (endpoint != endpoint_of(&region)).then_some(endpoint);
    Ok(Bucket { name: bucket, root, endpoint, region, path_style })
}

fn take_confirmation(url: &mut Url) -> Result<Confirmation> {
    match url.take("confirm").as_deref() {
        None | Some("checksums") => Ok(Confirmation::Checksums),
        Some("read_back") => Ok(Confirmation::ReadBack),
        Some(_) => Err(url.refuse("confirm must be checksums or read_back")),
    }
}

impl Place {
    fn take(url: &mut Url) -> Result<Self> {
        let given = (url.take("endpoint"), url.take("region"), url.take_flag("path_style")?);
        url.finish(PARAMETERS)?;
        let (bucket, root) = remote::bucket_and_root(url, "bucket")?;
        let endpoint = match given.0 {
            Some(endpoint) => Some(endpoint),
            None => remote::first_variable(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])?,
        };
        let region = match given.1 {
            Some(region) => Some(region),
            None => remote::first_variable(&["AWS_REGION", "AWS_DEFAULT_REGION"])?,
        };
        let region =
            region.or_else(|| endpoint.is_some().then(|| NO_REGION.to_owned())).ok_or_else(|| {
                url.refuse("it names no region").with_mend("add ?region=… to the URL, or set AWS_REGION")
            })?;
        let path_style = given.2.unwrap_or(endpoint.is_some());
        let endpoint = match endpoint {
            Some(text) => remote::whole_endpoint(url, &text)?,
            None => endpoint_of(&region),
        };
        Ok(Self { region, endpoint, bucket, path_style, root })
    }

    fn builder(&self, options: &Options) -> S3 {
        let builder = S3::default()
            .bucket(&self.bucket)
            .endpoint(&self.endpoint)
            .region(&self.region)
            .root(&format!("/{}", self.root))
            .credential_provider_chain(credentials(options.key.as_ref()));
        if self.path_style { builder } else { builder.enable_virtual_host_style() }
    }

    /// The bucket's URL, without a slash at the end.
    pub(super) fn url(&self) -> String {
        if self.path_style {
            return format!("{}/{}", self.endpoint, self.bucket);
        }
        self.endpoint.replacen("//", &format!("//{}.", self.bucket), 1)
    }
}

fn endpoint_of(region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://s3.{region}.{domain}")
}

fn credentials(key: Option<&AccessKey>) -> ProvideCredentialChain<Credential> {
    match key {
        Some(key) => ProvideCredentialChain::new()
            .push(StaticCredentialProvider::new(&key.id, key.secret.expose_secret())),
        None => ProvideCredentialChain::new().push(DefaultCredentialProvider::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        Place::take(&mut Url::parse("storage", text).unwrap()).unwrap()
    }

    #[test]
    fn a_bucket_is_in_the_path_with_an_endpoint_and_in_the_host_without() {
        assert_eq!(place("s3://b?endpoint=http://h:9000/").url(), "http://h:9000/b");
        assert_eq!(place("s3://b?endpoint=h").url(), "https://h/b");
        assert_eq!(place("s3://b?endpoint=http://h&path_style=false").url(), "http://b.h");
        assert_eq!(place("s3://b?endpoint=https://h/storage/v1/s3").url(), "https://h/storage/v1/s3/b");
        let amazon =
            Place { path_style: false, endpoint: endpoint_of("eu-west-1"), ..place("s3://b?endpoint=h") };
        assert_eq!(amazon.url(), "https://b.s3.eu-west-1.amazonaws.com");
        assert_eq!(endpoint_of("cn-north-1"), "https://s3.cn-north-1.amazonaws.com.cn");
    }

    #[test]
    fn a_prefix_is_a_folder_however_its_slashes_stand() {
        for (text, root) in [
            ("s3://b", ""),
            ("s3://b/", ""),
            ("s3://b/p", "p/"),
            ("s3://b/p/q/", "p/q/"),
            ("s3://b//p", "p/"),
        ] {
            assert_eq!(place(&format!("{text}?endpoint=http://h")).root, root, "{text}");
        }
    }
}
