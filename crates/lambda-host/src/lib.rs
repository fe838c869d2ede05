//! Host 2: runs any function under the Lambda runtime.

use std::process::ExitCode;

use respaldo_api::Function;

/// Runs a function under the Lambda runtime until Lambda ends the process.
pub fn run(function: Function) -> ExitCode {
    drop(function);
    ExitCode::FAILURE
}
