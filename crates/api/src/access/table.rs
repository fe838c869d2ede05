//! Every route and the scope that opens it.

use axum::http::Method;

use super::Scope;

/// One route.
#[derive(Debug)]
pub struct Rule {
    /// Its method; `GET` stands for `HEAD` too.
    pub method: Method,
    /// Its path, as a template.
    pub route: &'static str,
    /// The scope that opens it.
    pub scope: Scope,
    /// Another scope that opens it, too.
    pub also: Option<Scope>,
    /// Whether its bodies are files of any length.
    pub takes_files: bool,
    /// Whether it tells what the databases are called: without keys, then, it answers only under this
    /// machine's own names, though it is public.
    pub tells_names: bool,
    /// Whether `/openapi.json` tells of it. Pages for people are not told there.
    pub documented: bool,
}

const fn rule(method: Method, route: &'static str, scope: Scope) -> Rule {
    let tells_names = !matches!(scope, Scope::Public);
    Rule { method, route, scope, also: None, takes_files: false, tells_names, documented: true }
}

const fn upload(route: &'static str, scope: Scope, also: Scope) -> Rule {
    let (method, also) = (Method::POST, Some(also));
    Rule { method, route, scope, also, takes_files: true, tells_names: true, documented: true }
}

const fn public(route: &'static str, tells_names: bool, documented: bool) -> Rule {
    let (method, scope) = (Method::GET, Scope::Public);
    Rule { method, route, scope, also: None, takes_files: false, tells_names, documented }
}

const fn page(route: &'static str) -> Rule {
    public(route, false, false)
}

const fn public_with_names(route: &'static str) -> Rule {
    public(route, true, true)
}

/// The one table. A route that is not here is refused, and a test compares it with what is served.
pub const TABLE: &[Rule] = &[
    rule(Method::POST, "/databases", Scope::Admin),
    rule(Method::GET, "/databases", Scope::Admin),
    rule(Method::GET, "/databases/{id}", Scope::Admin),
    // Shortening a retention takes `Delete` besides; the use case tells when.
    rule(Method::PATCH, "/databases/{id}", Scope::Admin),
    rule(Method::DELETE, "/databases/{id}", Scope::Delete),
    rule(Method::POST, "/databases/{id}/test", Scope::Admin),
    rule(Method::POST, "/backups", Scope::Admin),
    rule(Method::GET, "/backups", Scope::Admin),
    rule(Method::GET, "/backups/stats", Scope::Admin),
    rule(Method::GET, "/backups/{id}", Scope::Admin),
    rule(Method::DELETE, "/backups/{id}", Scope::Delete),
    rule(Method::GET, "/backups/{id}/download", Scope::Admin),
    upload("/uploads", Scope::Admin, Scope::Restore),
    rule(Method::GET, "/jobs", Scope::Admin),
    rule(Method::GET, "/jobs/{id}", Scope::Admin),
    rule(Method::GET, "/jobs/{id}/log", Scope::Admin),
    rule(Method::GET, "/jobs/{id}/events", Scope::Admin),
    rule(Method::POST, "/jobs/{id}/cancel", Scope::Admin),
    rule(Method::GET, "/retention", Scope::Admin),
    rule(Method::POST, "/retention", Scope::Delete),
    rule(Method::GET, "/healthz", Scope::Public),
    rule(Method::GET, "/readyz", Scope::Public),
    public_with_names("/metrics"),
    page("/openapi.json"),
    page("/docs"),
    page("/docs/"),
    page("/docs/{*rest}"),
];
