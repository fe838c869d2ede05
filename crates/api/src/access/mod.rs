//! Who may do what: keys, scopes, and the one table of routes.
//!
//! A request is matched against [`TABLE`] before any handler sees it. A route that is not in the
//! table is refused, so a forgotten entry closes a door and never opens one.

mod keys;
mod origin;
mod table;

use axum::http::header::{ALLOW, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};

pub use self::keys::{Granted, Keys};
pub use self::origin::Hosts;
pub use self::table::{Rule, TABLE};
use crate::Problem;

/// What a caller may do. None includes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Nothing need be shown.
    Public,
    /// Create, read, change.
    Admin,
    /// Restore.
    Restore,
    /// Delete, and shorten retention.
    Delete,
}

impl Scope {
    /// Its name, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Admin => "admin",
            Self::Restore => "restore",
            Self::Delete => "delete",
        }
    }
}

/// How a server tells its callers apart.
#[derive(Debug, Clone)]
pub enum Guard {
    /// By keys.
    Keys(Keys),
    /// Not at all: whoever reaches it may do everything, and only these hosts' names lead to it.
    Open(Hosts),
}

/// Decides about one request before its handler runs; `route` is the template that matched.
pub(crate) fn decide(
    guard: &Guard,
    method: &Method,
    route: &str,
    headers: &HeaderMap,
) -> Result<Granted, Problem> {
    let rule = find(method, route)?;
    match guard {
        Guard::Open(_) if rule.scope == Scope::Public && !rule.tells_names => Ok(Granted::everything()),
        Guard::Open(hosts) => hosts.check(method, headers).map(|()| Granted::everything()),
        Guard::Keys(keys) => {
            let shown = keys.shown(headers);
            match rule.scope {
                Scope::Public => Ok(shown.granted),
                _ if rule.scopes().any(|scope| shown.granted.has(scope)) => Ok(shown.granted),
                scope if shown.known => Err(forbidden(scope)),
                scope => Err(unauthorized(scope)),
            }
        }
    }
}

/// Whether a request to this route brings a file, of any length.
pub(crate) fn takes_files(method: &Method, route: &str) -> bool {
    TABLE.iter().any(|rule| rule.takes_files && rule.method == *method && rule.route == route)
}

fn find(method: &Method, route: &str) -> Result<&'static Rule, Problem> {
    let wanted = if method == Method::HEAD { &Method::GET } else { method };
    let of_route = || TABLE.iter().filter(|rule| rule.route == route);
    if let Some(rule) = of_route().find(|rule| rule.method == *wanted) {
        return Ok(rule);
    }
    let mut allowed: Vec<&str> = of_route().map(|rule| rule.method.as_str()).collect();
    if allowed.is_empty() {
        tracing::error!(route, "a route without an entry in the access table was refused");
        return Err(Problem::internal());
    }
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    let allowed = allowed.join(", ");
    let title = "The method is not allowed";
    let detail = format!("this path takes {allowed}");
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", title, detail);
    Err(match HeaderValue::try_from(allowed) {
        Ok(allowed) => problem.with_header(ALLOW, allowed),
        Err(_) => problem,
    })
}

fn header_of(scope: Scope) -> &'static str {
    match scope {
        Scope::Restore => "X-Restore-Key",
        Scope::Delete => "X-Delete-Key",
        Scope::Admin | Scope::Public => "X-Admin-Key",
    }
}

fn unauthorized(scope: Scope) -> Problem {
    let detail = format!("this takes the {} key, and no valid key was shown", scope.as_str());
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "A key is needed", detail)
        .with_mend(format!("send the {} header, or Authorization: Bearer", header_of(scope)))
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"respaldo\""))
}

