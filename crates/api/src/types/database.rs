//! Databases in requests and answers.

use jiff::Timestamp;
use respaldo_core::databases::{Change, Login, Registration};
use respaldo_core::engine::Probe;
use respaldo_core::model::{Database, DatabaseUid, Settings};
use respaldo_core::{App, Error, Result, databases};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::ErrorView;
use crate::Problem;
use crate::access::{Granted, Scope};
use crate::extract::{JsonObject, take, unknown};

/// A registered database.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Database", example = json!({
    "id": 1, "config_id": null, "name": "PostgreSQL Producción", "engine": "postgres",
    "host": "db.example.com", "port": 5432, "database_name": "production_db", "schedule": "0 4 * * *",
    "retention_days": 30, "max_backups": 15, "compression": "gzip"
}))]
pub struct DatabaseView {
    /// Its number, never used again.
    pub id: i64,
    /// Its entry in `config.yaml`; null when it was made by API.
    pub config_id: Option<String>,
    /// What it is.
    #[serde(flatten)]
    #[schema(inline)]
    pub settings: SettingsView,
    /// When its next scheduled backup starts: the due time, and the jitter.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_run_at: Option<Timestamp>,
    /// Why it cannot be backed up now, if so.
    pub held_back: Option<String>,
    /// When it was registered.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its settings last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// What a person may set of a database.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Settings")]
#[expect(clippy::struct_excessive_bools, reason = "the fields of a database, as people know them")]
pub struct SettingsView {
    /// What people call it.
    pub name: String,
    /// Its kind.
    #[schema(value_type = String, example = "postgres")]
    pub engine: respaldo_core::model::EngineKind,
    /// The server's name or address; null for a file.
    pub host: Option<String>,
    /// The server's port; null for a file.
    pub port: Option<u16>,
    /// The database's name on its server; for SQLite its path.
    pub database_name: String,
    /// A crontab of five fields, or null for manual backups only.
    pub schedule: Option<String>,
    /// Scheduled backups older than this many days are removed; null: no limit.
    pub retention_days: Option<u32>,
    /// Scheduled backups beyond the newest this many are removed; null: no limit.
    pub max_backups: Option<u32>,
    /// `gzip`, `zstd` or `none`.
    #[schema(value_type = String, example = "gzip")]
    pub compression: respaldo_core::seal::Compression,
    /// The IANA zone that the schedule is read in.
    pub timezone: Option<String>,
    /// Scheduled backups start up to this many seconds (3,600 at most) after their due time, each database
    /// at a time of its own.
    pub jitter_seconds: u32,
    /// The shape of the dump: `plain` or `custom`.
    #[schema(value_type = String, example = "plain")]
    pub format: respaldo_core::model::DumpFormat,
    /// `age` recipients that artifacts are encrypted to.
    pub encryption: Vec<String>,
    /// Whether its schedule runs.
    pub enabled: bool,
    /// Whether packages hold its latest backup.
    pub package: bool,
    /// When backups are test-restored: `after_each`, `daily`, `weekly` or `off`.
    #[schema(value_type = String, example = "off")]
    pub verify: respaldo_core::model::VerifyPolicy,
    /// Where long jobs run: `auto`, `lambda` or `fargate`.
    #[schema(value_type = String, example = "auto")]
    pub runner: respaldo_core::model::Runner,
    /// The TLS mode in the engine's own words (`sslmode` for PostgreSQL).
    pub tls: Option<String>,
    /// MongoDB: the collections that backups hold; empty: all.
    pub collections: Vec<String>,
    /// MongoDB: whether the database's own users and roles are backed up with it.
    pub users_and_roles: bool,
    /// MongoDB: whether what is written meanwhile goes into the dump.
    pub oplog: bool,
    /// MongoDB: the database that the user is defined in; null: `admin`.
    pub auth_source: Option<String>,
    /// MongoDB: the name of the replica set that the hosts belong to.
    pub replica_set: Option<String>,
}

impl From<Settings> for SettingsView {
    fn from(settings: Settings) -> Self {
        Self {
            name: settings.name,
            engine: settings.engine,
            host: settings.host,
            port: settings.port,
            database_name: settings.database_name,
            schedule: settings.schedule,
            retention_days: settings.retention_days,
            max_backups: settings.max_backups,
            compression: settings.compression,
            timezone: settings.timezone,
            jitter_seconds: settings.jitter_seconds,
            format: settings.format,
            encryption: settings.encryption,
            enabled: settings.enabled,
            package: settings.package,
            verify: settings.verify,
            runner: settings.runner,
            tls: settings.tls,
            collections: settings.collections,
            users_and_roles: settings.users_and_roles,
            oplog: settings.oplog,
            auth_source: settings.auth_source,
            replica_set: settings.replica_set,
        }
    }
}

impl DatabaseView {
    /// A database as it is answered. Nothing of its credentials is in it.
    pub async fn of(app: &App, database: Database) -> Self {
        let held_back = databases::held_back(app, &database).await;
        // One record that cannot be opened must not hide the others of a list.
        let held_back = held_back.unwrap_or_else(|error| Some(error.message().to_owned()));
        let next_run_at = database.next_run_at();
        Self {
            id: database.id.0,
            config_id: database.config_id,
            next_run_at,
            settings: database.settings.into(),
            held_back,
            created_at: database.created_at,
            updated_at: database.updated_at,
        }
    }
}

/// A user name and a password. They are sealed at once and never returned.
#[derive(Debug, ToSchema)]
#[schema(title = "Credentials")]
pub struct CredentialsBody {
    /// The user name.
    pub username: Option<String>,
    /// The password.
    #[schema(format = Password)]
    pub password: Option<String>,
}

/// The body that registers a database, for the documentation: it is read field by field.
#[derive(Debug)]
pub struct RegisterBody;

/// The body that changes a database, for the documentation: the fields to replace.
#[derive(Debug)]
pub struct ChangeBody;

fn body_schema(required: &[&str]) -> RefOr<Schema> {
    let RefOr::T(Schema::Object(mut object)) = SettingsView::schema() else { return SettingsView::schema() };
    object.properties.insert("credentials".to_owned(), CredentialsBody::schema());
    object.required = required.iter().map(ToString::to_string).collect();
    object.title = None;
    RefOr::T(Schema::Object(object))
}

impl PartialSchema for RegisterBody {
    fn schema() -> RefOr<Schema> {
        body_schema(&["name", "engine", "database_name"])
    }
}

impl ToSchema for RegisterBody {}

impl PartialSchema for ChangeBody {
    fn schema() -> RefOr<Schema> {
        body_schema(&[])
    }
}

impl ToSchema for ChangeBody {}

/// Reads a request to register a database.
pub fn registration_from(object: JsonObject, uid: Option<DatabaseUid>) -> Result<Registration, Problem> {
    let mut fields = object.fields;
    let login = take_login(&mut fields)?;
    Ok(Registration { fields, login, uid })
}

/// Reads a request to change a database.
pub fn change_from(object: JsonObject, granted: Granted) -> Result<Change, Problem> {
    let mut fields = object.fields;
    let login = take_login(&mut fields)?;
    Ok(Change { fields, login, may_shorten_retention: granted.has(Scope::Delete) })
}

fn take_login(fields: &mut Map<String, Value>) -> Result<Option<Login>, Problem> {
    refuse_strays(fields)?;
    let object = take::<Map<String, Value>>(
        fields,
        "credentials",
        "credentials",
        "an object with username and password",
    )?;
    let Some(mut object) = object else { return Ok(None) };
    let username = take(&mut object, "username", "credentials.username", "a text")?;
    let password = take::<String>(&mut object, "password", "credentials.password", "a text")?;
    match object.keys().next() {
        Some(field) => Err(unknown(&format!("credentials.{field}"), "username, password")),
        None => Ok(Some(Login { username, password: password.map(SecretString::from) })),
    }
}

/// Names that people try, each with what to write instead.
fn refuse_strays(fields: &Map<String, Value>) -> Result<(), Problem> {
    for field in ["username_var", "password_var"] {
        if fields.contains_key(field) {
            return Err(Error::invalid(field, "only config.yaml may name variables of the server")
                .with_mend("send credentials: {username, password}, or register it in config.yaml")
                .into());
        }
    }
    for field in ["username", "user", "password"] {
        if fields.contains_key(field) {
            return Err(Error::invalid(field, "there is no such field")
                .with_mend("send credentials: {username, password}")
                .into());
        }
    }
    Ok(())
}

/// What a test of a database found.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Test", example = json!({
    "ok": true, "server_version": "15.8", "tool": "pg_dump 15.8", "size_bytes": 8_123_456, "error": null
}))]
pub struct TestView {
    /// Whether a dump could begin now.
    pub ok: bool,
    /// The server's version, as it says it.
    pub server_version: Option<String>,
    /// The tool that would dump it, with its version; null where none is needed.
    pub tool: Option<String>,
    /// The database's size in bytes, where the server tells.
    pub size_bytes: Option<u64>,
    /// Why not.
    pub error: Option<ErrorView>,
}

