//! `/docs`, `/openapi.json`, `/healthz`, `/readyz`

use crate::support::Host;
use axum::body::Body;

#[tokio::test]
async fn the_documentation_needs_nothing_from_elsewhere() {
    let host = Host::with_keys("a", "r", "d");
    let page = host.get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    let html = String::from_utf8(page.bytes.to_vec()).unwrap();
    assert!(!html.contains("http://") && !html.contains("https://"), "{html}");
    assert!(!html.contains("<script>"), "no inline script, which the policy would refuse");
    for file in ["swagger-ui-bundle.js", "swagger-ui.css", "swagger-initializer.js"] {
        assert_eq!(host.get(&format!("/docs/{file}")).await.status, 200, "{file}");
    }
    host.get("/docs/nothing.js").await.assert_problem(404, None);
}

#[tokio::test]
async fn the_document_tells_keys_and_problems_of_every_operation() {
    let document = Host::open().get("/openapi.json").await.json();
    assert_eq!(document["paths"]["/databases"]["post"]["security"][0]["admin"], serde_json::json!([]));
    assert!(document["paths"]["/healthz"]["get"]["security"].is_null());
    let refusal = &document["paths"]["/backups/{id}"]["get"]["responses"]["default"];
    assert!(refusal["content"]["application/problem+json"].is_object(), "{refusal}");
    let schema = &document["components"]["schemas"]["ProblemBody"];
    assert!(schema["properties"]["retryable"].is_object(), "{schema}");
}

#[tokio::test]
async fn health_and_readiness_are_public() {
    let host = Host::with_keys("a", "r", "d");
    assert_eq!(host.get("/healthz").await.status, 200);
    assert_eq!(host.get("/readyz").await.status, 200);
    std::fs::remove_dir_all(host.test.backups()).unwrap();
    host.get("/readyz").await.assert_problem(503, None);
}

#[tokio::test]
async fn without_keys_a_foreign_name_leads_nowhere() {
    let host = Host::open();
    let foreign = [("origin", "http://evil.example")];
    host.send("POST", "/databases", &foreign, "{}").await.assert_problem(403, Some("Origin"));
    assert_eq!(host.send("GET", "/databases", &foreign, Body::empty()).await.status, 200);
}
