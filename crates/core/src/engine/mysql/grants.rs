//! Whether the user may see everything that the dump shall hold.
//!
//! A server shows no trigger to who lacks the privilege, and says nothing: the dump would end well
//! without them. What else lacks (`SHOW VIEW`, `EVENT`, `SELECT`) the tool says itself.

use crate::{Error, ErrorKind, Result};

/// Any of these makes routines visible; the tool then says itself if it cannot read one.
const ROUTINES: [&str; 5] =
    ["EXECUTE", "ALTER ROUTINE", "CREATE ROUTINE", "SHOW_ROUTINE", "SHOW CREATE ROUTINE"];

/// Refuses a user who cannot see triggers.
pub(super) fn check(grants: &[String], database: &str) -> Result<()> {
    if has(grants, database, |privilege| privilege == "TRIGGER") {
        return Ok(());
    }
    let message = "the user may not see triggers, so a dump would silently lack them";
    let on = database.replace('`', "``").replace('_', "\\_").replace('%', "\\%");
    Err(Error::new(ErrorKind::Denied, "check privileges", message)
        .with_mend(format!("GRANT TRIGGER ON `{on}`.* TO the user")))
}

/// Whether the user sees routines of others.
pub(super) fn shows_routines(grants: &[String], database: &str) -> bool {
    has(grants, database, |privilege| ROUTINES.contains(&privilege))
        || grants.iter().filter_map(|line| read(line)).any(|(privileges, object)| {
            matches!(object, "*.*" | "`mysql`.*" | "`mysql`.`proc`")
                && listed(privileges, |name| name == "SELECT")
        })
}

/// Whether the user has this privilege on the whole database.
pub(super) fn holds(grants: &[String], database: &str, privilege: &str) -> bool {
    has(grants, database, |granted| granted == privilege)
}

/// Whether the user has one of these privileges on everything.
pub(super) fn holds_everywhere(grants: &[String], privileges: &[&str]) -> bool {
    grants.iter().filter_map(|line| read(line)).any(|(granted, object)| {
        object == "*.*"
            && listed(granted, |name| name.starts_with("ALL PRIVILEGES") || privileges.contains(&name))
    })
}

/// Whether the user may pass on what it has on this database.
pub(super) fn may_grant(grants: &[String], database: &str) -> bool {
    let passes_on = |line: &&String| line.ends_with("WITH GRANT OPTION");
    let objects = grants.iter().filter(passes_on).filter_map(|line| read(line));
    objects.map(|(_, object)| object).any(|object| applies(object, database))
}

/// Whether a role was granted, whose privileges are not listed.
pub(super) fn has_roles(grants: &[String]) -> bool {
    grants.iter().any(|line| line.starts_with("GRANT ") && read(line).is_none())
}

/// Whether the user has nothing beyond these databases.
pub(super) fn only_on(grants: &[String], databases: &[&str]) -> bool {
    let nothing = |privileges: &str| privileges.trim() == "USAGE";
    let exactly = |object: &str, database: &str| {
        // Clients print a backslash as two.
        let object = object.replace("\\\\", "\\");
        let literal = object.replace("\\_", "").replace("\\%", "");
        !literal.contains(['_', '%'])
            && object.replace("\\_", "_").replace("\\%", "%")
                == format!("`{}`.*", database.replace('`', "``"))
    };
    !has_roles(grants)
        && grants.iter().filter_map(|line| read(line)).all(|(privileges, object)| {
            object == "*.*" && nothing(privileges)
                || databases.iter().any(|database| exactly(object, database))
        })
}

fn has(grants: &[String], database: &str, wanted: impl Fn(&str) -> bool) -> bool {
    let granted = |everywhere: bool| {
        grants.iter().filter_map(|line| read(line)).any(|(privileges, object)| {
            (object == "*.*") == everywhere
                && applies(object, database)
                && listed(privileges, |name| name.starts_with("ALL PRIVILEGES") || wanted(name))
        })
    };
    granted(false) || granted(true) && !is_revoked(grants, database, &wanted)
}

/// Whether a privilege on everything was taken back for this database, as MySQL does with
/// `partial_revokes`.
fn is_revoked(grants: &[String], database: &str, wanted: impl Fn(&str) -> bool) -> bool {
    let name = format!("`{}`.*", database.replace('`', "``")).to_lowercase();
    let revoked = grants.iter().filter_map(|line| line.strip_prefix("REVOKE ")?.split_once(" ON "));
    let mut here = revoked.filter(|(_, rest)| {
        rest.to_lowercase().strip_prefix(&name).is_some_and(|after| after.starts_with(" from "))
    });
    here.any(|(privileges, _)| listed(privileges, &wanted))
}

/// Whether one of the privileges in a list is wanted. Columns in parentheses are never a whole one.
fn listed(privileges: &str, wanted: impl Fn(&str) -> bool) -> bool {
    privileges.split(',').any(|name| wanted(name.trim()))
}

/// Privileges and object of `GRANT … ON … TO …`; none for a role that is granted.
fn read(line: &str) -> Option<(&str, &str)> {
    let (privileges, rest) = line.strip_prefix("GRANT ")?.split_once(" ON ")?;
    // A name may hold ` TO `; what follows it begins with a quote.
    let end = rest.find(" TO `").or_else(|| rest.find(" TO '")).or_else(|| rest.find(" TO "))?;
    Some((privileges, &rest[..end]))
}

