//! What stands in the way, told in one line with the mend, and secrets that are told nowhere.

use respaldo_core::ErrorKind;
use respaldo_testkit::not_mongod::{Fault, NotMongod, When};

use crate::support::{At, Restore, damage, shop};

/// Every character that a URL, a shell, YAML or a terminal could take for something else.
const AWKWARD: &str = "p:@/?#[]!$&'()*+,;=% \"\\`<>{}|^~-_.ñ€日%41";

#[tokio::test]
async fn a_password_of_special_characters_opens_and_a_wrong_one_names_the_place_it_was_looked_for_in() {
    let server = NotMongod::builder().user("shop", "ana", AWKWARD, &["readWrite", "dbAdmin"]).start();
    shop(&server, "shop");
    let right = At::new(&server, "shop").by("ana", AWKWARD).with(|s| s.auth_source = Some("shop".to_owned()));
    let probe = right.probe().await.unwrap();
    assert_eq!((probe.server_version.as_str(), probe.tool.as_deref()), ("7.0.14", Some("built-in")));
    assert!(probe.size_bytes.unwrap() > 0);
    right.dump().await.unwrap();
    // In admin, where users are looked for unless somebody says otherwise, there is none.
    let error = At::new(&server, "shop").by("ana", AWKWARD).probe().await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Denied, false), "{error}");
    let mend = error.mend().unwrap();
    assert!(mend.contains("auth_source") && mend.contains("the database admin"), "{error}");
    assert!(!error.to_string().contains(AWKWARD) && !error.to_string().contains("p%3A"), "{error}");
}

#[tokio::test]
async fn a_server_that_wants_a_login_is_told_apart_from_one_that_refuses_it() {
    let server = NotMongod::builder().user("admin", "root", "pw", &["root"]).start();
    let error = At::new(&server, "shop").probe().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.mend().unwrap().contains("credentials"), "{error}");
}

#[tokio::test]
async fn a_user_without_rights_is_told_which_roles_it_takes_and_nothing_is_changed() {
    let server = NotMongod::builder()
        .user("shop", "reader", "pw", &["read"])
        .user("admin", "nobody", "pw", &[])
        .start();
    shop(&server, "shop");
    let reader =
        || At::new(&server, "shop").by("reader", "pw").with(|s| s.auth_source = Some("shop".to_owned()));
    let (bytes, _) = reader().dump().await.unwrap();
    let error = At::new(&server, "shop").by("nobody", "pw").dump().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.mend().unwrap().contains("grant the user read"), "{error}");
    damage(&server, "shop");
    let before = server.snapshot("shop");
    for restore in [Restore::new(reader(), bytes.clone()), Restore::new(reader(), bytes).by_swap()] {
        let error = restore.load().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.mend().unwrap().contains("readWrite"), "{error}");
        assert_eq!(server.snapshot("shop").differences(&before), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let mut server = NotMongod::start();
    let at = At::new(&server, "shop");
    server.stop();
    let error = at.probe().await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{error}");
    assert!(error.mend().unwrap().contains("host and port"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_too_old_and_a_set_of_another_name_are_told_by_their_mend() {
    let old = NotMongod::builder().version(4, 0, 28).start();
    let error = At::new(&old, "shop").probe().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tool, "{error}");
    assert!(error.mend().unwrap().contains("4.4"), "{error}");
    let set = NotMongod::builder().replica_set("rs0").start();
    At::new(&set, "shop").with(|s| s.replica_set = Some("rs0".to_owned())).probe().await.unwrap();
    let error =
        At::new(&set, "shop").with(|s| s.replica_set = Some("rs1".to_owned())).probe().await.unwrap_err();
    assert!(error.mend().is_some(), "{error}");
    assert!(matches!(error.kind(), ErrorKind::Config | ErrorKind::Unavailable), "{error}");
}

#[tokio::test]
async fn tls_where_the_server_has_none_is_told_with_the_setting() {
    let server = NotMongod::start();
    let error =
        At::new(&server, "shop").with(|s| s.tls = Some("enable".to_owned())).probe().await.unwrap_err();
    assert!(error.mend().unwrap().contains("tls") || error.mend().unwrap().contains("TLS"), "{error}");
}

#[tokio::test]
async fn documents_that_the_server_refuses_fail_the_load() {
    let server = NotMongod::start();
    shop(&server, "shop");
    let (bytes, _) = At::new(&server, "shop").dump().await.unwrap();
    let restore = Restore::new(At::new(&server, "copy"), bytes);
    server.fail(When::nth("createIndexes", 2), Fault::error(85, "IndexOptionsConflict"));
    let error = restore.load().await.unwrap_err();
    assert!(error.operation().contains("build the indexes") && error.mend().is_some(), "{error}");
    server.heal();
    restore.load().await.unwrap();
}

/// What is no archive, or no longer whole, never passes for one.
#[tokio::test]
async fn a_dump_that_is_cut_or_changed_is_refused_and_loaded_nowhere_beside_the_target() {
    let server = NotMongod::start();
    shop(&server, "shop");
    let (bytes, _) = At::new(&server, "shop").dump().await.unwrap();
    let before = server.snapshot("shop");
    let mut changed = bytes.clone();
    let at = bytes.len() - 2_000;
    changed[at] ^= 1;
    for broken in [bytes[..bytes.len() / 2].to_vec(), bytes[..40].to_vec(), vec![7; 100], changed] {
        let mut restore = Restore::new(At::new(&server, "shop"), bytes.clone()).by_swap();
        restore.dump = broken;
        let error = restore.load().await.unwrap_err();
        assert!(!error.is_retryable(), "{error}");
        restore.drop_aside().await.unwrap();
        assert_eq!(server.snapshot("shop").differences(&before), Vec::<String>::new());
    }
}
