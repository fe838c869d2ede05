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
    /// A scope that opens it as well.
    pub or: Option<Scope>,
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
    Rule { method, route, scope, or: None, takes_files: false, tells_names, documented: true }
}

const fn either(method: Method, route: &'static str, scope: Scope, or: Scope) -> Rule {
    Rule { method, route, scope, or: Some(or), takes_files: false, tells_names: true, documented: true }
}

const fn upload(route: &'static str, scope: Scope, or: Scope) -> Rule {
    let (method, or) = (Method::POST, Some(or));
    Rule { method, route, scope, or, takes_files: true, tells_names: true, documented: true }
}

const fn public(route: &'static str, tells_names: bool, documented: bool) -> Rule {
    let (method, scope) = (Method::GET, Scope::Public);
    Rule { method, route, scope, or: None, takes_files: false, tells_names, documented }
}

const fn page(route: &'static str) -> Rule {
    public(route, false, false)
}

const fn public_with_names(route: &'static str) -> Rule {
    public(route, true, true)
}

impl Rule {
    /// The scopes that open it, any one of them.
    pub fn scopes(&self) -> impl Iterator<Item = Scope> {
        std::iter::once(self.scope).chain(self.or)
    }
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
    rule(Method::POST, "/backups/{id}/restore", Scope::Restore),
    rule(Method::POST, "/backups/{id}/verify", Scope::Admin),
    upload("/uploads", Scope::Admin, Scope::Restore),
    either(Method::POST, "/uploads/{id}/complete", Scope::Admin, Scope::Restore),
    rule(Method::POST, "/packages", Scope::Admin),
    rule(Method::GET, "/packages", Scope::Admin),
    rule(Method::GET, "/packages/{id}", Scope::Admin),
    rule(Method::DELETE, "/packages/{id}", Scope::Delete),
    rule(Method::GET, "/packages/{id}/download", Scope::Admin),
    rule(Method::GET, "/jobs", Scope::Admin),
    // Who may restore may follow the restore, whose id the answer has told.
    either(Method::GET, "/jobs/{id}", Scope::Admin, Scope::Restore),
    either(Method::GET, "/jobs/{id}/log", Scope::Admin, Scope::Restore),
    either(Method::GET, "/jobs/{id}/events", Scope::Admin, Scope::Restore),
    rule(Method::POST, "/jobs/{id}/cancel", Scope::Admin),
    rule(Method::POST, "/jobs/{id}/undo", Scope::Restore),
    rule(Method::POST, "/jobs/{id}/confirm", Scope::Restore),
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
