//! The secrets port over the environment, and over a store of secrets behind it.

use std::sync::Arc;

use async_trait::async_trait;
use respaldo_core::ports::{SecretName, SecretString, Secrets};
use respaldo_core::{Error, ErrorKind, Result};
use tokio::task::JoinSet;

use crate::environment;
use crate::url::Url;

/// The variable that names the store in which names are looked up.
pub const VARIABLE: &str = "SECRETS_URL";
/// The secrets of the process itself, which may be references.
const OF_THE_PROCESS: [&str; 6] = [
    "RESPALDO_MASTER_KEY",
    "ADMIN_API_KEY",
    "BACKUP_RESTORE_API_KEY",
    "BACKUP_DELETE_API_KEY",
    "RESPALDO_IDENTITY",
    "PUSHGATEWAY_URL",
];
const OPERATION: &str = "look up a secret";

/// A store of secrets, and where in it names such as `POSTGRES_PASSWORD` are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretsUrl {
    /// Which store.
    pub store: Store,
    /// What stands before a name, without slashes at its ends.
    pub prefix: String,
    /// Where the service is asked, e.g. an emulator; none: the region's own.
    pub endpoint: Option<String>,
    /// Its region; none: that of the surroundings.
    pub region: Option<String>,
}

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// AWS Secrets Manager: `secretsmanager://PREFIX`.
    SecretsManager,
    /// The parameters of AWS Systems Manager: `ssm://PREFIX`.
    Parameters,
}

impl SecretsUrl {
    /// Reads [`VARIABLE`], where it is set.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn from_environment() -> Result<Option<Self>> {
        environment::variable(VARIABLE)?
            .filter(|text| !text.is_empty())
            .map(|text| Self::parse(&text))
            .transpose()
    }

    /// Reads `secretsmanager://PREFIX?region=…&endpoint=…` or `ssm://…`.
    ///
    /// # Errors
    /// `Config`, naming the variable and what is allowed.
    pub fn parse(text: &str) -> Result<Self> {
        let mut url = Url::parse(VARIABLE, text)?;
        let (endpoint, region) = (url.take("endpoint"), url.take("region"));
        url.finish("secretsmanager:// and ssm:// take endpoint and region")?;
        let store = match url.scheme.as_str() {
            "secretsmanager" => Store::SecretsManager,
            "ssm" => Store::Parameters,
            _ => return Err(url.refuse("it must begin with secretsmanager:// or ssm://")),
        };
        let prefix = url.place.trim_matches('/').to_owned();
        let read = Self { store, prefix, endpoint, region };
        if read.name("X").is_err() {
            return Err(url.refuse("a prefix has letters, digits and /_.-"));
        }
        Ok(read)
    }

    /// The secret that a name stands for.
    ///
    /// # Errors
    /// `Invalid` when no secret can be called so.
    pub fn name(&self, variable: &str) -> Result<SecretName> {
        let below =
            if self.prefix.is_empty() { variable.to_owned() } else { format!("{}/{variable}", self.prefix) };
        SecretName::parse(&match self.store {
            Store::SecretsManager => format!("secretsmanager:{below}"),
            // Parameters in folders begin with a slash.
            Store::Parameters if self.prefix.is_empty() => format!("ssm:{below}"),
            Store::Parameters => format!("ssm:/{below}"),
        })
    }
}

/// Looks names up in the environment, and then in a store. References go to the store at once.
#[derive(Clone, Default)]
pub struct Chain {
    store: Option<Arc<dyn Secrets>>,
    url: Option<SecretsUrl>,
}

impl Chain {
    /// The environment alone: references are refused.
    pub fn of_environment() -> Self {
        Self::default()
    }

    /// The environment, and a store that resolves references. With a URL, names that the environment does not know
    /// are looked up there.
    pub fn before(store: Arc<dyn Secrets>, url: Option<SecretsUrl>) -> Self {
        Self { store: Some(store), url }
    }

    /// Fetches the secrets of the process itself whose `NAME_FROM` points into the store, for
    /// [`environment::secret`], all at once. Without such variables nothing is asked.
    ///
    /// # Errors
    /// `Config` when a reference stands for nothing or there is no store, and whatever the store answers.
    pub async fn fetch(&self) -> Result<()> {
        let mut fetching = JoinSet::new();
        for name in OF_THE_PROCESS {
            if let Some(from) = environment::reference(name)? {
                let chain = self.clone();
                fetching.spawn(async move { (name, chain.stored(&from).await) });
            }
        }
        while let Some(fetched) = fetching.join_next().await {
            let (name, fetched) = fetched.map_err(|error| Error::internal(OPERATION, error))?;
            environment::keep(name, fetched.map_err(|error| error.with_field(format!("{name}_FROM")))?);
        }
        Ok(())
    }

