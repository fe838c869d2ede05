//! What the list says of good backups and bad ones.

use std::fs;

use respaldo_core::keys;
use respaldo_core::model::JobId;
use respaldo_core::seal::Identity;
use serde_json::json;
use ulid::Ulid;

use super::{Place, list, manifest_key, name, second_attempt, volume_key};

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_listed_with_what_its_manifest_tells() {
    for place in Place::both() {
        let plain = place.sample(json!({})).await;
        let recipient = Identity::generate().recipient().to_string();
        let sealed = place.sample(json!({"name": "sealed", "encryption": [recipient]})).await;
        let jobs = [place.back_up(&plain).await, place.back_up(&sealed).await];
        let (lines, totals) = list(&place.rescue()).await;
        assert_eq!(lines.len(), 2);
        for (line, job) in lines.iter().zip(&jobs) {
            let backup = job.backup().unwrap();
            assert_eq!((line.id, line.database_uid, line.whole), (job.id, job.owner().unwrap().uid, true));
            assert_eq!((&line.reason, line.notes.len()), (&None, 0));
            assert_eq!(line.name.as_deref(), backup.name.as_deref());
            assert_eq!((line.kind, line.created_at), (Some(backup.kind), Some(job.created_at)));
            assert_eq!(line.size_bytes, backup.artifact.as_ref().map(|artifact| artifact.size_bytes));
            assert_eq!(line.encrypted, Some(!backup.encryption.is_empty()));
            assert_eq!(line.signature, Some("verified"));
        }
        assert_eq!(
            (lines[0].database.as_deref(), lines[1].database.as_deref()),
            (Some("sample"), Some("sealed"))
        );
        assert_eq!(
            (totals.databases, totals.whole, totals.damaged, totals.litter, totals.unknown),
            (2, 2, 0, 0, 0)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_signatures_are_not_checked_and_with_another_they_are_foreign() {
    let place = Place::on_disk();
    let database = place.sample(json!({})).await;
    place.back_up(&database).await;
    let (lines, _) = list(&place.without_key()).await;
    assert_eq!((lines[0].signature, lines[0].whole), (Some("not checked"), true));
    let (lines, totals) = list(&place.with_another_key()).await;
    assert_eq!((lines[0].signature, lines[0].whole, totals.foreign), (Some("foreign"), true, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_is_listed_with_the_reason_and_stops_nothing() {
    for place in Place::both() {
        let database = place.sample(json!({})).await;
        let mut jobs = Vec::new();
        for _ in 0..8 {
            jobs.push(place.back_up(&database).await);
        }
        jobs.sort_by_key(|job| job.id);
        let manifest = |n: usize| manifest_key(&jobs[n]);
        fs::write(place.file(&manifest(0)), "{}").unwrap();
        fs::write(place.file(&manifest(1)), b"\xff\xfe not text").unwrap();
        let text = String::from_utf8(place.read(&manifest(2))).unwrap();
        fs::write(place.file(&manifest(2)), &text[..text.len() / 2]).unwrap();
        fs::remove_file(place.file(&volume_key(&jobs[3]))).unwrap();
        let stored = place.read(&volume_key(&jobs[4]));
        fs::write(place.file(&volume_key(&jobs[4])), &stored[..stored.len() - 1]).unwrap();
        // Somebody copied another backup's manifest, or points at files that are not a backup's.
        let other = place.read(&manifest(6));
        fs::write(place.file(&manifest(5)), other).unwrap();
        let text = String::from_utf8(place.read(&manifest(7))).unwrap();
        let evil = text.replace(&volume_key(&jobs[7]), "databases/../../etc/passwd");
        assert_ne!(evil, text);
        fs::write(place.file(&manifest(7)), evil).unwrap();

        let (lines, totals) = list(&place.rescue()).await;
        let reasons: Vec<&str> = lines.iter().map(|line| line.reason.as_deref().unwrap_or("whole")).collect();
        for (n, part) in [
            (0, "manifest is damaged: it ends before its HMAC"),
            (1, "manifest is damaged: it is not UTF-8"),
            (2, "manifest is damaged: it ends before its HMAC"),
            (3, "is missing"),
            (4, "bytes instead of"),
            (5, "describes another backup"),
            (6, "whole"),
            (7, "names volumes that are not its own"),
        ] {
            assert_eq!(lines[n].id, jobs[n].id);
            assert!(reasons[n].contains(part), "{n}: {}", reasons[n]);
        }
        assert!(reasons[3].contains(&name(&jobs[3])), "{}", reasons[3]);
        assert_eq!((totals.whole, totals.damaged), (1, 7));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn litter_and_foreign_files_are_counted_and_not_listed() {
    for place in Place::both() {
        let database = place.sample(json!({})).await;
        let job = place.back_up(&database).await;
        // An attempt that never ended, beside a whole one and alone.
        let folder = keys::attempt_prefix(database.uid, job.id, 7);
        place.put(&format!("{folder}sqlite_x.db.gz"), "half");
        let lost = JobId(Ulid::from_parts(3, 3));
        place.put(&keys::volume(database.uid, lost, 1, "sqlite_y.db.gz", 1), "half");
        for key in [
            "backups/README.txt",
            "backups/.DS_Store",
            "backups/photos/manifest.json",
            "databases/notes.txt",
            &format!("backups/{}/manifest.json", database.uid),
            &format!("backups/{}/2020/1/manifest.json", database.uid),
            &format!("{}01/manifest.json", keys::backup_prefix(database.uid, job.id)),
        ] {
            place.put(key, "somebody else's");
        }
        let (lines, totals) = list(&place.rescue()).await;
        assert_eq!(lines.iter().map(|line| (line.id, line.whole)).collect::<Vec<_>>(), [(job.id, true)]);
        assert_eq!((totals.whole, totals.damaged, totals.litter, totals.unknown), (1, 0, 2, 7));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_whole_attempts_the_later_one_counts_unless_somebody_else_signed_it() {
    let place = Place::on_disk();
    let database = place.sample(json!({})).await;
    let job = place.back_up(&database).await;
    let later = second_attempt(&place, &job);
    let rescue = place.rescue();
    let shelf = rescue.shelf(database.uid, job.id).await.unwrap();
    let counts = shelf.found.as_ref().unwrap().manifest.artifact.attempt;
    assert_eq!((counts, shelf.superseded, shelf.last_attempt), (later, 1, later));

    // The same text under another signature: whoever could write it could have written any artifact.
    let key = keys::manifest(database.uid, job.id, later);
    let text = String::from_utf8(place.read(&key)).unwrap();
    let start = text.rfind("\"hmac_sha256\": \"").unwrap() + 16;
    let forged = format!("{}{}{}", &text[..start], "0".repeat(64), &text[start + 64..]);
    fs::write(place.file(&key), forged).unwrap();
    let shelf = rescue.shelf(database.uid, job.id).await.unwrap();
    assert_eq!(shelf.found.unwrap().manifest.artifact.attempt, later - 1);

    // And one that is not whole gives way to one that is.
    fs::remove_file(place.file(&volume_key(&job))).unwrap();
    let shelf = rescue.shelf(database.uid, job.id).await.unwrap();
    assert_eq!(shelf.found.unwrap().manifest.artifact.attempt, later);
    assert!(shelf.faults[0].reason.contains("is missing"));
}
