//! `DocumentDB`'s error numbers as a mongod's.
//!
//! Its states are an `M` and the number of an error in a list of its own, in base 36.

use crate::not_mongod::Refusal;

/// Those that commands of dumps and restores were seen to answer, and PostgreSQL's for duplicates.
const CODES: [(&str, i32, &str); 13] = [
    ("M0001", 2, "BadValue"),
    ("M0008", 26, "NamespaceNotFound"),
    ("M0009", 27, "IndexNotFound"),
    ("M000F", 48, "NamespaceExists"),
    ("M000N", 67, "CannotCreateIndex"),
    ("M000S", 86, "IndexKeySpecsConflict"),
    ("M000U", 115, "CommandNotSupported"),
    ("M0016", 263, "OperationNotSupportedInTransaction"),
    ("M001C", 11000, "DuplicateKey"),
    ("M00CO", 121, "DocumentValidationFailure"),
    ("M0088", 40415, "Location40415"),
    ("23P01", 11000, "DuplicateKey"),
    ("23505", 11000, "DuplicateKey"),
];

pub(super) fn refusal(state: &str, message: &str) -> Refusal {
    let (code, name) = meant(state);
    Refusal::new(code, name, format!("{message} ({state})"))
}

fn meant(state: &str) -> (i32, &'static str) {
    let known = CODES.iter().find(|(known, ..)| *known == state);
    known.map_or((8, "UnknownError"), |(_, code, name)| (*code, *name))
}

/// The number of an error in an answer: PostgreSQL's packed form of a state, six bits a character.
pub(super) fn of_packed(packed: i32) -> i32 {
    let character = |place: i32| {
        let bits = u8::try_from(packed >> (6 * place) & 0x3f).expect("six bits are a byte");
        char::from(b'0' + bits)
    };
    let state: String = (0..5).map(character).collect();
    meant(&state).0
}
