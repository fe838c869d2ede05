//! Every route of the API reaches the function that serves it, and no other does.

use std::collections::{BTreeMap, BTreeSet};

use respaldo_api::access::TABLE;
use respaldo_api::system;
use serde_json::{Value, json};

use crate::template::{FUNCTIONS, Template, shown};

/// What the template's API calls its catch-all, which answers what no route knows.
const REST: &str = "/$default";
/// Pages that hosts serve beside the functions, all of them by the function that serves what is left over.
const PAGES: [&str; 4] = ["/openapi.json", "/docs", "/docs/", "/docs/{*rest}"];
const LEFT_OVER: &str = "Register";

/// The path as the API's gateway knows it; what it cannot know is left over.
fn at_the_gateway(route: &str) -> &str {
    match route {
        "/docs/{*rest}" => "/docs/{rest+}",
        "/docs/" => REST,
        other => other,
    }
}

/// Which function serves which route, by the code.
fn served() -> BTreeMap<String, String> {
    let mut served = BTreeMap::new();
    for function in respaldo_local_server::functions().iter().chain([&system::function()]) {
        let deployed = FUNCTIONS.iter().find(|name| name.to_lowercase() == function.name);
        let deployed = deployed.copied().unwrap_or(LEFT_OVER);
        for path in function.routes.get_openapi().paths.paths.keys() {
            let before = served.insert(path.clone(), deployed.to_owned());
            assert!(before.is_none_or(|before| before == deployed), "{path} has two functions");
        }
    }
    served.extend(PAGES.map(|page| (page.to_owned(), LEFT_OVER.to_owned())));
    served
}

/// Which function each route reaches, by the template.
fn mapped(template: &Template) -> BTreeMap<String, String> {
    let paths = template.properties("Api")["Body"]["paths"].as_object().unwrap();
    paths.iter().map(|(path, methods)| (path.clone(), reached(path, methods))).collect()
}

fn reached(path: &str, methods: &Value) -> String {
    let methods = methods.as_object().unwrap();
    let [(method, integration)] = methods.iter().collect::<Vec<_>>()[..] else {
        panic!("{path}: {methods:?}");
    };
    // A function refuses a wrong method itself, with 405, and answers HEAD where it answers GET.
    assert!(method == "x-amazon-apigateway-any-method" || path == REST, "{path}: {method}");
    let integration = &integration["x-amazon-apigateway-integration"];
    assert_eq!(integration["payloadFormatVersion"], "2.0", "{path}");
    let uri = integration["uri"]["Fn::Sub"].as_str().unwrap();
    let function = uri.split_once("/functions/${").unwrap().1;
    function.split_once(".Arn}").unwrap().0.to_owned()
}

/// Which paths the API may hand to which function, each as a pattern that begins with any method.
fn permitted(template: &Template) -> Vec<(String, String)> {
    let gateway = template.of("Lambda::Permission").into_iter().map(|(_, one)| one);
    let gateway = gateway.filter(|one| one["Principal"] == "apigateway.amazonaws.com");
    let pattern = |one: &Value| {
        one["SourceArn"]["Fn::Sub"][0].as_str().unwrap().split_once("${__Stage__}/").unwrap().1.to_owned()
    };
    gateway.map(|one| (shown(&one["FunctionName"]), pattern(one))).collect()
}

/// The path with whatever stands in its variables.
fn pattern(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "*" } else { part });
    format!("*{}", parts.collect::<Vec<_>>().join("/"))
}

/// What is wrong with the routes.
fn faults(template: &Template) -> Vec<String> {
    let (served, mapped) = (served(), mapped(template));
    let wanted: BTreeSet<&str> = TABLE.iter().map(|rule| rule.route).collect();
    let mut faults = Vec::new();
    for route in &wanted {
        let owner = served.get(*route).unwrap_or_else(|| panic!("nobody serves {route}"));
        match mapped.get(at_the_gateway(route)) {
            Some(found) if found == owner => {}
            found => faults.push(format!("{route} reaches {found:?}, and {owner} serves it")),
        }
    }
    let known: BTreeSet<&str> = wanted.iter().map(|route| at_the_gateway(route)).chain([REST]).collect();
    faults.extend(
        mapped.keys().filter(|path| !known.contains(path.as_str())).map(|path| format!("{path} is no route")),
    );
    let permitted = permitted(template);
    let may = |function: &String, path: &str| {
        permitted.iter().any(|(whom, what)| whom == function && (*what == "*" || *what == pattern(path)))
    };
    let refused =
        mapped.iter().filter(|(path, function)| known.contains(path.as_str()) && !may(function, path));
    faults.extend(refused.map(|(path, function)| format!("the API may not hand {path} to {function}")));
    faults
}

#[test]
fn every_route_of_the_api_reaches_the_function_that_serves_it_and_there_are_no_others() {
    let template = Template::ours();
    assert_eq!(faults(&template), [""; 0]);
    assert!(mapped(&template).len() > 20, "the routes are not found");
}

#[test]
fn a_route_that_is_missing_strange_or_reaches_another_function_is_found() {
    const PATHS: &str = "/Resources/Api/Properties/Body/paths";
    let ours = Template::ours();
    let missing = ours.clone().without(PATHS, "/backups/{id}/verify");
    assert_eq!(faults(&missing), ["/backups/{id}/verify reaches None, and Verify serves it"]);
    let other = format!("{PATHS}/~1backups~1{{id}}~1restore");
    let elsewhere = ours.0.pointer(&format!("{PATHS}/~1backups")).unwrap().clone();
    let crossed = ours.clone().with(&other, elsewhere.clone());
    assert_eq!(
        faults(&crossed),
        [
            r#"/backups/{id}/restore reaches Some("Dump"), and Restore serves it"#,
            "the API may not hand /backups/{id}/restore to Dump",
        ]
    );
    let closed = ours.clone().without("/Resources", "DumpStatsPermission");
    assert_eq!(faults(&closed), ["the API may not hand /backups/stats to Dump"]);
    let mut strange = ours;
    strange.0.pointer_mut(PATHS).unwrap()["/events"] = elsewhere;
    assert_eq!(faults(&strange), ["/events is no route"]);
}

#[test]
fn the_gateway_limits_requests_and_logs_neither_paths_nor_queries() {
    let template = Template::ours();
    let stages = template.of("ApiGatewayV2::Stage");
    let [(_, stage)] = stages[..] else { panic!("{} stages", stages.len()) };
    assert!(template.default_of("ApiRequestsPerSecond").as_u64().is_some_and(|rate| rate < 1000));
    assert_eq!(stage["DefaultRouteSettings"]["ThrottlingRateLimit"], json!({"Ref": "ApiRequestsPerSecond"}));
    assert_eq!(stage["DefaultRouteSettings"]["ThrottlingBurstLimit"], json!({"Ref": "ApiBurst"}));
    let format = stage["AccessLogSettings"]["Format"].as_str().unwrap();
    let line: Value = serde_json::from_str(format).expect("a line of JSON");
    assert_eq!(line["route"], "$context.routeKey");
    assert!(!format.contains("$context.path") && !format.contains("authorizer"), "{format}");
}
