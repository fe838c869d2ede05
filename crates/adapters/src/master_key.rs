//! The instance's master key: given, found in its file, or made together with a new catalog.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use respaldo_core::keyring::MasterKey;
use respaldo_core::ports::{ExposeSecret, Ids, SecretString};
use respaldo_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use crate::private_file;

const FIELD: &str = "RESPALDO_MASTER_KEY";
/// More than a key in base64 with spaces around it has, in bytes.
const LONGEST_FILE: u64 = 4096;

/// Loads the key: `given` (from `RESPALDO_MASTER_KEY` or its `_FILE`), else the file, else, beside a
/// catalog that is yet to be made, a new one, written to the file with mode 0600.
///
/// # Errors
/// `Config` when the file can be read by others, holds no key, or is missing beside an existing
/// catalog: another key could open none of its credentials.
pub fn load(
    given: Option<&SecretString>,
    file: &Path,
    catalog_exists: bool,
    ids: &dyn Ids,
) -> Result<MasterKey> {
    if let Some(given) = given {
        return MasterKey::from_base64(given.expose_secret());
    }
    if let Some(key) = read(file)? {
        return Ok(key);
    }
    if catalog_exists {
        let why = format!(
            "the catalog is there, and {}, the key that it was made with, is missing",
            file.display()
        );
        return Err(refused(why).with_mend(format!("bring {} back, or set {FIELD}", file.display())));
    }
    make(file, ids)?;
    read(file)?.ok_or_else(|| refused(format!("{} vanished while it was made", file.display())))
}

/// The key that must be given: the catalog is none of this machine's files, so that no file lies beside it.
///
/// # Errors
/// `Config` when it is not given, or is no key.
pub fn given(given: Option<&SecretString>) -> Result<MasterKey> {
    let given = given.filter(|text| !text.expose_secret().trim().is_empty()).ok_or_else(|| {
        refused("it is not set, and is never made for a catalog on DynamoDB".to_owned()).with_mend(
            "set it to 32 bytes in base64, the same on every host of this catalog (openssl rand -base64 32)",
        )
    })?;
    MasterKey::from_base64(given.expose_secret())
}

/// The key, where there is one: `given`, else the file. None is made.
///
/// # Errors
/// `Config` when the file can be read by others, or what there is is no key.
pub fn find(given: Option<&SecretString>, file: Option<&Path>) -> Result<Option<MasterKey>> {
    match (given, file) {
        (Some(given), _) => MasterKey::from_base64(given.expose_secret()).map(Some),
        (None, Some(file)) => read(file),
        (None, None) => Ok(None),
    }
}

fn read(file: &Path) -> Result<Option<MasterKey>> {
    let Some(text) = private_file::read(FIELD, file, LONGEST_FILE)? else { return Ok(None) };
    let key = MasterKey::from_base64(&text);
    key.map(Some).map_err(|error| error.within(&format!("read {}", file.display())))
}

/// Makes the file whole or not at all; when somebody else makes it at the same time, one of both
/// counts for both.
fn make(file: &Path, ids: &dyn Ids) -> Result<()> {
    let mut random = Zeroizing::new([0; 32]);
    ids.random(random.as_mut_slice());
    let text = MasterKey::generate(*random).to_base64();
    let mut suffix = [0; 8];
    ids.random(&mut suffix);
    let partial = file.with_extension(format!("{:016x}.partial", u64::from_be_bytes(suffix)));
    let made = write(file, &partial, &text);
    // It is only a second name by now, or the rest of a failure that is told below.
    let _removed = fs::remove_file(&partial);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(|error| unusable(file, &error)),
    }
}

fn write(file: &Path, partial: &Path, text: &str) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(partial)?;
    written.write_all(text.as_bytes())?;
    written.write_all(b"\n")?;
    written.sync_all()?;
    // A link, unlike a rename, replaces nothing.
    fs::hard_link(partial, file)?;
    fs::File::open(folder)?.sync_all()
}

fn unusable(file: &Path, error: &io::Error) -> Error {
    refused(format!("{}: {error}", file.display()))
}

fn refused(why: String) -> Error {
    Error::new(ErrorKind::Config, "load the master key", why).with_field(FIELD)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::PathBuf;

    use super::*;
    use crate::time::SystemIds;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data/master.key");
        (folder, file)
    }

    #[test]
    fn a_key_is_made_beside_a_new_catalog_private_and_the_same_the_next_time() {
        let (_folder, file) = place();
        let made = load(None, &file, false, &SystemIds).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        let found = load(None, &file, true, &SystemIds).unwrap();
        assert_eq!(*made.to_base64(), *found.to_base64());
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "no partial file stays");
    }

    #[test]
    fn a_missing_key_beside_an_existing_catalog_is_refused_and_none_is_made() {
        let (_folder, file) = place();
        let error = load(None, &file, true, &SystemIds).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("master.key"), "{error}");
        assert!(!file.exists());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let (_folder, file) = place();
        load(None, &file, false, &SystemIds).unwrap();
        for mode in [0o640, 0o604, 0o666] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let error = load(None, &file, true, &SystemIds).unwrap_err();
            assert!(error.mend().unwrap().starts_with("chmod 600"), "{error}");
        }
    }

    #[test]
    fn a_key_that_must_be_given_is_asked_for_by_name_and_never_made() {
        for nothing in [None, Some(SecretString::from(" ".to_owned()))] {
            let error = given(nothing.as_ref()).unwrap_err();
            assert_eq!((error.kind(), error.field()), (ErrorKind::Config, Some(FIELD)));
        }
        let wrong = SecretString::from("hunter2".to_owned());
        assert!(!given(Some(&wrong)).unwrap_err().to_string().contains("hunter2"));
    }

    #[test]
    fn a_given_key_counts_and_no_file_is_made() {
        let (_folder, file) = place();
        let given = SecretString::from("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned());
        let key = load(Some(&given), &file, false, &SystemIds).unwrap();
        assert_eq!(key.to_base64().as_str(), given.expose_secret());
        assert!(!file.exists());
    }

    #[test]
    fn a_file_that_holds_no_key_is_refused_and_not_shown() {
        let (_folder, file) = place();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "hunter2").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let error = load(None, &file, true, &SystemIds).unwrap_err();
        assert!(
            error.to_string().contains("master.key") && !error.to_string().contains("hunter2"),
            "{error}"
        );
    }
}
