//! Which function owns which path: read out of the template that deploys them.

use std::path::Path;

/// A path of the HTTP API, as a template, and the function that it reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) path: String,
    pub(super) function: String,
}

/// Reads the routes of `infra/template.yaml`: below a resource of the first level, the events of type
/// `HttpApi`, each on one line.
pub(super) fn of_template() -> Vec<Route> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/template.yaml");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let routes = read(&text);
    assert!(routes.len() >= 20, "the routes of {} are not found: {routes:?}", file.display());
    routes
}

fn read(text: &str) -> Vec<Route> {
    let mut function = "";
    let mut routes = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("  ").and_then(|rest| rest.strip_suffix(':'))
            && name.starts_with(|first: char| first.is_ascii_uppercase())
        {
            function = name;
        }
        let path = line.split_once("Path: \"").and_then(|(_, rest)| rest.split('"').next());
        if let Some(path) = path.filter(|_| line.contains("Type: HttpApi")) {
            routes.push(Route { path: path.to_owned(), function: function.to_lowercase() });
        }
    }
    routes
}

/// The route of a path: the one with the most words that are no variable.
pub(super) fn find<'a>(routes: &'a [Route], path: &str) -> Option<&'a Route> {
    let fitting = routes.iter().filter(|route| fits(&route.path, path));
    fitting.max_by_key(|route| route.path.split('/').filter(|word| !word.starts_with('{')).count())
}

fn fits(template: &str, path: &str) -> bool {
    let mut words = path.split('/');
    for wanted in template.split('/') {
        if wanted.ends_with("+}") {
            return words.next().is_some();
        }
        match words.next() {
            Some(word) if wanted == word || (wanted.starts_with('{') && !word.is_empty()) => {}
            _ => return false,
        }
    }
    words.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = r#"
Resources:
  Register:
    Properties:
      Events:
        Databases: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: ANY, Path: "/databases" } }
        Pages: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: ANY, Path: "/docs/{rest+}" } }
  Dump:
    Properties:
      Events:
        One: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: ANY, Path: "/backups/{id}" } }
        Stats: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: ANY, Path: "/backups/stats" } }
"#;

    #[test]
    fn each_path_belongs_to_the_function_whose_route_names_it_most_closely() {
        let routes = read(TEMPLATE);
        let found = |path| find(&routes, path).map(|route| (route.function.as_str(), route.path.as_str()));
        assert_eq!(found("/databases"), Some(("register", "/databases")));
        assert_eq!(found("/backups/1"), Some(("dump", "/backups/{id}")));
        assert_eq!(found("/backups/stats"), Some(("dump", "/backups/stats")));
        assert_eq!(found("/docs/a/b"), Some(("register", "/docs/{rest+}")));
        for nobody in ["/", "/events", "/backups/", "/backups/1/restore", "/database"] {
            assert_eq!(found(nobody), None, "{nobody}");
        }
    }
}
