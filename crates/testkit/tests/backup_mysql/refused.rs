//! What cannot be backed up is said with the mend.

use respaldo_core::ErrorKind;
use respaldo_core::databases::{self, Registration};
use respaldo_core::model::Status;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::unique;
use respaldo_testkit::mysql::Mysql;
use serde_json::json;

use crate::support::{error_of, login, probe, register, register_as};

#[tokio::test]
async fn what_is_wrong_is_said_before_the_dump_in_one_line_with_the_mend() {
    let (test, server) = (TestApp::new(), Mysql::shared());
    let name = server.fresh_database("errors");
    let database = register(&test, server, &name, json!({})).await;
    let found = probe(&test, &database).await.unwrap();
    assert!(found.server_version.contains("MariaDB") && found.tool.unwrap().contains("MariaDB"));

    let database = register_as(&test, server, &name, login("root", "not-the-password"), json!({})).await;
    let refused = probe(&test, &database).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");
    assert!(refused.mend().unwrap().contains("password"), "{refused}");

    let cases = [
        (json!({"database_name": "no_such_database"}), ErrorKind::NotFound, "check database_name"),
        (json!({"port": 1}), ErrorKind::Unavailable, "check host and port"),
        (json!({"host": "no-such-host.invalid"}), ErrorKind::Unavailable, "check host"),
        (json!({"tls": "required"}), ErrorKind::Config, "tls"),
        (json!({"tls": "verify_identity"}), ErrorKind::Config, "tls"),
    ];
    for (fields, kind, mend) in cases {
        let database = register(&test, server, &name, fields.clone()).await;
        let error = probe(&test, &database).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fields}: {error}");
        assert!(error.mend().unwrap().contains(mend), "{fields}: {error}");
        let line = error.to_string();
        assert!(!line.contains('\n') && !line.contains(server.password()), "{line}");
        let job = test.back_up(&database).await;
        assert_eq!(error_of(&job).kind(), kind);
    }
    for tls in ["disabled", "preferred"] {
        let database = register(&test, server, &name, json!({"tls": tls})).await;
        assert!(probe(&test, &database).await.is_ok(), "{tls}");
    }
    test.assert_promises().await;
}

#[tokio::test]
async fn mysql_s_tls_modes_do_what_they_say_where_mysql_can_be_had() {
    let Some(server) = Mysql::shared_mysql() else { return };
    let test = TestApp::new().with_tools(server.bin_dir().to_owned());
    let name = server.fresh_database("tls");
    for tls in ["disabled", "preferred", "required"] {
        // The server forgets the password, so that it must be sent anew.
        server.sql("mysql", "FLUSH PRIVILEGES");
        let database = register(&test, server, &name, json!({"engine": "mysql", "tls": tls})).await;
        assert!(probe(&test, &database).await.is_ok(), "{tls}: {:?}", probe(&test, &database).await);
    }
    let account = "CREATE USER careful@'%' IDENTIFIED BY 'x' REQUIRE SSL; GRANT ALL ON *.* TO careful@'%'";
    server.sql("mysql", account);
    for (tls, kind) in [("verify_identity", ErrorKind::Denied), ("disabled", ErrorKind::Denied)] {
        let fields = json!({"engine": "mysql", "tls": tls});
        let database = register_as(&test, server, &name, login("careful", "x"), fields).await;
        let error = probe(&test, &database).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{tls}: {error}");
    }
    let error = databases::register(
        &test.app,
        Registration {
            fields:
                json!({"name": "x", "engine": "mysql", "host": "h", "database_name": "d", "tls": "prefer"})
                    .as_object()
                    .unwrap()
                    .clone(),
            ..Registration::default()
        },
    );
    let error = error.await.unwrap_err();
    assert_eq!(error.field(), Some("tls"));
    assert!(error.message().contains("disabled, preferred, required, verify_ca, verify_identity"), "{error}");
}

#[tokio::test]
async fn a_privilege_that_is_missing_is_named_and_never_makes_a_smaller_backup() {
    let (test, server) = (TestApp::new(), Mysql::shared());
    let name = server.fresh_database("grants");
    server.sample_schema(&name);
    let all = ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT"];
    for missing in all {
        let user = unique("u");
        let given: Vec<&str> = all.into_iter().filter(|privilege| *privilege != missing).collect();
        let on = name.replace('_', "\\_");
        server.sql("mysql", &format!("CREATE USER {user}@'%' IDENTIFIED BY 'x'; GRANT {}, EXECUTE ON `{on}`.* TO {user}@'%'; GRANT SELECT ON mysql.proc TO {user}@'%'", given.join(", ")));
        let database = register_as(&test, server, &name, login(&user, "x"), json!({})).await;
        let job = test.back_up(&database).await;
        let error = error_of(&job);
        assert_eq!(error.kind(), ErrorKind::Denied, "{missing}: {error}");
        assert!(error.mend().unwrap().contains(missing), "{missing}: {error}");
        server.sql("mysql", &format!("GRANT {missing} ON `{on}`.* TO {user}@'%'"));
        assert_eq!(test.back_up(&database).await.status, Status::Succeeded, "{missing}");
    }
    test.assert_promises().await;
}

#[tokio::test]
async fn a_privilege_that_mysql_took_back_for_one_database_is_missed_where_mysql_can_be_had() {
    let Some(server) = Mysql::shared_mysql() else { return };
    let test = TestApp::new().with_tools(server.bin_dir().to_owned());
    let (name, user) = (server.fresh_database("revoked"), unique("u"));
    server.sample_schema(&name);
    server.sql(
        "mysql",
        &format!(
            "SET GLOBAL partial_revokes = ON; CREATE USER {user}@'%' IDENTIFIED BY 'x'; \
             GRANT ALL ON *.* TO {user}@'%'; REVOKE TRIGGER ON `{name}`.* FROM {user}@'%'"
        ),
    );
    let database = register_as(&test, server, &name, login(&user, "x"), json!({"engine": "mysql"})).await;
    let job = test.back_up(&database).await;
    let error = error_of(&job);
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.mend().unwrap().contains("TRIGGER"), "{error}");
    server.sql("mysql", &format!("GRANT TRIGGER ON `{name}`.* TO {user}@'%'"));
    assert_eq!(test.back_up(&database).await.status, Status::Succeeded);
}
