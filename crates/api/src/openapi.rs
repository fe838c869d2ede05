//! `/openapi.json` and `/docs`: the document, made from the routes and the access table.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use respaldo_core::App;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Components, Content, InfoBuilder, License, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder,
};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_axum::router::OpenApiRouter;

use crate::access::{Rule, Scope, TABLE};
use crate::{Function, Problem, ProblemBody, system};

/// The page runs its own scripts, talks to this server and to nobody else.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// The document of these functions and the health checks.
pub fn document(functions: Vec<Function>) -> OpenApi {
    join(functions).1
}

pub(crate) fn join(functions: Vec<Function>) -> (Router<App>, OpenApi) {
    let functions = functions.into_iter().chain([system::function()]);
    let joined = functions.fold(OpenApiRouter::with_openapi(head()), |all, one| all.merge(one.routes));
    let (routes, mut document) = joined.split_for_parts();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations_mut(item) {
            finish(operation, rule_of(&method, path));
        }
    }
    (routes, document)
}

fn head() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Respaldo")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Backs up databases and proves that the backups restore."))
        .license(Some(License::new("Apache-2.0")))
        .build();
    let mut components = Components::new();
    let header = |name: &str| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(name)));
    for scope in [Scope::Admin, Scope::Restore, Scope::Delete] {
        components.add_security_scheme(scope.as_str(), header(header_name(scope)));
    }
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.schemas.insert(ProblemBody::name().into_owned(), ProblemBody::schema());
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

fn header_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Restore => "X-Restore-Key",
        Scope::Delete => "X-Delete-Key",
        Scope::Admin | Scope::Public => "X-Admin-Key",
    }
}

fn rule_of(method: &Method, route: &str) -> Option<&'static Rule> {
    TABLE.iter().find(|rule| rule.method == *method && rule.route == route)
}

/// Tells the key that opens an operation, and how it refuses.
fn finish(operation: &mut Operation, rule: Option<&Rule>) {
    let requirement = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
    let closed = rule.filter(|rule| rule.scope != Scope::Public);
    operation.security = closed.map(|rule| {
        let keys = rule.scopes().map(|scope| requirement(scope.as_str()));
        keys.chain([requirement("bearer")]).collect()
    });
    let content = Content::new(Some(RefOr::Ref(Ref::from_schema_name(ProblemBody::name()))));
    let refusal = ResponseBuilder::new()
        .description("A problem (RFC 9457): what was wrong and what to do.")
        .content("application/problem+json", content)
        .build();
    operation.responses.responses.insert("default".to_owned(), RefOr::T(refusal));
}

fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
}

/// The text of `/openapi.json`.
pub(crate) fn text(document: &OpenApi) -> Bytes {
    // Only maps whose keys are no text could fail, and it has none.
    serde_json::to_vec(document).map_or_else(|_| Bytes::new(), Bytes::from)
}

/// The document and the page that shows it.
pub(crate) fn pages(document: Bytes) -> Router<App> {
    let json = [(CONTENT_TYPE, "application/json")];
    Router::new()
        .route("/openapi.json", get(move || async move { (json, document) }))
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route("/docs/", get(|| async { page("") }))
        .route("/docs/{*rest}", get(|Path(rest): Path<String>| async move { page(&rest) }))
}

fn page(file: &str) -> Response {
    let config = utoipa_swagger_ui::Config::new(["/openapi.json"]).try_it_out_enabled(true);
    match utoipa_swagger_ui::serve(file, Arc::new(config)) {
        Ok(Some(file)) => {
            let headers =
                [(CONTENT_TYPE, file.content_type.as_str()), (CONTENT_SECURITY_POLICY, PAGE_POLICY)];
            (StatusCode::OK, headers, file.bytes.into_owned()).into_response()
        }
        Ok(None) => Problem::no_route().into_response(),
        Err(error) => {
            tracing::error!(%error, "the documentation's page cannot be served");
            Problem::internal().into_response()
        }
    }
}

/// What is wrong between the document of these functions and the access table, one line each; empty
/// when every route has its entry and every entry its route.
pub fn disagreements(functions: Vec<Function>) -> Vec<String> {
    let mut document = document(functions);
    let mut served = Vec::new();
    for (path, item) in &mut document.paths.paths {
        served.extend(operations_mut(item).map(|(method, _)| (method, path.clone())));
    }
    let listed =
        |method: &Method, path: &str| TABLE.iter().any(|rule| rule.method == *method && rule.route == path);
    let missing = served.iter().filter(|(method, path)| !listed(method, path));
    let missing = missing.map(|(method, path)| format!("{method} {path} is served and not in the table"));
    let documented = TABLE.iter().filter(|rule| rule.documented);
    let stray = documented
        .filter(|rule| !served.iter().any(|(method, path)| rule.method == *method && rule.route == path))
        .map(|rule| format!("{} {} is in the table and not served", rule.method, rule.route));
    missing.chain(stray).collect()
}
