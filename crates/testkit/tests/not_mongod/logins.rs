//! SCRAM, with passwords that people really have.

use bson::{RawDocumentBuf, doc};
use mongodb::Client;
use mongodb::error::ErrorKind;
use mongodb::options::{AuthMechanism, ClientOptions};
use respaldo_testkit::not_mongod::NotMongod;

use crate::support::{client, code, login, refused};

/// Every printable character, what needs escaping in URLs and in SCRAM, and what `SASLprep` changes.
const PASSWORDS: [&str; 8] = [
    "p@ss:w/o?r#d%[]",
    " !\"#$%&'()*+,-./0:;<=>?@AZ[\\]^_`az{|}~",
    "=,n=r=",
    "%2F%00%zz",
    "пароль-密码-ß",
    "I\u{ad}X and \u{2168}",
    "e\u{301}\u{a0}x",
    "\\n\\\"'`$(id)",
];

async fn ping(client: &Client) -> Result<(), mongodb::error::Error> {
    client.database("shop").collection::<RawDocumentBuf>("x").find_one(doc! {}).await.map(drop)
}

fn is_wrong_password(error: &mongodb::error::Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Authentication { .. })
}

#[tokio::test]
async fn every_password_opens_by_both_mechanisms_and_no_other_password_does() {
    for password in PASSWORDS {
        let server = NotMongod::builder()
            .user("admin", "both@:/+% ü", password, &["root"])
            .sha1_user("shop", "old", password, &["read"])
            .start();
        ping(&login(&server, "admin", "both@:/+% ü", password).await).await.unwrap();
        ping(&login(&server, "shop", "old", password).await).await.unwrap();
        let wrong = login(&server, "admin", "both@:/+% ü", &format!("{password}x")).await;
        assert!(is_wrong_password(&ping(&wrong).await.unwrap_err()), "{password}");
    }
}

#[tokio::test]
async fn a_password_that_saslprep_does_not_know_opens_by_sha_1_alone() {
    let server =
        NotMongod::builder().user("admin", "root", "x", &["root"]).sha1_user("shop", "old", "🔑", &["read"]);
    let server = server.start();
    ping(&login(&server, "shop", "old", "🔑").await).await.unwrap();
    let admin = login(&server, "admin", "root", "x").await.database("admin");
    assert_eq!(refused(&admin, doc! { "createUser": "new", "pwd": "🔑", "roles": [] }).await, 2);
}

#[tokio::test]
async fn a_name_with_a_comma_is_unknown_since_the_driver_does_not_escape_it() {
    let server = NotMongod::builder().user("admin", "a,b", "x", &["root"]).start();
    let error = ping(&login(&server, "admin", "a,b", "x").await).await.unwrap_err();
    assert!(is_wrong_password(&error), "{error}: the driver has learnt RFC 5802, say so in the documents");
}

