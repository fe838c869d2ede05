//! Lists: page after page, as the answers' `Link` leads.

use reqwest::Method;
use reqwest::header::{HeaderMap, LINK};
use serde_json::Value;

use super::Client;
use crate::failure::{Answer, Failure};

const LARGEST_PAGE: usize = 1_000;

impl Client {
    /// All items of a list, or the first `most` of them. `query` is empty or begins with `?`.
    pub(crate) async fn list(&self, path: &str, query: &Query, most: Option<usize>) -> Answer<Vec<Value>> {
        let page = most.map_or(LARGEST_PAGE, |most| most.clamp(1, LARGEST_PAGE));
        let mut next = format!("{path}{}", query.clone().with("limit", Some(page)).text());
        let mut items: Vec<Value> = Vec::new();
        loop {
            let response = self.send(self.request(Method::GET, &next).timeout(self.longest)).await?;
            let link = next_link(response.headers());
            let bytes = self.body(response).await?;
            let Ok(Value::Array(page)) = serde_json::from_slice(&bytes) else {
                return Err(Failure::foreign(self.base(), format!("no list at {path}")));
            };
            let empty = page.is_empty();
            items.extend(page);
            let enough = most.is_some_and(|most| items.len() >= most);
            match link {
                Some(link) if !enough => {
                    // Else a server could lead elsewhere, or round in a circle.
                    let same = link.strip_prefix(path).is_some_and(|rest| rest.starts_with('?'));
                    if !same || empty || link == next {
                        let what = "a list whose Link leads nowhere";
                        return Err(Failure::foreign(self.base(), what));
                    }
                    next = link;
                }
                _ => {
                    items.truncate(most.unwrap_or(usize::MAX));
                    return Ok(items);
                }
            }
        }
    }
}

/// The path of the next page.
fn next_link(headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    links.flat_map(|value| value.split(',')).find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        parameters
            .split(';')
            .any(|one| matches!(one.trim(), "rel=\"next\"" | "rel=next"))
            .then(|| target.to_owned())
    })
}

/// Conditions of a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(&'static str, String)>);

impl Query {
    /// One more condition, where there is one.
    pub(crate) fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.0.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// As it stands behind a path: empty, or from the question mark on.
    pub(crate) fn text(&self) -> String {
        let mut url = reqwest::Url::parse("http://q/").map_or_else(
            |_| String::new(),
            |mut url| {
                url.query_pairs_mut().extend_pairs(&self.0);
                url.query().map(|query| format!("?{query}")).unwrap_or_default()
            },
        );
        if url == "?" {
            url.clear();
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_encoded_and_none_is_nothing() {
        assert_eq!(Query::default().text(), "");
        let query =
            Query::default().with("since", Some("2026-01-02T00:00:00+01:00")).with("kind", None::<u8>);
        assert_eq!(query.text(), "?since=2026-01-02T00%3A00%3A00%2B01%3A00");
    }

    #[test]
    fn the_next_page_is_read_from_any_form_of_the_header() {
        let link = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, text.parse().unwrap());
            next_link(&headers)
        };
        assert_eq!(link("</jobs?cursor=x>; rel=\"next\"").as_deref(), Some("/jobs?cursor=x"));
        assert_eq!(link("</a>; rel=prev, </b>; title=x; rel=next").as_deref(), Some("/b"));
        for junk in ["", "/jobs", "<", "</a>; rel=prev", "<a>"] {
            assert_eq!(link(junk), None, "{junk}");
        }
    }
}
