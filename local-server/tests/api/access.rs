//! The access table against what is served.

use respaldo_local_server::functions;

#[test]
fn every_route_is_in_the_access_table_and_every_entry_is_served() {
    assert_eq!(respaldo_api::disagreements(functions()), Vec::<String>::new());
}