fn applies(object: &str, database: &str) -> bool {
    if object == "*.*" {
        return true;
    }
    let Some(pattern) = object.strip_prefix('`').and_then(|rest| rest.strip_suffix("`.*")) else {
        return false;
    };
    let pattern: Vec<char> = pattern.replace("``", "`").replace("\\\\", "\\").chars().collect();
    like(&pattern, &database.chars().collect::<Vec<_>>())
}

/// SQL's `LIKE`, with a backslash before a character that stands for itself. Names on a server may differ
/// in case only where its file system does, so case is left out.
fn like(pattern: &[char], text: &[char]) -> bool {
    // Backtracks to the last `%` only, so the time is bounded by the product of the lengths.
    let (mut at, mut from, mut star) = (0, 0, None);
    while from < text.len() {
        let same = |character: char| character.to_lowercase().eq(text[from].to_lowercase());
        match pattern.get(at) {
            Some('%') => {
                star = Some((at, from));
                at += 1;
                continue;
            }
            Some('\\') if pattern.get(at + 1).is_some_and(|next| same(*next)) => at += 2,
            Some('_') => at += 1,
            Some(character) if *character != '\\' && same(*character) => at += 1,
            _ => {
                let Some((percent, matched)) = star else { return false };
                star = Some((percent, matched + 1));
                (at, from) = (percent + 1, matched + 1);
                continue;
            }
        }
        from += 1;
    }
    pattern[at..].iter().all(|character| *character == '%')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(grant: &str, database: &str) -> bool {
        check(&[grant.to_owned()], database).is_ok()
    }

    #[test]
    fn a_trigger_privilege_counts_where_it_applies() {
        assert!(allows("GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION", "shop"));
        assert!(allows("GRANT SELECT, TRIGGER ON `shop`.* TO `u`@`%`", "shop"));
        assert!(allows("GRANT TRIGGER ON `my\\_shop`.* TO `u`@`%`", "my_shop"));
        assert!(!allows("GRANT TRIGGER ON `my\\_shop`.* TO `u`@`%`", "myxshop"));
        assert!(allows("GRANT TRIGGER ON `my_sh%`.* TO `u`@`%`", "myxshop"));
        assert!(!allows("GRANT SELECT ON *.* TO `u`@`%`", "shop"));
        assert!(!allows("GRANT TRIGGER ON `shop`.`orders` TO `u`@`%`", "shop"));
        assert!(!allows("GRANT `TRIGGER`@`%` TO `u`@`%`", "shop"));
        assert!(allows("GRANT TRIGGER ON `a TO b`.* TO `u`@`%`", "a TO b"));
    }

    #[test]
    fn a_privilege_that_was_revoked_for_this_database_does_not_count() {
        let lines = |revoked: &str| {
            let granted = "GRANT SELECT, TRIGGER, EXECUTE ON *.* TO `u`@`%`".to_owned();
            [granted, format!("REVOKE {revoked} FROM `u`@`%`")]
        };
        assert!(check(&lines("SELECT, TRIGGER ON `shop`.*"), "shop").is_err());
        assert!(check(&lines("SELECT, TRIGGER ON `shop`.*"), "shop2").is_ok());
        assert!(check(&lines("INSERT ON `shop`.*"), "shop").is_ok());
        assert!(!shows_routines(&[lines("EXECUTE ON `shop`.*")[1].clone()], "shop"));
        let mut again = lines("TRIGGER ON `shop`.*").to_vec();
        again.push("GRANT TRIGGER ON `shop`.* TO `u`@`%`".to_owned());
        assert!(check(&again, "shop").is_ok());
    }

    #[test]
    fn only_a_grant_that_is_no_pattern_keeps_a_user_to_its_database() {
        let only = |grant: &str| {
            let lines = ["GRANT USAGE ON *.* TO `u`@`%`".to_owned(), grant.to_owned()];
            only_on(&lines, &["my_shop", "aside"])
        };
        assert!(only("GRANT ALL PRIVILEGES ON `my\\\\_shop`.* TO `u`@`%`"));
        assert!(only("GRANT ALL PRIVILEGES ON `aside`.* TO `u`@`%`"));
        for wider in
            ["`my_shop`.*", "`my%`.*", "*.*", "`other`.*", "`other`.`t`", "`my\\\\_shop`.`t` , `x`.*"]
        {
            assert!(!only(&format!("GRANT SELECT ON {wider} TO `u`@`%`")), "{wider}");
        }
        assert!(!only("GRANT `role` TO `u`@`%`"));
    }

    #[test]
    fn routines_are_seen_by_who_may_run_or_read_them() {
        let sees = |grant: &str| shows_routines(&[grant.to_owned()], "shop");
        assert!(sees("GRANT EXECUTE ON `shop`.* TO `u`@`%`"));
        assert!(sees("GRANT SELECT ON *.* TO `u`@`%`"));
        assert!(!sees("GRANT SELECT, TRIGGER ON `shop`.* TO `u`@`%`"));
    }
}
