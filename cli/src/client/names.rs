//! Databases by what people call them: a number, a `config_id`, or a name that only one has.

use serde_json::Value;

use super::Client;
use super::pages::Query;
use crate::exit::Exit;
use crate::failure::{Answer, Failure};
use crate::show::{plain, text};

/// No refusal lists more candidates.
const MOST_CANDIDATES: usize = 20;

/// Every registered database, as it was a moment ago.
pub(crate) struct Names {
    databases: Vec<Value>,
}

impl Names {
    /// Reads them.
    pub(crate) async fn read(client: &Client) -> Answer<Self> {
        Ok(Self { databases: client.list("/databases", &Query::default(), None).await? })
    }

    /// All of them, by number.
    pub(crate) fn all(&self) -> &[Value] {
        &self.databases
    }

    /// How people call the database of this number: its `config_id`, else its name, else the number.
    pub(crate) fn of(&self, id: &Value) -> String {
        let found = self.databases.iter().find(|database| &database["id"] == id);
        found.map_or_else(|| plain(&id.to_string()), label)
    }

    /// The one database that is meant.
    ///
    /// # Errors
    /// `NotFound` when it is none, `Usage` when it may be several; both name the candidates.
    pub(crate) fn find(&self, wanted: &str) -> Answer<&Value> {
        let is_called = |database: &&Value| {
            database["config_id"].as_str() == Some(wanted) || database["name"].as_str() == Some(wanted)
        };
        let number: Option<i64> = wanted.parse().ok();
        let is_meant = |database: &&Value| match number {
            Some(number) => database["id"] == number,
            None => is_called(database),
        };
        let found: Vec<&Value> = self.databases.iter().filter(is_meant).collect();
        match found[..] {
            [database] => Ok(database),
            [] => Err(self.unknown(wanted)),
            _ => {
                let detail = format!("{} may be any of {}", plain(wanted), candidates(&found));
                Err(Failure::usage("DATABASE", detail).with_mend("give the number"))
            }
        }
    }

    fn unknown(&self, wanted: &str) -> Failure {
        let part = wanted.to_lowercase();
        let is_near = |database: &&Value| {
            let near =
                |field: &str| database[field].as_str().is_some_and(|is| is.to_lowercase().contains(&part));
            !part.is_empty() && (near("config_id") || near("name"))
        };
        let near: Vec<&Value> = self.databases.iter().filter(is_near).collect();
        let all: Vec<&Value> = self.databases.iter().collect();
        let there = match (near.is_empty(), all.is_empty()) {
            (false, _) => format!("there is {}", candidates(&near)),
            (true, false) => format!("there is {}", candidates(&all)),
            (true, true) => "there is none at all".to_owned(),
        };
        let detail = format!("no database has the number, config_id or name {}: {there}", plain(wanted));
        Failure::new(Exit::NotFound, "not_found", "It does not exist", detail)
            .with_mend("see respaldo databases")
    }
}

fn label(database: &Value) -> String {
    let config_id = text(database, "config_id");
    if config_id.is_empty() { text(database, "name") } else { config_id }
}

/// `1 (shop), 2 (shop)`.
fn candidates(databases: &[&Value]) -> String {
    let shown = databases.iter().take(MOST_CANDIDATES);
    let mut shown: Vec<String> =
        shown.map(|database| format!("{} ({})", database["id"], label(database))).collect();
    if databases.len() > MOST_CANDIDATES {
        shown.push(format!("{} more", databases.len() - MOST_CANDIDATES));
    }
    shown.join(", ")
}

impl Client {
    /// The number of the database that is meant. What is a number is taken as one without a question: a
    /// key that may not list databases can name one so.
    pub(crate) async fn database_id(&self, wanted: &str) -> Answer<i64> {
        if let Ok(id) = wanted.parse() {
            return Ok(id);
        }
        let id = Names::read(self).await?.find(wanted)?["id"].as_i64();
        id.ok_or_else(|| Failure::foreign(self.base(), "a database without a number"))
    }

    /// The same for a database that may be left out.
    pub(crate) async fn optional_database_id(&self, wanted: Option<&str>) -> Answer<Option<i64>> {
        match wanted {
            Some(wanted) => self.database_id(wanted).await.map(Some),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names() -> Names {
        let databases = json!([
            {"id": 1, "config_id": "shop", "name": "The shop"},
            {"id": 2, "config_id": null, "name": "shop"},
            {"id": 3, "config_id": null, "name": "notes"},
            {"id": 4, "config_id": "4711", "name": "Plant\u{1b}"},
        ]);
        let Value::Array(databases) = databases else { panic!("a list") };
        Names { databases }
    }

    #[test]
    fn a_database_is_meant_by_number_config_id_or_a_name_that_one_has() {
        for (wanted, id) in [("1", 1), ("notes", 3), ("The shop", 1), ("4", 4)] {
            assert_eq!(names().find(wanted).unwrap()["id"], id, "{wanted}");
        }
    }

    #[test]
    fn what_may_be_several_and_what_is_none_name_the_candidates() {
        let several = names().find("shop").unwrap_err();
        assert_eq!(several.exit(), Exit::Usage);
        assert!(format!("{several:?}").contains("1 (shop), 2 (shop)"), "{several:?}");
        let near = names().find("SHO").unwrap_err();
        assert_eq!(near.exit(), Exit::NotFound);
        assert!(format!("{near:?}").contains("there is 1 (shop), 2 (shop)"), "{near:?}");
        let none = format!("{:?}", names().find("zoo").unwrap_err());
        assert!(none.contains("3 (notes), 4 (4711)"), "{none}");
        assert_eq!(names().find("4711").unwrap_err().exit(), Exit::NotFound, "a number is a number");
        let nothing = Names { databases: Vec::new() }.find("zoo").unwrap_err();
        assert!(format!("{nothing:?}").contains("none at all"), "{nothing:?}");
    }

    #[test]
    fn a_database_that_is_gone_is_called_by_its_number() {
        assert_eq!(names().of(&json!(2)), "shop");
        assert_eq!(names().of(&json!(99)), "99");
    }
}
