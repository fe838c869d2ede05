//! Catalogs by their URLs.

use std::fmt;
use std::path::{Path, PathBuf};

use respaldo_core::Result;

use crate::url::Url;

const FIELD: &str = "catalog";
const ALLOWED: &str = "there are sqlite://FILE and dynamodb://TABLE";

/// Where a catalog is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogUrl {
    /// A file of this machine: `sqlite://data/catalog.db` (relative) or `sqlite:///srv/catalog.db`.
    Sqlite(PathBuf),
    /// A table of Amazon's: `dynamodb://TABLE?endpoint=…&region=…`.
    Dynamodb(Table),
}

/// A table of DynamoDB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Where its service is asked, e.g. an emulator; none: the region's own.
    pub endpoint: Option<String>,
    /// Its region; none: that of the surroundings.
    pub region: Option<String>,
}

impl CatalogUrl {
    /// Reads a URL. Whether a build can open it is for the host to say.
    ///
    /// # Errors
    /// `Config`, naming `catalog` and what is allowed.
    pub fn parse(text: &str) -> Result<Self> {
        let mut url = Url::parse(FIELD, text)?;
        match url.scheme.as_str() {
            "sqlite" => {
                url.finish("sqlite:// takes none")?;
                url.path().map(Self::Sqlite)
            }
            "dynamodb" => {
                let (endpoint, region) = (url.take("endpoint"), url.take("region"));
                url.finish("dynamodb:// takes endpoint and region")?;
                let name = url.place.clone();
                if !is_table(&name) {
                    let why = "a table's name has 3 to 255 letters, digits and _ . -";
                    return Err(url.refuse(why).with_mend("write e.g. dynamodb://respaldo?region=eu-west-1"));
                }
                if endpoint
                    .as_deref()
                    .is_some_and(|at| !at.starts_with("http://") && !at.starts_with("https://"))
                {
                    return Err(url.refuse("endpoint must begin with http:// or https://"));
                }
                Ok(Self::Dynamodb(Table { name, endpoint, region }))
            }
            other => Err(url.refuse(format!("there is no catalog {other}://; {ALLOWED}"))),
        }
    }

    /// The folder in which what belongs to the installation lies beside its catalog: the file's own, or `data`.
    pub fn data(&self) -> &Path {
        let folder = match self {
            Self::Sqlite(file) => file.parent().filter(|folder| !folder.as_os_str().is_empty()),
            Self::Dynamodb(_) => Some(Path::new("data")),
        };
        folder.unwrap_or(Path::new("."))
    }
}

impl fmt::Display for CatalogUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "{}", file.display()),
            Self::Dynamodb(table) => write!(f, "dynamodb://{}", table.name),
        }
    }
}

fn is_table(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (3..=255).contains(&name.len()) && name.bytes().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_a_table_are_read() {
        let file = |path: &str| CatalogUrl::Sqlite(path.into());
        assert_eq!(CatalogUrl::parse("sqlite://data/catalog.db").unwrap(), file("data/catalog.db"));
        assert_eq!(CatalogUrl::parse("sqlite:///srv/c.db").unwrap(), file("/srv/c.db"));
        let table = |endpoint: Option<&str>, region: Option<&str>| {
            let (endpoint, region) = (endpoint.map(str::to_owned), region.map(str::to_owned));
            CatalogUrl::Dynamodb(Table { name: "my.table-1".to_owned(), endpoint, region })
        };
        assert_eq!(CatalogUrl::parse("dynamodb://my.table-1").unwrap(), table(None, None));
        let both = CatalogUrl::parse("dynamodb://my.table-1?endpoint=http://127.0.0.1:8001&region=eu-west-1");
        let both = both.unwrap();
        assert_eq!(both, table(Some("http://127.0.0.1:8001"), Some("eu-west-1")));
        assert_eq!(both.to_string(), "dynamodb://my.table-1");
    }

    #[test]
    fn whatever_is_neither_is_refused_by_its_field() {
        for url in [
            "postgres://x",
            "sqlite://",
            "sqlite://x?mode=ro",
            "data/catalog.db",
            "dynamodb://",
            "dynamodb://ab",
            "dynamodb://a/table",
            "dynamodb://table?secret_key=hunter2",
            "dynamodb://table?endpoint=localhost:8001",
            "dynamodb://AKIA:hunter2@table",
        ] {
            let error = CatalogUrl::parse(url).unwrap_err();
            assert_eq!(error.field(), Some("catalog"), "{url}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn what_belongs_to_an_installation_lies_beside_its_file_or_in_data() {
        let data = |url| CatalogUrl::parse(url).unwrap().data().to_owned();
        assert_eq!(data("sqlite:///srv/respaldo/c.db"), Path::new("/srv/respaldo"));
        assert_eq!(data("sqlite://c.db"), Path::new("."));
        assert_eq!(data("dynamodb://table"), Path::new("data"));
    }
}
