//! Where the servers' programs are, and how each maker's are called.

use std::path::{Path, PathBuf};

use crate::host;

/// Whose server to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Maker {
    /// The distribution's MariaDB (10.11 on Debian 12).
    Mariadb,
    /// MySQL 9 from Debian's unstable distribution, with its own client tools and libraries. It moves, so
    /// it may be missing.
    Mysql,
}

/// Small files: a template is copied for every server.
const SMALL: &str = "--innodb-log-file-size=8M";
const SMALL_MYSQL: &str = "--innodb-redo-log-capacity=8M";

impl Maker {
    /// The folder with the clients; none where they are not installed.
    pub(super) fn bin_dir(self) -> Option<PathBuf> {
        let (dir, names) = match self {
            Self::Mariadb => (PathBuf::from("/usr/bin"), ["mariadb", "mariadb-dump", "mariadb-install-db"]),
            Self::Mysql => (host::test_servers_dir().join("mysql/bin"), ["mysql", "mysqldump", "mysqld"]),
        };
        names.iter().all(|name| dir.join(name).exists()).then_some(dir)
    }

    /// The first words of a server's command line.
    pub(super) fn server(self, bin: &Path) -> Vec<String> {
        match self {
            Self::Mariadb => ["/usr/sbin/mariadbd", "--no-defaults", SMALL].map(str::to_owned).to_vec(),
            Self::Mysql => {
                let own = ["--no-defaults", SMALL_MYSQL, "--mysqlx=OFF", "--secure-file-priv="];
                let mut words = vec![bin.join("mysqld").display().to_string()];
                words.extend(own.map(str::to_owned));
                words
            }
        }
    }

    /// The command line that makes a data directory.
    pub(super) fn initialise(self, bin: &Path, data: &Path) -> Vec<String> {
        let data = format!("--datadir={}", data.display());
        match self {
            Self::Mariadb => {
                let mut words =
                    vec![bin.join("mariadb-install-db").display().to_string(), "--no-defaults".to_owned()];
                words.extend([data, SMALL.to_owned(), "--skip-test-db".to_owned()]);
                words.push("--auth-root-authentication-method=normal".to_owned());
                words
            }
            Self::Mysql => {
                let mut words = vec![bin.join("mysqld").display().to_string(), "--no-defaults".to_owned()];
                words.extend([data, SMALL_MYSQL.to_owned(), "--initialize-insecure".to_owned()]);
                words
            }
        }
    }
}

/// The server's version in a form that can stand in a file name.
pub(super) fn version_key(maker: Maker, bin: &Path) -> String {
    let mut words = maker.server(bin);
    words.truncate(2);
    let mut version = host::command(&words[0]);
    version.arg(&words[1]).arg("--version");
    let output = host::run(version, std::io::empty());
    let text = String::from_utf8(output.stdout).expect("a version is text");
    let from = text.find("Ver ").expect("a version is told");
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    text[from..].trim().chars().map(plain).collect()
}