/// The refusal of a caller whose keys open other scopes.
pub fn forbidden(scope: Scope) -> Problem {
    let detail =
        format!("this takes the {} key, and the key that was shown is for another scope", scope.as_str());
    Problem::new(StatusCode::FORBIDDEN, "forbidden", "The key is for another scope", detail)
        .with_mend(format!("send the {} header", header_of(scope)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide_with(
        guard: &Guard,
        method: &str,
        route: &str,
        shown: &[(&'static str, &str)],
    ) -> Result<Granted, u16> {
        let headers = shown.iter().map(|(name, value)| {
            (axum::http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        decide(guard, &method.parse().unwrap(), route, &headers.collect())
            .map_err(|problem| problem.status().as_u16())
    }

    fn three_keys() -> Guard {
        Guard::Keys(Keys::new(Some("a"), Some("r"), Some("d")).unwrap())
    }

    #[test]
    fn each_of_three_keys_opens_its_own_scope_only() {
        let guard = three_keys();
        let ask =
            |method, route, key| decide_with(&guard, method, route, &[("x-admin-key", key)]).map(|_| ());
        assert_eq!(ask("GET", "/databases", "a"), Ok(()));
        assert_eq!(ask("GET", "/databases", "d"), Err(403));
        assert_eq!(ask("GET", "/databases", "r"), Err(403));
        assert_eq!(ask("POST", "/backups/{id}/restore", "r"), Ok(()));
        assert_eq!(ask("POST", "/backups/{id}/restore", "a"), Err(403));
        assert_eq!(ask("DELETE", "/databases/{id}", "a"), Err(403));
        assert_eq!(ask("DELETE", "/databases/{id}", "d"), Ok(()));
        assert_eq!(ask("DELETE", "/databases/{id}", "wrong"), Err(401));
    }

    #[test]
    fn who_may_restore_may_follow_a_job_and_neither_list_nor_stop_any() {
        let guard = three_keys();
        let ask =
            |method, route, key| decide_with(&guard, method, route, &[("x-admin-key", key)]).map(|_| ());
        for route in ["/jobs/{id}", "/jobs/{id}/log", "/jobs/{id}/events"] {
            assert_eq!((ask("GET", route, "r"), ask("GET", route, "a")), (Ok(()), Ok(())), "{route}");
            assert_eq!(ask("GET", route, "d"), Err(403), "{route}");
        }
        assert_eq!(ask("GET", "/jobs", "r"), Err(403));
        assert_eq!(ask("POST", "/jobs/{id}/cancel", "r"), Err(403));
    }

    #[test]
    fn an_upload_is_opened_by_the_admin_and_by_the_restore_key() {
        let guard = three_keys();
        let ask = |key| decide_with(&guard, "POST", "/uploads", &[("x-admin-key", key)]).map(|_| ());
        assert_eq!(ask("a"), Ok(()));
        assert_eq!(ask("r"), Ok(()));
        assert_eq!(ask("d"), Err(403));
        assert_eq!(ask("wrong"), Err(401));
    }

    #[test]
    fn a_key_is_taken_from_any_of_the_headers() {
        let guard = three_keys();
        for header in [("x-delete-key", "d"), ("authorization", "Bearer d"), ("authorization", "bearer  d")] {
            assert!(decide_with(&guard, "DELETE", "/backups/{id}", &[header]).is_ok(), "{header:?}");
        }
        assert_eq!(
            decide_with(&guard, "DELETE", "/backups/{id}", &[("authorization", "Basic d")]).unwrap_err(),
            401
        );
        assert_eq!(decide_with(&guard, "DELETE", "/backups/{id}", &[]).unwrap_err(), 401);
    }

    #[test]
    fn one_key_is_a_whole_set_up() {
        let guard = Guard::Keys(Keys::new(Some("a"), None, None).unwrap());
        for (method, route) in [("GET", "/databases"), ("DELETE", "/backups/{id}"), ("HEAD", "/backups")] {
            assert!(decide_with(&guard, method, route, &[("x-admin-key", "a")]).is_ok(), "{method} {route}");
        }
    }

    #[test]
    fn public_routes_need_no_key() {
        for route in ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"] {
            assert!(decide_with(&three_keys(), "GET", route, &[]).is_ok(), "{route}");
        }
    }

    #[test]
    fn a_method_that_a_route_does_not_take_is_405_and_names_those_it_takes() {
        let problem = find(&Method::PUT, "/databases").unwrap_err();
        assert_eq!(problem.status(), 405);
        assert_eq!(problem.body().detail, "this path takes POST, GET, HEAD");
    }

    #[test]
    fn a_route_that_is_not_in_the_table_is_refused() {
        assert_eq!(
            decide_with(&three_keys(), "GET", "/forgotten", &[("x-admin-key", "a")]).unwrap_err(),
            500
        );
    }

    #[test]
    fn without_keys_only_loopback_names_lead_in_and_foreign_pages_change_nothing() {
        let guard = Guard::Open(Hosts::Loopback);
        let ask = |method, headers: &[(&'static str, &str)]| {
            decide_with(&guard, method, "/databases", headers).map(|_| ())
        };
        for host in ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "[::1]"] {
            assert_eq!(ask("POST", &[("host", host)]), Ok(()), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8000", "", "192.168.1.2"]
        {
            assert_eq!(ask("GET", &[("host", host)]), Err(403), "{host}");
        }
        let from = |origin| [("host", "localhost:8000"), ("origin", origin)];
        assert_eq!(ask("POST", &from("http://localhost:8000")), Ok(()));
        for origin in ["http://evil.example", "null", "http://localhost:3000", "https://localhost:8000.evil"]
        {
            assert_eq!(ask("POST", &from(origin)), Err(403), "{origin}");
            assert_eq!(ask("GET", &from(origin)), Ok(()), "{origin}");
        }
        assert_eq!(ask("GET", &[]), Err(403), "no host at all");
        // What is public and tells names is not for pages of other sites either.
        let metrics = |host| decide_with(&guard, "GET", "/metrics", &[("host", host)]).map(|_| ());
        assert_eq!(metrics("localhost:8000"), Ok(()));
        assert_eq!(metrics("evil.example"), Err(403));
        assert!(decide_with(&guard, "GET", "/healthz", &[("host", "evil.example")]).is_ok());
    }
}
