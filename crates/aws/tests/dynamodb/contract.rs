//! The catalog's contract, kept on both emulators.

mod moto {
    use crate::support::on_moto;

    respaldo_testkit::catalog_contract!(on_moto);
}

mod dynalite {
    use crate::support::on_dynalite;

    respaldo_testkit::catalog_contract!(on_dynalite);
}
