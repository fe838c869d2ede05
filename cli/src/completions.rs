//! `respaldo completions`: what a shell needs to complete this command line.

use clap::Command;
use clap_complete::{Shell, generate};

use crate::failure::Answer;

pub(crate) fn print(shell: Shell, command: &mut Command) -> Answer<()> {
    let mut script = Vec::new();
    generate(shell, command, "respaldo", &mut script);
    crate::show::print(&String::from_utf8_lossy(&script))
}
