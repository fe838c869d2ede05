//! The three-way merge of the file, its last state and the catalog.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use respaldo_core::config::sync::{Action, SyncPlan, plan};
use respaldo_core::config::{Config, Entry};
use respaldo_core::model::{Credentials, Database, DatabaseId, DatabaseUid, Settings};
use serde_json::{Map, Value, json};

fn entry(config_id: &str, extra: Value) -> Entry {
    let mut settings = map(json!({
        "name": config_id, "engine": "postgres", "host": "h", "database_name": "d",
    }));
    settings.extend(map(extra));
    Entry { config_id: config_id.to_owned(), settings, credentials: Credentials::None }
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("not an object: {other}"),
    }
}

fn record(id: i64, config_id: Option<&str>, settings: Settings, credentials: Credentials) -> Database {
    Database {
        id: DatabaseId(id),
        uid: "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse::<DatabaseUid>().expect("a ulid"),
        revision: 0,
        config_id: config_id.map(str::to_owned),
        settings,
        credentials,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        schedule_changed_at: Timestamp::UNIX_EPOCH,
        next_due_at: None,
        last_due_at: None,
        history: respaldo_core::model::History::default(),
        next_start_at: None,
        definition_stale: false,
        definition_retry_at: None,
        synced: None,
    }
}

/// Does what a plan says.
fn apply(plan: &SyncPlan, catalog: &mut Vec<Database>) {
    for step in plan.changes() {
        if step.action == Action::Create {
            let (settings, credentials) = step.new_settings().expect("whole settings");
            let next = i64::try_from(catalog.len()).expect("few") + 1;
            let mut created = record(next, Some(&step.config_id), settings, credentials);
            created.synced = step.synced().cloned();
            catalog.push(created);
        } else {
            let record = catalog.iter_mut().find(|d| Some(d.id) == step.database_id).expect("a record");
            *record = step.merge(record).expect("it merges");
        }
    }
}

fn sync(entries: &[Entry], catalog: &mut Vec<Database>) -> Vec<String> {
    let plan = plan(entries, catalog);
    apply(&plan, catalog);
    plan.steps.iter().map(|step| format!("{}: {}", step.config_id, step.reason)).collect()
}

fn edit(database: &mut Database, patch: Value) {
    database.settings = database.settings.patched(&map(patch)).expect("a valid edit");
}

#[test]
fn the_life_of_an_entry_is_told_in_one_line_each() {
    let mut catalog = Vec::new();
    let mut story = Vec::new();
    let mut tell = |what: &str, entries: &[Entry], catalog: &mut Vec<Database>| {
        story.push(format!("# {what}"));
        story.extend(sync(entries, catalog));
        let fields = ["schedule", "max_backups", "retention_days", "enabled"];
        story.extend(catalog.iter().map(|d| {
            let settings = d.settings.to_map();
            let shown: Vec<String> = fields.iter().map(|f| format!("{f}={}", settings[*f])).collect();
            format!("    {} {}", d.settings.name, shown.join(" "))
        }));
    };
    let shop = |extra| [entry("shop", extra)];
    tell("a new entry", &shop(json!({"schedule": "@daily", "max_backups": 3})), &mut catalog);
    tell("nothing new", &shop(json!({"schedule": "@daily", "max_backups": 3})), &mut catalog);
    edit(&mut catalog[0], json!({"max_backups": 9, "retention_days": 30}));
    tell(
        "the API edits, the file is the same",
        &shop(json!({"schedule": "@daily", "max_backups": 3})),
        &mut catalog,
    );
    tell(
        "the file changes another field",
        &shop(json!({"schedule": "@weekly", "max_backups": 3})),
        &mut catalog,
    );
    tell("both change one field", &shop(json!({"schedule": "@weekly", "max_backups": 5})), &mut catalog);
    tell("a field leaves the file", &shop(json!({"max_backups": 5})), &mut catalog);
    edit(&mut catalog[0], json!({"max_backups": 6}));
    tell("both make the same change", &shop(json!({"max_backups": 6})), &mut catalog);
    tell("the entry leaves", &[], &mut catalog);
    tell("it stays away", &[], &mut catalog);
    tell("it comes back", &shop(json!({"max_backups": 7})), &mut catalog);
    catalog[0].synced = None;
    tell("a rebuilt catalog", &shop(json!({"max_backups": 8})), &mut catalog);
    insta::assert_snapshot!(story.join("\n"));
}