    /// What a reference stands for.
    async fn stored(&self, name: &SecretName) -> Result<SecretString> {
        let Some(store) = &self.store else {
            let why = format!("{name} is in a store that this build does not know");
            return Err(Error::new(ErrorKind::Config, OPERATION, why)
                .with_mend("build Respaldo with --features aws, or use a variable of the environment"));
        };
        store.get(&name.to_string()).await?.ok_or_else(|| {
            Error::new(ErrorKind::Config, OPERATION, format!("there is no secret {name}"))
                .with_mend("check its name, its region and its account")
        })
    }
}

#[async_trait]
impl Secrets for Chain {
    async fn get(&self, name: &str) -> Result<Option<SecretString>> {
        let parsed = SecretName::parse(name)
            .map_err(|error| Error::new(ErrorKind::Config, OPERATION, error.message()))?;
        if parsed.is_stored() {
            return self.stored(&parsed).await.map(Some);
        }
        // Asked anew each time, unlike the process's own: the store's answer changes when a login is rotated.
        if let Some(from) = environment::reference(name)? {
            return self.stored(&from).await.map(Some);
        }
        if let Some(found) = environment::secret(name)? {
            return Ok(Some(found));
        }
        match (&self.store, &self.url) {
            (Some(store), Some(url)) => store.get(&url.name(name)?.to_string()).await,
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use respaldo_core::ports::ExposeSecret;

    use super::*;

    /// A store that answers every name with itself, but for names with `none` in them.
    struct Echo;

    #[async_trait]
    impl Secrets for Echo {
        async fn get(&self, name: &str) -> Result<Option<SecretString>> {
            Ok((!name.contains("none")).then(|| SecretString::from(name.to_owned())))
        }
    }

    async fn got(chain: &Chain, name: &str) -> Option<String> {
        chain.get(name).await.unwrap().map(|secret| secret.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn a_name_that_the_environment_does_not_know_is_looked_up_below_the_prefix() {
        let url = |text| Some(SecretsUrl::parse(text).unwrap());
        let manager = Chain::before(Arc::new(Echo), url("secretsmanager://respaldo/prod/"));
        let expected = "secretsmanager:respaldo/prod/RESPALDO_NOT_SET".to_owned();
        assert_eq!(got(&manager, "RESPALDO_NOT_SET").await, Some(expected));
        assert_eq!(got(&manager, "RESPALDO_none").await, None);
        let parameters = Chain::before(Arc::new(Echo), url("ssm://prod?region=eu-west-1"));
        assert_eq!(got(&parameters, "RESPALDO_NOT_SET").await, Some("ssm:/prod/RESPALDO_NOT_SET".to_owned()));
        assert_eq!(got(&Chain::before(Arc::new(Echo), None), "RESPALDO_NOT_SET").await, None);
        assert_eq!(got(&Chain::of_environment(), "RESPALDO_NOT_SET").await, None);
    }

    #[tokio::test]
    async fn a_reference_goes_to_the_store_and_must_stand_for_something() {
        let chain = Chain::before(Arc::new(Echo), None);
        assert_eq!(got(&chain, "ssm:/a").await, Some("ssm:/a".to_owned()));
        let error = chain.get("secretsmanager:none#password").await.unwrap_err();
        assert!(error.message().contains("secretsmanager:none#password"), "{error}");
        let error = Chain::of_environment().get("ssm:/a").await.unwrap_err();
        assert!(error.mend().unwrap().contains("--features aws"), "{error}");
    }

    #[tokio::test]
    async fn a_name_that_no_variable_can_have_is_refused() {
        for name in ["", "A=B", "A B", "../x"] {
            assert!(Chain::of_environment().get(name).await.is_err(), "{name}");
        }
    }

    #[test]
    fn a_url_of_another_kind_is_refused_by_its_variable() {
        for url in ["vault://x", "ssm", "ssm://a b", "secretsmanager://x?token=y", "secretsmanager://k:s@x"] {
            let error = SecretsUrl::parse(url).unwrap_err();
            assert_eq!(error.field(), Some(VARIABLE), "{url}: {error}");
        }
    }
}