impl From<Result<Probe>> for TestView {
    fn from(outcome: Result<Probe>) -> Self {
        match outcome {
            Ok(probe) => Self {
                ok: true,
                server_version: Some(probe.server_version),
                tool: probe.tool,
                size_bytes: probe.size_bytes,
                error: None,
            },
            Err(error) => Self {
                ok: false,
                server_version: None,
                tool: None,
                size_bytes: None,
                error: Some(ErrorView::from(&error)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> JsonObject {
        let Value::Object(fields) = value else { panic!("not an object") };
        JsonObject { fields, bytes: bytes::Bytes::new() }
    }

    #[test]
    fn every_setting_is_answered_and_nothing_else() {
        let settings: Settings =
            serde_json::from_value(json!({"name": "n", "engine": "postgres", "database_name": "d"})).unwrap();
        let mut known: Vec<String> = settings.to_map().keys().cloned().collect();
        let Value::Object(shown) = serde_json::to_value(SettingsView::from(settings)).unwrap() else {
            panic!("not an object")
        };
        let mut shown: Vec<String> = shown.keys().cloned().collect();
        known.sort();
        shown.sort();
        assert_eq!(shown, known);
    }

    #[test]
    fn credentials_are_taken_out_of_the_fields() {
        let body = json!({"name": "x", "credentials": {"username": "u", "password": "hunter2"}});
        let registration = registration_from(object(body), None).unwrap();
        let login = registration.login.unwrap();
        assert_eq!(login.username.as_deref(), Some("u"));
        assert_eq!(login.password.unwrap().expose_secret(), "hunter2");
        assert_eq!(registration.fields.keys().collect::<Vec<_>>(), ["name"]);
    }

    #[test]
    fn what_is_refused_about_credentials_names_its_field_and_never_the_value() {
        for (body, field) in [
            (json!({"credentials": "hunter2"}), "credentials"),
            (json!({"credentials": ["hunter2"]}), "credentials"),
            (json!({"credentials": {"password": {"x": "hunter2"}}}), "credentials.password"),
            (json!({"credentials": {"username": 12345}}), "credentials.username"),
            (json!({"credentials": {"token": "hunter2"}}), "credentials.token"),
            (json!({"password": "hunter2"}), "password"),
            (json!({"password_var": "ADMIN_API_KEY"}), "password_var"),
        ] {
            let problem = registration_from(object(body.clone()), None).unwrap_err();
            assert_eq!(problem.status(), 422, "{body}");
            assert_eq!(problem.body().field.as_deref(), Some(field), "{body}");
            assert!(!format!("{problem:?}").contains("hunter2"), "{body}");
        }
    }

    #[test]
    fn only_the_delete_scope_may_shorten_a_retention() {
        let change = |granted| change_from(object(json!({})), granted).unwrap().may_shorten_retention;
        assert!(change(Granted::everything()));
        assert!(!change(Granted::default()));
    }
}
