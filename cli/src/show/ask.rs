//! Asking on a terminal: for agreement, and for a secret that is not shown.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use respaldo_core::ports::SecretString;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use super::note;
use crate::exit::Exit;
use crate::failure::{Answer, Failure};

const INTERRUPT: u8 = 3;
const END: u8 = 4;
const BACKSPACES: [u8; 2] = [8, 127];

/// Asks, unless `yes` has agreed already; answers when it was agreed to.
///
/// # Errors
/// `Failed` when the answer was no, `Usage` when nobody was there to answer.
pub(crate) fn agree(question: &str, yes: bool) -> Answer<()> {
    if yes {
        return Ok(());
    }
    if !interactive() {
        let detail = format!("nothing was done: there is no terminal to ask on: {question}");
        return Err(Failure::new(Exit::Usage, "unasked", "Nobody agreed", detail)
            .with_mend("--yes agrees beforehand"));
    }
    prompt(&format!("{question} [y/N] "));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|error| unreadable(&error))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "declined", "Nobody agreed", "nothing was done"))
}

/// Whether a person can be asked.
fn interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn prompt(question: &str) {
    let mut err = io::stderr().lock();
    // A terminal that takes no question gives no answer either.
    let _shown = err.write_all(question.as_bytes()).and_then(|()| err.flush());
}

/// Asks for a secret without showing it. None where nobody can be asked.
pub(crate) fn secret(question: &str) -> Answer<Option<SecretString>> {
    if !interactive() {
        return Ok(None);
    }
    let typed = {
        // Before the question: whoever types at once is not shown either.
        let _restored_in_the_end = Silence::begin()?;
        prompt(question);
        read_typed()
    };
    note("");
    typed.map(Some)
}

fn read_typed() -> Answer<SecretString> {
    let mut typed = zeroize::Zeroizing::new(Vec::new());
    let mut byte = [0];
    loop {
        let read = io::stdin().lock().read(&mut byte).map_err(|error| unreadable(&error))?;
        match byte[0] {
            _ if read == 0 => break,
            b'\n' | b'\r' | END => break,
            INTERRUPT => {
                return Err(Failure::new(Exit::Interrupted, "declined", "Nobody agreed", "nothing was done"));
            }
            key if BACKSPACES.contains(&key) => while typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            key => typed.push(key),
        }
    }
    let text = std::str::from_utf8(&typed);
    let text = text.map_err(|_| Failure::usage("password", "what was typed is not UTF-8"))?;
    Ok(SecretString::from(text.to_owned()))
}

/// A terminal that shows nothing of what is typed, until this is dropped. Its keys raise no signal
/// meanwhile: one would end the process and leave the terminal as it is.
struct Silence(Termios);

impl Silence {
    fn begin() -> Answer<Self> {
        let before = tcgetattr(io::stdin()).map_err(|error| unreadable(&error.into()))?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Now, &silent).map_err(|error| unreadable(&error.into()))?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that has gone needs no restoring.
        let _restored = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::new(Exit::Usage, "unasked", "Nobody could be asked", format!("the terminal: {error}"))
}
