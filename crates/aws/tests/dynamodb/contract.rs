//! The catalog's contract, kept on both emulators.

mod moto {
    use crate::support::on_moto;

    // It answers ten times more slowly than dynalite, and one process answers all tests.
    respaldo_testkit::catalog_contract!(on_moto, 4);
}

mod dynalite {
    use crate::support::on_dynalite;

    respaldo_testkit::catalog_contract!(on_dynalite, 24);
}
