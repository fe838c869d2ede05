//! The age identities that open encrypted artifacts: a secret of the installation's.

use std::path::Path;

use respaldo_core::Result;
use respaldo_core::ports::{ExposeSecret, SecretString};
use respaldo_core::seal::Identity;

use crate::private_file;

/// The variable that holds the keys' text; its `_FILE` twin names a file.
pub const VARIABLE: &str = "RESPALDO_IDENTITY";
const FIELD: &str = "encryption.identity_file";
/// A thousand keys with their comments have less, in bytes.
const LONGEST_FILE: u64 = 256 * 1024;

/// The keys in a text as `age-keygen` writes it.
///
/// # Errors
/// `Config`, naming the variable and never showing a line.
pub fn parse(text: &SecretString) -> Result<Vec<Identity>> {
    Identity::parse_file(text.expose_secret()).map_err(|error| error.with_field(VARIABLE))
}

/// The keys in a file as `age-keygen` writes it.
///
/// # Errors
/// `Config` when the file is missing, can be read by others, or holds what is no key.
pub fn read(file: &Path) -> Result<Vec<Identity>> {
    let missing = || {
        private_file::refused(FIELD, format!("{} is not there", file.display()))
            .with_mend("bring it back, or leave the setting out: encrypted backups are made without it")
    };
    let text = private_file::read(FIELD, file, LONGEST_FILE)?.ok_or_else(missing)?;
    Identity::parse_file(&text).map_err(|error| error.within(&format!("read {}", file.display())))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_are_read_from_a_private_file_and_others_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("identity.txt");
        assert!(read(&file).unwrap_err().to_string().contains("is not there"));
        let secret = Identity::generate().to_secret_string();
        fs::write(&file, format!("# mine\n{}\n", secret.expose_secret())).unwrap();
        for mode in [0o640, 0o604, 0o644] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let error = read(&file).unwrap_err();
            assert!(error.mend().unwrap().starts_with("chmod 600"), "{error}");
            assert_eq!(error.field(), Some(FIELD));
        }
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&file).unwrap().len(), 1);
        fs::write(&file, "hunter2").unwrap();
        let error = read(&file).unwrap_err().to_string();
        assert!(error.contains("identity.txt") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn the_variable_holds_the_keys_themselves() {
        let secret = Identity::generate().to_secret_string();
        assert_eq!(parse(&secret).unwrap().len(), 1);
        let error = parse(&SecretString::from("hunter2".to_owned())).unwrap_err();
        assert_eq!(error.field(), Some(VARIABLE));
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
