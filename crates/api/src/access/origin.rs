//! What protects a server without keys from pages in its user's browser.
//!
//! A page of another site can make a browser send requests to this machine, and by DNS rebinding even
//! read the answers, as if from its own site. Both are told by headers that a page cannot forge: the
//! name in `Host`, and `Origin`.

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode};

use crate::Problem;

/// Names in `Host` under which a server without keys may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    /// Names of this machine only.
    Loopback,
    /// Also addresses, and names without a dot: neither can be made to point here by a page's owner.
    Local,
}

impl Hosts {
    pub(super) fn check(self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if !self.has(host) {
            let detail = "without keys this server answers only under this machine's own names";
            return Err(refused(detail)
                .with_field("Host")
                .with_mend("ask for http://localhost, or set ADMIN_API_KEY on the server"));
        }
        let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        match headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or_default()) {
            Some(origin) if changes && !is_same(origin, host) => {
                Err(refused("without keys this server takes no changes from other sites' pages")
                    .with_field("Origin")
                    .with_mend("set ADMIN_API_KEY on the server"))
            }
            _ => Ok(()),
        }
    }

    fn has(self, host: &str) -> bool {
        let Some(name) = name_of(host) else { return false };
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        let loopback =
            name.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback());
        match self {
            Self::Loopback => loopback,
            Self::Local => loopback || address.is_some() || (!name.is_empty() && !name.contains(['.', '['])),
        }
    }
}

/// The name in `name`, `name:port` or `[address]:port`.
fn name_of(host: &str) -> Option<&str> {
    let port_at = match host.find(']') {
        Some(end) => end + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(port_at);
    match port.strip_prefix(':') {
        None => port.is_empty().then_some(name),
        Some(port) => port.bytes().all(|byte| byte.is_ascii_digit()).then_some(name),
    }
}

fn is_same(origin: &str, host: &str) -> bool {
    origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host))
}

fn refused(detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden_origin", "The request came in the wrong way", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_container_addresses_and_short_names_lead_in_and_public_names_do_not() {
        for host in ["backend:8000", "10.0.0.3", "[fe80::1]:8000", "localhost:8000"] {
            assert!(Hosts::Local.has(host), "{host}");
        }
        for host in ["evil.example:8000", "", ":8000", "a.b", "backend:80x", "10.0.0.3.nip.io"] {
            assert!(!Hosts::Local.has(host), "{host}");
        }
    }
}
