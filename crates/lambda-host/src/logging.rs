//! Log lines: one JSON object each, to standard error, where Lambda collects them.

use std::io::stderr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{Directive, LevelFilter};

/// Crates whose finer lines tell of requests what may be secret, whatever `RUST_LOG` asks for.
const NO_FINER_THAN_INFO: [&str; 8] = [
    "aws_config=info",
    "aws_runtime=info",
    "aws_sigv4=info",
    "aws_smithy_runtime=info",
    "aws_smithy_runtime_api=info",
    "hyper=info",
    "hyper_util=info",
    "lambda_runtime=info",
];

/// Starts logging. `RUST_LOG` chooses the lines; `info` and above when it is not set.
pub(crate) fn start() {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let directives = NO_FINER_THAN_INFO.iter().filter_map(|text| text.parse::<Directive>().ok());
    let filter = directives.fold(filter, EnvFilter::add_directive);
    let lines = tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter);
    // A second start, in a test, changes nothing.
    let _first = lines.with_writer(stderr).try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directive_is_one() {
        for text in NO_FINER_THAN_INFO {
            assert!(text.parse::<Directive>().is_ok(), "{text}");
        }
    }
}