#[test]
fn records_made_by_api_are_in_no_step() {
    let settings: Settings =
        serde_json::from_value(Value::Object(entry("shop", json!({})).settings)).expect("settings");
    let catalog = [record(1, None, settings, Credentials::None)];
    assert!(plan(&[], &catalog).steps.is_empty());
    let step = &plan(&[entry("shop", json!({}))], &catalog).steps[0];
    assert_eq!(step.action, Action::Create);
}

#[test]
fn credentials_merge_as_one_field() {
    let named = |user: &str| Entry {
        credentials: Credentials::Reference {
            username_var: Some(user.to_owned()),
            password_var: Some("PASSWORD".to_owned()),
        },
        ..entry("shop", json!({}))
    };
    let mut catalog = Vec::new();
    sync(&[named("USER")], &mut catalog);
    assert_eq!(catalog[0].credentials, named("USER").credentials);

    let by_api = Credentials::Reference { username_var: None, password_var: Some("OTHER".to_owned()) };
    catalog[0].credentials = by_api.clone();
    sync(
        &[Entry { settings: entry("shop", json!({"max_backups": 1})).settings, ..named("USER") }],
        &mut catalog,
    );
    assert_eq!(catalog[0].credentials, by_api, "the file did not change them");

    let lines = sync(&[named("ROOT")], &mut catalog);
    assert_eq!(catalog[0].credentials, named("ROOT").credentials);
    assert_eq!(
        lines,
        [
            "shop: changed in the file: credentials, max_backups; changed by API too, the file wins: credentials"
        ]
    );
    sync(&[entry("shop", json!({}))], &mut catalog);
    assert_eq!(catalog[0].credentials, Credentials::None, "they left the file");
}

#[test]
fn a_disabled_record_is_enabled_again_only_by_an_entry_that_came_back() {
    let mut catalog = Vec::new();
    sync(&[entry("shop", json!({}))], &mut catalog);
    edit(&mut catalog[0], json!({"enabled": false}));
    sync(&[entry("shop", json!({"max_backups": 2}))], &mut catalog);
    assert!(!catalog[0].settings.enabled, "the API disabled it and the file never spoke of it");

    sync(&[], &mut catalog);
    let back = plan(&[entry("shop", json!({"enabled": false}))], &catalog);
    assert!(matches!(back.steps[0].action, Action::Update { .. }), "{:?}", back.steps[0]);
    sync(&[entry("shop", json!({}))], &mut catalog);
    assert!(catalog[0].settings.enabled);
    edit(&mut catalog[0], json!({"enabled": false}));
    sync(&[entry("shop", json!({}))], &mut catalog);
    assert!(!catalog[0].settings.enabled);
}

#[test]
fn a_port_that_leaves_the_file_goes_back_to_the_engines_own() {
    let mut catalog = Vec::new();
    sync(&[entry("shop", json!({"port": 6543}))], &mut catalog);
    sync(&[entry("shop", json!({}))], &mut catalog);
    assert_eq!(catalog[0].settings.port, Some(5432));
}

#[test]
fn a_whole_file_is_created_in_its_order_and_then_unchanged() {
    for text in [
        include_str!("config/inherited.yaml"),
        include_str!("config/flat.yaml"),
        include_str!("config/whole.yaml"),
    ] {
        let entries = Config::parse(text).expect("it loads").databases;
        let mut catalog = Vec::new();
        let first = plan(&entries, &catalog);
        assert!(first.steps.iter().all(|step| step.action == Action::Create));
        apply(&first, &mut catalog);
        let names: Vec<_> = catalog.iter().map(|d| d.config_id.clone().expect("an id")).collect();
        assert_eq!(names, entries.iter().map(|entry| entry.config_id.clone()).collect::<Vec<_>>());
        assert_eq!(plan(&entries, &catalog).changes().count(), 0);
    }
}

type Choices = [fn() -> Value; 3];

const FIELDS: [(&str, Choices); 6] = [
    ("schedule", [|| json!("@daily"), || json!("@weekly"), || Value::Null]),
    ("retention_days", [|| json!(7), || json!(30), || Value::Null]),
    ("max_backups", [|| json!(1), || json!(2), || Value::Null]),
    ("compression", [|| json!("gzip"), || json!("zstd"), || json!("none")]),
    ("package", [|| json!(true), || json!(false), || json!(true)]),
    ("tls", [|| json!("require"), || json!("disable"), || Value::Null]),
];

