//! What a restore would meet.

use super::prefix;
use crate::Result;
use crate::engine::mongodb::connect::Session;
use crate::engine::mongodb::server::{self, Listed};
use crate::engine::{Present, Refusal, Survey, Target};
use crate::model::RestoreMode;

/// What there is, what can be done with it, and what stands in the way.
pub(super) async fn survey(session: &Session<'_>, target: &Target) -> Result<Survey> {
    let server = server::ask(session).await?;
    let listed = server::list(session).await?;
    let mine = prefix(target);
    let own = |listed: &&Listed| !server::is_systems(&listed.name) && !server::is_restores(&listed.name);
    let present = Present {
        target: listed.iter().filter(own).count() > 0,
        aside: listed.iter().any(|listed| listed.name.starts_with(&mine)),
        kept: false,
    };
    let mut survey = Survey {
        present,
        size_bytes: server::size_bytes(session).await?,
        in_place_is_atomic: false,
        swap_step: Some("exchange each collection in one step of its own, then make the views anew"),
        ..Survey::default()
    };
    if server.is_router || target.database_name() == "admin" {
        survey.modes = vec![RestoreMode::InPlace];
    } else if present.target {
        survey.modes = vec![RestoreMode::Swap, RestoreMode::InPlace];
    } else {
        // There is nothing to spare, and time series go in too.
        survey.modes = vec![RestoreMode::InPlace, RestoreMode::Swap];
    }
    warn(&mut survey, target, &server);
    if let Some(refusal) = newer(target, &server) {
        survey.refusals.push(refusal);
    }
    survey.server_version = server.version;
    Ok(survey)
}

fn warn(survey: &mut Survey, target: &Target, server: &server::Server) {
    let mut warn = |text: &str| survey.warnings.push(text.to_owned());
    if target.options.mode == RestoreMode::Swap {
        warn(
            "each collection is exchanged by itself: whoever reads several meanwhile may meet old and new ones together",
        );
        warn("a dump with time series cannot be swapped in: that shows before anything is changed");
    }
    if server.is_router {
        warn("this is a sharded cluster: restored collections are not sharded; shard them before, or after");
    }
}

fn newer(target: &Target, server: &server::Server) -> Option<Refusal> {
    let version = target.dump.server_version.as_deref()?;
    let (major, minor, _) = server::numbers(version)?;
    if (major, minor) <= (server.numbers.0, server.numbers.1) {
        return None;
    }
    let reason = format!("the dump comes from MongoDB {version}, which is newer than {}", server.version);
    let mend = "restore into a server of that version, or with force".to_owned();
    Some(Refusal { reason, mend, forceable: true })
}
