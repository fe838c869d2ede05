//! Artifacts copied out of storage.

use std::fs;
use std::path::Path;

use respaldo_core::model::{Manifest, Volume};
use respaldo_core::rescue::Found;
use respaldo_core::rescue::fetch::{Fetched, Form, Output, fetch, file_name};
use respaldo_core::seal::{Digester, Identity};
use respaldo_core::{ErrorKind, Result, keys};
use respaldo_testkit::sqlite;
use serde_json::json;

use super::{Place, delete, manifest_key, name, volume_key, wanted};

async fn find(place: &Place, text: impl ToString) -> Result<Found> {
    place.rescue().find(&wanted(&text)).await?.artifact(false)
}

async fn to_file(place: &Place, found: &Found, form: Form, path: &Path, keep: bool) -> Result<Fetched> {
    let output = Output::File { path: path.to_owned(), force: false };
    fetch(&place.test.app.storage, &found.manifest, form, output, keep).await
}

/// What lies in a folder.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_is_found_by_its_id_its_beginning_or_its_name_and_is_what_was_stored() {
    for place in Place::both() {
        let database = place.sample(json!({})).await;
        let (one, two) = (place.back_up(&database).await, place.back_up(&database).await);
        let folder = tempfile::tempdir().unwrap();
        let id = one.id.to_string();
        let unlike = id.bytes().zip(two.id.to_string().bytes()).take_while(|(a, b)| a == b).count() + 1;
        for (n, text) in
            [id.clone(), id.to_lowercase(), id[..unlike].to_owned(), name(&one)].iter().enumerate()
        {
            let found = find(&place, text).await.unwrap();
            assert_eq!(found.manifest.backup_id, one.id, "{text}");
            let path = folder.path().join(n.to_string());
            let fetched = to_file(&place, &found, Form::Stored, &path, false).await.unwrap();
            assert_eq!(fetched.path.as_deref(), Some(path.as_path()));
            assert_eq!(fs::read(path).unwrap(), place.read(&volume_key(&one)));
        }
        let ambiguous = find(&place, &id[..unlike - 1]).await.unwrap_err();
        assert_eq!(ambiguous.kind(), ErrorKind::Conflict);
        assert!(ambiguous.message().contains(&id) && ambiguous.message().contains(&two.id.to_string()));
        for text in ["7ZZZ", "sqlite_nothing_20200101_000000.db.gz"] {
            assert_eq!(find(&place, text).await.unwrap_err().kind(), ErrorKind::NotFound, "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_is_opened_whatever_compressed_or_encrypted_it() {
    let place = Place::on_disk();
    let identity = Identity::generate();
    let folder = tempfile::tempdir().unwrap();
    for compression in ["gzip", "zstd", "none"] {
        for encryption in [vec![], vec![identity.recipient().to_string()]] {
            let encrypted = !encryption.is_empty();
            let fields = json!({"compression": compression, "encryption": encryption});
            let database = place.sample(fields).await;
            let job = place.back_up(&database).await;
            let found = find(&place, job.id).await.unwrap();
            let form = Form::Dump(vec![identity.clone()]);
            let shown = file_name(&found.manifest, &form);
            assert!(Path::new(&shown).extension().is_some_and(|end| end == "db"), "{shown}");
            let path = folder.path().join(format!("{compression}{encrypted}.db"));
            to_file(&place, &found, form, &path, false).await.unwrap();
            assert_eq!(sqlite::dump(&path), sqlite::dump(&place.test.folder().join("sample.db")));
            if encrypted {
                for wrong in [vec![], vec![Identity::generate()]] {
                    let path = folder.path().join("never");
                    let refused = to_file(&place, &found, Form::Dump(wrong), &path, true).await.unwrap_err();
                    assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");
                    assert!(!path.exists());
                }
                let stored = folder.path().join(format!("{compression}.age"));
                to_file(&place, &found, Form::Stored, &stored, false).await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_is_told_by_its_volume_and_nothing_is_kept_unless_asked() {
    for place in Place::both() {
        let database = place.sample(json!({})).await;
        let job = place.back_up(&database).await;
        let good = place.read(&volume_key(&job));
        place.flip(&volume_key(&job));
        let found = find(&place, job.id).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("artifact");
        for form in [Form::Stored, Form::Dump(Vec::new())] {
            let error = to_file(&place, &found, form, &path, false).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.message().contains(&name(&job)), "{error}");
            assert_eq!(files(folder.path()), [""; 0], "nothing stays, not even a partial file");
        }
        let kept = to_file(&place, &found, Form::Stored, &path, true).await.unwrap();
        assert_eq!(files(folder.path()), ["artifact.damaged"]);
        assert_eq!(kept.damage.len(), 1);
        assert_eq!(fs::read(kept.path.unwrap()).unwrap().len(), good.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_there_is_replaced_only_by_force() {
    let place = Place::on_disk();
    let database = place.sample(json!({})).await;
    let job = place.back_up(&database).await;
    let found = find(&place, job.id).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("artifact");
    fs::write(&path, "precious").unwrap();
    let error = to_file(&place, &found, Form::Stored, &path, false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.mend().unwrap().contains("--force"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    let output = Output::File { path: path.clone(), force: true };
    fetch(&place.test.app.storage, &found.manifest, Form::Stored, output, false).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), place.read(&volume_key(&job)));
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_are_joined_in_order_and_the_damaged_one_is_named() {
    let place = Place::on_disk();
    let database = place.sample(json!({})).await;
    let job = place.back_up(&database).await;
    in_volumes(&place, &job, 3);
    let found = find(&place, job.id).await.unwrap();
    let whole = place.read(&volume_key(&job));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump.db");
    to_file(&place, &found, Form::Dump(Vec::new()), &path, false).await.unwrap();
    assert_eq!(sqlite::dump(&path), sqlite::dump(&place.test.folder().join("sample.db")));
    let second = found.manifest.artifact.volumes[1].key.clone();
    place.flip(&second);
    let error = to_file(&place, &found, Form::Stored, &folder.path().join("x"), false).await.unwrap_err();
    assert!(error.message().contains(&format!("{}.002", name(&job))), "{error}");
    fs::remove_file(place.file(&second)).unwrap();
    let gone = find(&place, job.id).await.unwrap_err();
    assert!(gone.message().contains(".002 is missing"), "{gone}");
    // What is left of it can be had for the asking.
    let left = place.rescue().find(&wanted(&job.id)).await.unwrap().artifact(true).unwrap();
    let kept = to_file(&place, &left, Form::Stored, &folder.path().join("y"), true).await.unwrap();
    assert!(kept.damage.iter().any(|line| line.contains(".002 is missing")), "{:?}", kept.damage);
    assert!(kept.size_bytes > whole.len() as u64 && kept.path.unwrap().ends_with("y.damaged"));
}

/// Cuts a stored artifact into volumes, as a store with few parts would have got it.
fn in_volumes(place: &Place, job: &respaldo_core::model::Job, volumes: usize) {
    let key = &place.test.app.key;
    let (mut manifest, _) = Manifest::decode(&place.read(&manifest_key(job)), key).unwrap();
    let bytes = place.read(&volume_key(job));
    let cut = bytes.len().div_ceil(volumes);
    let attempt = manifest.artifact.attempt;
    manifest.artifact.volumes = bytes
        .chunks(cut)
        .enumerate()
        .map(|(n, chunk)| {
            let key = keys::volume(job.owner().unwrap().uid, job.id, attempt, &manifest.name, n + 1);
            let mut digester = Digester::new();
            digester.update(chunk);
            // The file may be shown under its name: a new one takes the place of this one only.
            fs::remove_file(place.file(&key)).ok();
            place.put(&key, chunk);
            Volume { key, size_bytes: chunk.len() as u64, sha256: digester.finish().sha256_hex() }
        })
        .collect();
    place.put(&manifest_key(job), manifest.encode(key).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_is_not_found_and_an_attempt_that_never_ended_is_no_backup() {
    let place = Place::on_disk();
    let database = place.sample(json!({})).await;
    let (gone, kept) = (place.back_up(&database).await, place.back_up(&database).await);
    delete(&place.test, &gone).await;
    assert_eq!(find(&place, gone.id).await.unwrap_err().kind(), ErrorKind::NotFound);
    fs::remove_file(place.file(&manifest_key(&kept))).unwrap();
    let error = find(&place, kept.id).await.unwrap_err();
    assert!(error.mend().unwrap().contains("never ended"), "{error}");
}