fn some_fields() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec(prop::option::weighted(0.5, 0usize..3), FIELDS.len()).prop_map(|choices| {
        let chosen = FIELDS.iter().zip(choices);
        chosen.filter_map(|((name, values), n)| Some(((*name).to_owned(), values[n?]()))).collect()
    })
}

/// A file of up to four entries.
fn file() -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c", "d"]), (some_fields(), 0u8..3), 0..4)
        .prop_map(|entries: BTreeMap<_, _>| {
            let of = |(id, (fields, user)): (&str, (Map<String, Value>, u8))| Entry {
                credentials: match user {
                    0 => Credentials::None,
                    user => Credentials::Reference {
                        username_var: Some(format!("USER_{user}")),
                        password_var: None,
                    },
                },
                ..entry(id, Value::Object(fields))
            };
            entries.into_iter().map(of).collect()
        })
}

/// A catalog that lived through some files and some edits.
fn lived() -> impl Strategy<Value = Vec<Database>> {
    prop::collection::vec((file(), prop::option::of((any::<prop::sample::Index>(), some_fields()))), 0..4)
        .prop_map(|years| {
            let mut catalog = Vec::new();
            for (entries, edited) in years {
                sync(&entries, &mut catalog);
                if let (Some((which, patch)), false) = (edited, catalog.is_empty()) {
                    edit(which.get_mut(&mut catalog), Value::Object(patch));
                }
            }
            catalog
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn applying_twice_changes_nothing(mut catalog in lived(), entries in file()) {
        sync(&entries, &mut catalog);
        let before = catalog.clone();
        let again = plan(&entries, &catalog);
        prop_assert_eq!(again.changes().count(), 0);
        sync(&entries, &mut catalog);
        prop_assert_eq!(catalog, before);
    }

    #[test]
    fn an_edit_to_a_field_that_the_file_leaves_alone_survives(
        mut catalog in lived(), entries in file(), next in file(), patch in some_fields()
    ) {
        sync(&entries, &mut catalog);
        let mut edited = catalog.clone();
        for database in &mut edited {
            edit(database, Value::Object(patch.clone()));
        }
        let before = edited.clone();
        sync(&next, &mut edited);
        let of = |file: &[Entry], id: &str| file.iter().find(|e| e.config_id == id).map(|e| e.settings.clone());
        for (old, new) in before.iter().zip(&edited) {
            let id = old.config_id.as_deref().expect("an id");
            let (Some(then), Some(now)) = (of(&entries, id), of(&next, id)) else { continue };
            for field in patch.keys().filter(|field| then.get(*field) == now.get(*field)) {
                prop_assert_eq!(&old.settings.to_map()[field], &new.settings.to_map()[field]);
            }
        }
    }

    #[test]
    fn what_the_file_changes_is_applied_and_what_leaves_it_is_the_default(
        mut catalog in lived(), entries in file(), next in file()
    ) {
        sync(&entries, &mut catalog);
        let untouched = Settings::patched(&serde_json::from_value(Value::Object(entry("x", json!({})).settings))
            .expect("settings"), &Map::new()).expect("settings").to_map();
        sync(&next, &mut catalog);
        for now in &next {
            let database = catalog.iter().find(|d| d.config_id.as_deref() == Some(&now.config_id)).expect("a record");
            let settings = database.settings.to_map();
            let Some(then) = entries.iter().find(|e| e.config_id == now.config_id) else {
                prop_assert!(database.settings.enabled);
                for (field, value) in &now.settings {
                    prop_assert_eq!(&settings[field], value);
                }
                continue;
            };
            for (name, _) in FIELDS {
                let (then, now) = (then.settings.get(name), now.settings.get(name));
                if then != now {
                    prop_assert_eq!(&settings[name], now.unwrap_or(&untouched[name]));
                }
            }
        }
        for database in &catalog {
            let listed = next.iter().any(|e| Some(&e.config_id) == database.config_id.as_ref());
            prop_assert_eq!(listed, database.synced.is_some());
            prop_assert_eq!(listed, database.settings.enabled);
        }
    }

    #[test]
    fn the_order_of_entries_does_not_matter(catalog in lived(), entries in file()) {
        let mut reversed = entries.clone();
        reversed.reverse();
        let by_id = |plan: SyncPlan| {
            plan.steps.into_iter().map(|step| (step.config_id.clone(), step)).collect::<BTreeMap<_, _>>()
        };
        prop_assert_eq!(by_id(plan(&entries, &catalog)), by_id(plan(&reversed, &catalog)));
    }
}
