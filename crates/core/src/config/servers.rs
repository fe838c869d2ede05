//! The list `verify.servers`: where dumps are test-restored instead of on private servers.

use super::fields;
use super::place::{Known, Place};
use crate::Result;
use crate::databases;
use crate::engine;
use crate::model::EngineKind;
use crate::verify::TestServer;

const SERVER: Known =
    Known { fields: &["engine", "host", "port", "username_var", "password_var", "tls"], later: &[] };
const ENGINES: [(&str, EngineKind); 4] = [
    ("postgres", EngineKind::Postgres),
    ("mysql", EngineKind::Mysql),
    ("mariadb", EngineKind::Mariadb),
    ("mongodb", EngineKind::Mongodb),
];

/// Reads the list, which has one server at most for a kind of database.
pub(super) fn read(place: &Place<'_>) -> Result<Vec<TestServer>> {
    let mut servers: Vec<TestServer> = Vec::new();
    for item in place.list()? {
        let server = server(&item)?;
        if servers.iter().any(|other| other.engine == server.engine) {
            return Err(item.error(format!("there is a server for {} before it; one is used", server.engine)));
        }
        servers.push(server);
    }
    Ok(servers)
}

fn server(item: &Place<'_>) -> Result<TestServer> {
    let section = item.section(&SERVER)?;
    let word = section.required("engine")?.choice(&ENGINES.map(|(word, _)| word))?;
    let known = ENGINES.into_iter().find(|(known, _)| *known == word);
    let engine = known.map_or(EngineKind::Postgres, |(_, engine)| engine);
    let modes = engine::engine(engine).map(engine::Engine::tls_modes).unwrap_or_default();
    let host = section.required("host")?;
    let variable = |name| section.some(name).map(fields::variable).transpose();
    let server = TestServer {
        engine,
        host: host.text()?.to_owned(),
        port: match section.some("port") {
            Some(port) => u16::try_from(port.number(1, u32::from(u16::MAX))?).ok(),
            None => None,
        },
        username_var: variable("username_var")?,
        password_var: variable("password_var")?,
        tls: section.some("tls").map(|tls| tls.choice(modes)).transpose()?.map(str::to_owned),
    };
    let reached = server.reach(&server.nothing(), "scratch".to_owned());
    databases::well_formed(reached).map_err(|e| host.refused(&e))?;
    Ok(server)
}
