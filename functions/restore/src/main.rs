//! `respaldo-restore` as Lambda starts it.

fn main() -> std::process::ExitCode {
    respaldo_lambda_host::run(respaldo_restore::function())
}
