//! Promises about what is kept: any text, and across a reopen.

use respaldo_core::model::{Credentials, DatabaseId};
use respaldo_core::ports::{Claim, Document, NewDatabase};
use respaldo_core::{Error, ErrorKind};

use super::Store;
use super::sample::{at, database, job, job_id, line};

fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "'; DROP TABLE jobs; --",
        "\" \\\" ` $1 ?1 :a @b",
        "a\0b\0",
        "\r\n\t\u{1b}[31m",
        "\u{feff}\u{202e}Größe ключ 数据库 🔑\u{10ffff}",
        "%_\\*[a-z]",
        "{\"id\":1}",
        "NULL",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("é\"".repeat(400_000));
    texts
}

/// In every string of every record, key and value.
pub async fn any_text_is_kept_byte_for_byte(store: &dyn Store) {
    let catalog = store.open().await;
    for (text, n) in hostile().into_iter().zip(1_u8..) {
        let mut new = database(n.into());
        new.config_id = Some(text.clone());
        new.settings.name.clone_from(&text);
        new.settings.database_name.clone_from(&text);
        new.settings.host = Some(text.clone());
        new.settings.encryption = vec![text.clone()];
        new.credentials = Credentials::Reference { username_var: Some(text.clone()), password_var: None };
        new.synced = Some([(text.clone(), text.clone().into())].into_iter().collect());
        let stored = catalog.create_database(NewDatabase(new)).await.unwrap();
        assert_eq!(catalog.database(stored.id).await.unwrap().unwrap(), stored);
        assert_eq!(stored.settings.name, text);

        let mut mine = job(n.into(), 0);
        mine.backup_mut().expect("a dump job").database_name.clone_from(&text);
        mine.backup_mut().expect("a dump job").name = Some(text.clone());
        mine.error = Some(Error::new(ErrorKind::Tool, &*text, &*text).with_mend(&*text).with_field(&*text));
        assert!(catalog.create_job(&mine).await.unwrap());
        assert_eq!(catalog.job(mine.id).await.unwrap().unwrap(), mine);
        catalog.append_log(mine.id, &[line(&text)]).await.unwrap();
        assert_eq!(catalog.log(mine.id, 0, 9).await.unwrap()[0].line, text);

        // DynamoDB's keys are short, so only short texts must do as keys.
        let key = if text.len() > 1_000 { n.to_string() } else { format!("k{text}") };
        assert_eq!(catalog.claim(&key, &text, at(0), None).await.unwrap(), None, "{key:?}");
        assert_eq!(catalog.claim(&key, "x", at(0), None).await.unwrap(), Some(text.clone()));
        let claim = Claim { key: key.clone(), value: text.clone(), expires_at: None };
        assert_eq!(catalog.claims(None, 9).await.unwrap(), [claim]);
        let revision = catalog.put_document(&key, &text, 0).await.unwrap();
        let document = Document { text: text.clone(), revision };
        assert_eq!(catalog.document(&key).await.unwrap(), Some(document));
        let fence = catalog.acquire_lease(&key, &text, at(0), at(9)).await.unwrap().unwrap();
        assert_eq!(catalog.live_leases(&key, at(0)).await.unwrap(), [&*key]);
        catalog.release_lease(&key, fence).await.unwrap();
        catalog.release_claim(&key, &text).await.unwrap();
        assert_eq!(catalog.claim(&key, "x", at(0), None).await.unwrap(), None);
        catalog.release_claim(&key, "x").await.unwrap();
    }
}

/// One of each kind of record, through a new handle after the old one is gone.
pub async fn confirmed_writes_are_there_after_a_reopen(store: &dyn Store) {
    let catalog = store.open().await;
    let stored = catalog.create_database(NewDatabase(database(1))).await.unwrap();
    assert!(catalog.create_job(&job(1, 0)).await.unwrap());
    catalog.append_log(job_id(1), &[line("kept")]).await.unwrap();
    assert_eq!(catalog.claim("k", "v", at(0), None).await.unwrap(), None);
    let revision = catalog.put_document("d", "text", 0).await.unwrap();
    let fence = catalog.acquire_lease("l", "o", at(0), at(1_000)).await.unwrap().unwrap();
    let totals = catalog.totals(Some(DatabaseId(1))).await.unwrap();
    drop(catalog);

    let again = store.open().await;
    assert_eq!(again.databases(None, 9).await.unwrap(), [stored]);
    assert_eq!(again.job(job_id(1)).await.unwrap(), Some(job(1, 0)));
    assert_eq!(again.log(job_id(1), 0, 9).await.unwrap()[0].line, "kept");
    assert_eq!(again.claim("k", "w", at(0), None).await.unwrap().as_deref(), Some("v"));
    let document = Document { text: "text".to_owned(), revision };
    assert_eq!(again.document("d").await.unwrap(), Some(document));
    assert!(again.renew_lease("l", fence, at(2_000)).await.unwrap());
    assert_eq!(again.totals(Some(DatabaseId(1))).await.unwrap(), totals);
    assert_eq!(again.due_jobs(at(60_000), 9).await.unwrap(), [job(1, 0)]);
}
