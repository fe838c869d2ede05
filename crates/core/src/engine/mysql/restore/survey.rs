//! What a restore would meet.

use super::account;
use super::session::Session;
use super::state::State;
use crate::engine::mysql::names;
use crate::engine::mysql::tools::{self, Family};
use crate::engine::mysql::{grants, server_of};
use crate::engine::{Present, Refusal, Survey, Target};
use crate::model::RestoreMode;

/// Without these no table can be restored.
const NEEDED: [&str; 8] =
    ["SELECT", "INSERT", "CREATE", "DROP", "ALTER", "INDEX", "LOCK TABLES", "REFERENCES"];
/// Without these some kinds of objects cannot.
const FOR_SOME: [&str; 5] = ["CREATE VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EVENT", "TRIGGER"];
/// Any of these lets a user make objects that run as others.
const DEFINERS: [&str; 4] = ["SUPER", "SET USER", "SET_USER_ID", "SET_ANY_DEFINER"];

/// What there is, what can be done with it, and what stands in the way.
pub(super) fn survey(session: &Session<'_>) -> Survey {
    let (target, state) = (session.target, &session.state);
    let schema = state.schema(target.database_name());
    let mut survey = Survey {
        server_version: state.version.clone(),
        present: Present {
            target: schema.is_some(),
            aside: state.schema(&target.aside).is_some(),
            kept: state.schema(&target.kept).is_some(),
        },
        size_bytes: schema.map(super::state::Schema::bytes),
        connections: state.connections.iter().map(|(_, line)| line.clone()).collect(),
        in_place_is_atomic: false,
        ..Survey::default()
    };
    modes(&mut survey, state, target);
    survey.refusals.extend(account::refusal(state, target));
    if let Err(error) = session.loader() {
        survey.refusals.push(refusal(error.message(), error.mend().unwrap_or_default(), false));
    }
    if !target.options.tables.is_empty() {
        let reason = "single tables cannot be restored from a dump of MySQL or MariaDB";
        survey.refusals.push(refusal(reason, "leave tables out", false));
    }
    compare_servers(&mut survey, state, target);
    privileges(&mut survey, state, target);
    survey
}

fn refusal(reason: &str, mend: &str, forceable: bool) -> Refusal {
    Refusal { reason: reason.to_owned(), mend: mend.to_owned(), forceable }
}

fn modes(survey: &mut Survey, state: &State, target: &Target) {
    let against = against_swap(state, target);
    let wanted = target.options.mode == RestoreMode::Swap;
    if against.is_empty() {
        survey.modes.push(RestoreMode::InPlace);
        survey.modes.push(RestoreMode::Swap);
        if wanted {
            survey.warnings.push(
                "a dump that holds views, triggers, routines or events cannot be swapped in: that shows after it was \
                 loaded aside, and then nothing is changed"
                    .to_owned(),
            );
        }
    } else {
        survey.modes.push(RestoreMode::InPlace);
        if wanted {
            let reason = format!("a swap is not possible: {}", against.join("; "));
            survey.refusals.push(refusal(&reason, "restore with mode in_place", false));
        }
    }
    if wanted && !rename_is_atomic(state, target) {
        survey.warnings.push(
            "this server may stop in the middle of renaming tables if it crashes just then; the swap is then \
             finished by its next try"
                .to_owned(),
        );
    }
}

fn against_swap(state: &State, target: &Target) -> Vec<String> {
    let mut against = Vec::new();
    let bound = state.schema(target.database_name()).map(super::state::Schema::bound).unwrap_or_default();
    if !bound.is_empty() {
        against.push(format!(
            "the target holds {}, which cannot be moved to another database",
            bound.join(", ")
        ));
    }
    if !state.inbound.is_empty() {
        against.push(format!(
            "foreign keys of other databases refer to the target and would follow the old tables: {}",
            names(&state.inbound)
        ));
    }
    let lacks = |name: &&&str| NEEDED.iter().any(|privilege| !grants::holds(&state.grants, name, privilege));
    let others = [target.aside.as_str(), target.kept.as_str()];
    let lacking: Vec<&str> = others.iter().filter(lacks).copied().collect();
    if !lacking.is_empty() && !grants::has_roles(&state.grants) {
        against.push(format!("the user may not make the databases {}", lacking.join(" and ")));
    }
    against
}

/// MySQL since 8.0 and MariaDB since 10.6 finish or undo the whole statement after a crash, the former for
/// `InnoDB` only.
fn rename_is_atomic(state: &State, target: &Target) -> bool {
    let transactional = || {
        let tables = state.schema(target.database_name()).into_iter().flat_map(super::state::Schema::movable);
        tables.into_iter().all(|table| table.engine.eq_ignore_ascii_case("InnoDB"))
    };
    match state.family {
        Family::Mysql => state.series >= (8, 0) && transactional(),
        Family::Mariadb => state.series >= (10, 6),
    }
}

fn compare_servers(survey: &mut Survey, state: &State, target: &Target) {
    let (family, version) = server_of(&target.dump);
    let server = format!("{} {}", state.family.name(), state.version);
    if family != state.family {
        let reason = format!(
            "the dump comes from {} and the server is {server}: they differ in types, collations and syntax",
            family.name()
        );
        let mend = format!("restore into {}, or with force", family.name());
        survey.warnings.push(reason.clone());
        survey.refusals.push(refusal(&reason, &mend, true));
        return;
    }
    let Some(version) = version else { return };
    if tools::series(version).is_some_and(|series| series > state.series) {
        let reason = format!("the dump comes from {} {version}, which is newer than {server}", family.name());
        survey.refusals.push(refusal(&reason, "restore into a server of that series, or with force", true));
    }
}

fn privileges(survey: &mut Survey, state: &State, target: &Target) {
    let name = target.database_name();
    let lacks = |privilege: &&&str| !grants::holds(&state.grants, name, privilege);
    let needed: Vec<&str> = NEEDED.iter().filter(lacks).copied().collect();
    if !needed.is_empty() {
        let reason = format!("the user lacks {} on {name}", needed.join(", "));
        if grants::has_roles(&state.grants) {
            survey.warnings.push(format!("{reason}, unless a role gives it"));
        } else {
            survey.refusals.push(refusal(&reason, "GRANT ALL ON the target TO the user", false));
        }
    }
    let some: Vec<&str> = FOR_SOME.iter().filter(lacks).copied().collect();
    if !some.is_empty() {
        survey.warnings.push(format!(
            "the user lacks {} on {name}: a dump with such objects cannot be loaded",
            some.join(", ")
        ));
    }
    let keeps = target.options.ownership == crate::model::Ownership::Keep && target.dump.trusted;
    if keeps && !grants::holds_everywhere(&state.grants, &DEFINERS) && !grants::has_roles(&state.grants) {
        survey.warnings.push(
            "the user may not make objects that run as another account (SET USER, SET_ANY_DEFINER or SUPER): a dump \
             with such objects is loaded with ownership none only"
                .to_owned(),
        );
    }
}
