//! Storage on Azure Blob Storage.

use opendal::Operator;
use opendal::services::Azblob;
use respaldo_core::ports::ExposeSecret;
use respaldo_core::storage::Storage;
use respaldo_core::{Error, Result};

use super::{Options, remote, unusable};
use crate::url::Url;

const ACCOUNT: &str = "AZURE_STORAGE_ACCOUNT_NAME";
const KEY: &str = "AZURE_STORAGE_ACCOUNT_KEY";
const PARAMETERS: &str = "azblob:// takes endpoint and account";

/// Azure is sent no checksum with its blocks and checks none, so what it was sent is read back.
pub(super) fn open(mut url: Url, options: &Options) -> Result<Storage> {
    let (endpoint, account) = (url.take("endpoint"), url.take("account"));
    url.finish(PARAMETERS)?;
    let (container, root) = remote::bucket_and_root(&url, "container")?;
    let account = match (&options.key, account) {
        (Some(key), _) => Some(key.id.clone()),
        (None, Some(account)) => Some(account),
        (None, None) => remote::first_variable(&[ACCOUNT])?,
    };
    let endpoint = endpoint_of(&url, endpoint.as_deref(), account.as_deref())?;
    remote::install_transport();
    let mut builder = Azblob::default().container(&container).endpoint(&endpoint).root(&format!("/{root}"));
    if let Some(account) = &account {
        builder = builder.account_name(account);
    }
    // A key that is not here is looked for by OpenDAL's chain: a token, a workload's or a machine's identity.
    if let Some(key) = &options.key {
        builder = builder.account_key(key.secret.expose_secret());
    } else if let Some(key) = remote::first_variable(&[KEY])? {
        builder = builder.account_key(&key);
    }
    let operator = Operator::new(builder).map_err(|error| refused(&url, &error))?;
    Ok(Storage::new(remote::patient(operator, options.tuning), remote::location(&url)).with_read_back())
}

/// OpenDAL's own words about a key tell one of its letters.
fn refused(url: &Url, error: &opendal::Error) -> Error {
    if error.message().contains("account_key") {
        return url.refuse(format!("{KEY} is not base64, as Azure's keys are"));
    }
    unusable(error)
}

fn endpoint_of(url: &Url, given: Option<&str>, account: Option<&str>) -> Result<String> {
    let named = |account: &&str| account.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    match (given, account) {
        (Some(endpoint), _) => remote::whole_endpoint(url, endpoint),
        (None, Some(account)) if !named(&account) => {
            Err(url.refuse("account must be small letters and digits, as Azure's names are"))
        }
        (None, Some(account)) => Ok(format!("https://{account}.blob.core.windows.net")),
        (None, None) => Err(url
            .refuse("it names no account")
            .with_mend("add ?account=… or ?endpoint=… to the URL, or set AZURE_STORAGE_ACCOUNT_NAME")),
    }
}

#[cfg(test)]
mod tests {
    use respaldo_core::storage::Confirmation;

    use super::super::AccessKey;
    use super::*;

    #[test]
    fn an_account_is_reached_at_azure_unless_an_endpoint_says_otherwise() {
        let url = Url::parse("storage", "azblob://c/p").unwrap();
        let azure = endpoint_of(&url, None, Some("acme1")).unwrap();
        assert_eq!(azure, "https://acme1.blob.core.windows.net");
        let other = endpoint_of(&url, Some("http://127.0.0.1:10000/acme1/"), Some("acme1")).unwrap();
        assert_eq!(other, "http://127.0.0.1:10000/acme1");
        for (account, part) in
            [(None, "names no account"), (Some("evil.example/"), "small letters and digits")]
        {
            let error = endpoint_of(&url, None, account).unwrap_err();
            assert!(error.message().contains(part), "{error}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told() {
        for (text, part) in [
            ("azblob://?account=a", "names no container; write azblob://CONTAINER/PREFIX"),
            (
                "azblob://c?account=a&account_key=hunter2",
                "there is no parameter account_key; azblob:// takes",
            ),
            ("azblob://c?endpoint=https://h?sig=hunter2", "no http:// or https:// address"),
        ] {
            let error = super::super::open(text).unwrap_err();
            assert!(error.message().contains(part), "{text}: {error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn no_letter_of_a_key_is_told() {
        let key = AccessKey { id: "acme".to_owned(), secret: "ab~".into() };
        let options = Options { key: Some(key), ..Options::default() };
        let error = super::super::open_with("azblob://c", &options).unwrap_err();
        assert_eq!(error.message(), "AZURE_STORAGE_ACCOUNT_KEY is not base64, as Azure's keys are");
    }

    #[tokio::test]
    async fn it_is_opened_without_a_request_and_will_be_read_back() {
        let storage = super::super::open("azblob://container/some/prefix/?account=acme").unwrap();
        assert_eq!(storage.location_of("k"), "azblob://container/some/prefix/k");
        assert_eq!(storage.confirmation(), Confirmation::ReadBack);
    }
}