#[tokio::test]
async fn a_password_stands_in_a_url_when_its_characters_are_encoded() {
    let password = PASSWORDS.concat();
    let server = NotMongod::builder().user("admin", "ü ser", &password, &["root"]).start();
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let url = format!(
        "mongodb://{}:{}@127.0.0.1:{}/?authSource=admin&directConnection=true",
        encode("ü ser"),
        encode(&password),
        server.port()
    );
    ping(&Client::with_uri_str(url).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn mechanisms_can_be_named_and_an_account_has_those_that_it_has() {
    let server = NotMongod::builder().sha1_user("admin", "old", "secret", &["root"]).start();
    for (mechanism, works) in [(AuthMechanism::ScramSha1, true), (AuthMechanism::ScramSha256, false)] {
        let mut options = ClientOptions::parse(server.url()).await.unwrap();
        let credential = mongodb::options::Credential::builder()
            .username("old".to_owned())
            .password("secret".to_owned())
            .mechanism(mechanism);
        options.credential = Some(credential.build());
        let answer = ping(&Client::with_options(options).unwrap()).await;
        assert_eq!(answer.is_ok(), works, "{answer:?}");
    }
}

#[tokio::test]
async fn a_user_is_known_in_his_own_database_alone() {
    let server = NotMongod::builder().user("shop", "clerk", "secret", &["read"]).start();
    ping(&login(&server, "shop", "clerk", "secret").await).await.unwrap();
    let error = ping(&login(&server, "admin", "clerk", "secret").await).await.unwrap_err();
    assert!(is_wrong_password(&error), "{error}");
}

#[tokio::test]
async fn who_has_not_logged_in_is_refused_all_but_the_handshake() {
    let server = NotMongod::builder().user("admin", "root", "secret", &["root"]).start();
    let client = client(&server).await;
    assert_eq!(code(&ping(&client).await.unwrap_err()), 13);
    assert_eq!(refused(&client.database("admin"), doc! { "listDatabases": 1 }).await, 13);
    for open in ["hello", "ping", "buildInfo", "connectionStatus"] {
        client.database("admin").run_command(doc! { open: 1 }).await.unwrap();
    }
}

#[tokio::test]
async fn users_and_roles_that_commands_make_log_in_and_go() {
    let server = NotMongod::builder().user("admin", "root", "secret", &["root"]).start();
    let root = login(&server, "admin", "root", "secret").await;
    let shop = root.database("shop");
    let role = doc! { "createRole": "auditor", "privileges": [], "roles": ["read"] };
    shop.run_command(role.clone()).await.unwrap();
    assert_eq!(refused(&shop, role).await, 51002);
    let user =
        doc! { "createUser": "ann", "pwd": "pässwort", "roles": ["auditor"], "customData": { "a": 1 } };
    shop.run_command(user.clone()).await.unwrap();
    assert_eq!(refused(&shop, user).await, 51003);
    ping(&login(&server, "shop", "ann", "pässwort").await).await.unwrap();

    let info = shop.run_command(doc! { "usersInfo": "ann" }).await.unwrap();
    let ann = info.get_array("users").unwrap()[0].as_document().unwrap();
    assert!(!ann.contains_key("credentials") && ann.get_array("mechanisms").unwrap().len() == 2, "{ann}");
    let info = shop.run_command(doc! { "usersInfo": 1, "showCredentials": true }).await.unwrap();
    assert!(info.get_array("users").unwrap()[0].as_document().unwrap().contains_key("credentials"));
    let info = shop.run_command(doc! { "rolesInfo": 1 }).await.unwrap();
    assert_eq!(info.get_array("roles").unwrap().len(), 1);

    shop.run_command(doc! { "dropUser": "ann" }).await.unwrap();
    shop.run_command(doc! { "dropRole": "auditor" }).await.unwrap();
    assert_eq!(refused(&shop, doc! { "dropUser": "ann" }).await, 11);
    assert_eq!(refused(&shop, doc! { "dropRole": "auditor" }).await, 31);
    assert!(is_wrong_password(&ping(&login(&server, "shop", "ann", "pässwort").await).await.unwrap_err()));
}

#[tokio::test]
async fn users_move_from_one_server_to_another_with_their_passwords() {
    let (source, target) = (
        NotMongod::builder()
            .user("admin", "root", "old", &["root"])
            .user("shop", "ann", "geheim", &["read"])
            .start(),
        NotMongod::builder()
            .user("admin", "root", "new", &["root"])
            .user("shop", "bob", "x", &["read"])
            .start(),
    );
    target.load("admin", "tempusers", source.documents("admin", "system.users"));
    let admin = login(&target, "admin", "root", "new").await.database("admin");
    let merge = doc! {
        "_mergeAuthzCollections": 1, "tempUsersCollection": "admin.tempusers", "db": "shop", "drop": true,
    };
    admin.run_command(merge).await.unwrap();
    ping(&login(&target, "shop", "ann", "geheim").await).await.unwrap();
    ping(&login(&target, "admin", "root", "new").await).await.unwrap();
    assert!(ping(&login(&target, "shop", "bob", "x").await).await.is_err(), "bob was to be dropped");
}
