//! `respaldo-register` as Lambda starts it.

fn main() -> std::process::ExitCode {
    respaldo_lambda_host::run_in_front(respaldo_register::function())
}
