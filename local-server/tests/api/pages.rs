//! `/docs`, `/openapi.json`, `/healthz`, `/readyz`, `/metrics`

use crate::support::Host;
use axum::body::Body;
use respaldo_testkit::faults::FaultMode;

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

#[test]
fn functions_that_run_alone_answer_the_document_of_all() {
    let document =
        serde_json::to_string(&respaldo_api::document(respaldo_local_server::functions())).unwrap();
    let copy = include_str!("../../../crates/lambda-host/src/openapi.json");
    assert!(
        copy.trim_end() == document,
        "the routes have changed; write the copy anew: cargo run --package respaldo-local-server --example openapi \
         > crates/lambda-host/src/openapi.json"
    );
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

#[tokio::test]
async fn metrics_are_public_text_and_a_head_request_answers_without_it() {
    let host = Host::with_keys("a", "r", "d");
    host.test.register_sample().await;
    let page = host.get("/metrics").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = String::from_utf8(page.bytes.to_vec()).unwrap();
    assert!(text.contains("backup_total{database=\"sample\",database_id=\"1\""), "{text}");
    let head = host.send("HEAD", "/metrics", &[], Body::empty()).await;
    assert_eq!((head.status.as_u16(), head.bytes.len()), (200, 0));
    host.send("POST", "/metrics", &[], Body::empty()).await.assert_problem(405, None);
}

#[tokio::test]
async fn metrics_of_a_catalog_that_fails_are_a_503_that_tells_no_path() {
    let host = Host::open();
    host.test.faults.fail_at(1, FaultMode::CrashAfter);
    host.get("/readyz").await;
    let answer = host.get("/metrics").await;
    answer.assert_problem(503, None);
    let folder = host.test.folder().to_string_lossy().into_owned();
    assert!(!String::from_utf8_lossy(&answer.bytes).contains(&folder));
}

#[tokio::test]
async fn without_keys_metrics_answer_under_this_machine_s_names_only() {
    let host = Host::open();
    host.send("GET", "/metrics", &[("host", "evil.example")], Body::empty())
        .await
        .assert_problem(403, Some("Host"));
    assert_eq!(host.get("/metrics").await.status, 200);
}
