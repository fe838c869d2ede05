//! The names of the databases that a swap makes.

use crate::model::JobId;

/// What fits every server: PostgreSQL takes 63 bytes, MySQL 64 characters.
const LONGEST: usize = 63;
/// Digits of the job's random part: 40 bits.
const DIGITS: usize = 8;

/// The name under which a restore loads its dump before the swap.
pub(crate) fn aside(database: &str, job: JobId) -> String {
    named(database, "loading", job)
}

/// The name under which a restore keeps what was its target.
pub(crate) fn kept(database: &str, job: JobId) -> String {
    named(database, "before", job)
}

fn named(database: &str, word: &str, job: JobId) -> String {
    let id = job.to_string().to_lowercase();
    let end = format!("_{word}_{}", &id[id.len() - DIGITS..]);
    let mut length = database.len().min(LONGEST - end.len());
    while !database.is_char_boundary(length) {
        length -= 1;
    }
    format!("{}{end}", &database[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_every_server_and_tells_whose_it_is() {
        let job: JobId = "01KAJ5Q4R8Z0V5T3WQ2N7M6XYB".parse().unwrap();
        assert_eq!(aside("shop", job), "shop_loading_2n7m6xyb");
        let long = "ä".repeat(40);
        let kept = kept(&long, job);
        assert!(kept.len() <= LONGEST && kept.ends_with("_before_2n7m6xyb"), "{kept}");
        assert_ne!(aside(&long, job), kept);
    }
}
