//! The signals that the elector is sent, and what they mean to the command.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use leasehold::Handle;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// What is passed on to the command, in every state: none of them may end the elector by itself.
pub(super) const FORWARDED: &[i32] = &[
    Signal::TERM.as_raw(),
    Signal::INT.as_raw(),
    Signal::QUIT.as_raw(),
    Signal::HUP.as_raw(),
    Signal::USR1.as_raw(),
    Signal::USR2.as_raw(),
    Signal::WINCH.as_raw(),
    Signal::CONT.as_raw(),
];

/// For the command of the present term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forward {
    Signal(i32),
    Kill,
}

/// Leads to the command of the present term, if one runs.
#[derive(Clone, Debug, Default)]
pub(super) struct ToCommand {
    sender: Arc<Mutex<Option<mpsc::UnboundedSender<Forward>>>>,
}

impl ToCommand {
    /// Begins a term: what is sent from now on is for its command.
    pub(super) fn begin(&self) -> mpsc::UnboundedReceiver<Forward> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.lock() = Some(sender);
        receiver
    }

    /// Ends it.
    pub(super) fn end(&self) {
        *self.lock() = None;
    }

    /// Whether a command was there to be told.
    fn send(&self, forward: Forward) -> bool {
        self.lock().as_ref().is_some_and(|sender| sender.send(forward).is_ok())
    }

    fn lock(&self) -> MutexGuard<'_, Option<mpsc::UnboundedSender<Forward>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes on every signal from now on. SIGTERM and SIGINT besides begin a planned stop, and the same one again ends the
/// command at once. SIGQUIT stops an elector without a command only: to many programs it is no request to end, while
/// some images are stopped by it.
///
/// # Errors
/// If signals cannot be received.
pub(super) fn pass_on(handle: &Handle, to_command: &ToCommand) -> Result<()> {
    for &number in FORWARDED {
        let mut signals = signal(SignalKind::from_raw(number)).with_context(|| format!("signal {number}"))?;
        let mut asked = Asked { number, handle: handle.clone(), to_command: to_command.clone(), times: 0 };
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                asked.again();
            }
        });
    }
    Ok(())
}

struct Asked {
    number: i32,
    handle: Handle,
    to_command: ToCommand,
    times: u32,
}

impl Asked {
    fn again(&mut self) {
        self.times += 1;
        let stops = [Signal::TERM, Signal::INT].map(Signal::as_raw).contains(&self.number);
        let forward = if stops && self.times > 1 { Forward::Kill } else { Forward::Signal(self.number) };
        let told = self.to_command.send(forward);
        tracing::info!(signal = self.number, command = told, "signal received");
        match (stops, told) {
            (true, false) if self.times > 1 => std::process::exit(128 + self.number),
            (true, _) => self.handle.stop(),
            (false, false) if self.number == Signal::QUIT.as_raw() => self.handle.stop(),
            (false, _) => {}
        }
    }
}

/// The signal of a name as people write it: `TERM`, `SIGTERM`, or a number.
///
/// # Errors
/// If there is none, or it cannot ask a process to end.
pub(crate) fn by_name(text: &str) -> Result<i32, String> {
    let names = [
        ("TERM", Signal::TERM),
        ("INT", Signal::INT),
        ("QUIT", Signal::QUIT),
        ("HUP", Signal::HUP),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
        ("WINCH", Signal::WINCH),
        ("KILL", Signal::KILL),
    ];
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = name.parse::<i32>().ok();
    let found = names.iter().find(|(known, signal)| *known == name || Some(signal.as_raw()) == number);
    found.map(|(_, signal)| signal.as_raw()).ok_or_else(|| {
        let known = names.map(|(known, _)| known).join(", ");
        format!("{text:?} is no signal that ends a command; write one of {known}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_the_names_that_people_write() {
        for text in ["TERM", "SIGTERM", "sigterm", "15"] {
            assert_eq!(by_name(text), Ok(15), "{text}");
        }
        assert_eq!(by_name("SIGQUIT"), Ok(3));
        for text in ["", "STOP", "99", "TERMINATE"] {
            assert!(by_name(text).unwrap_err().contains("write one of TERM, INT"), "{text}");
        }
    }

    #[test]
    fn a_signal_between_two_terms_reaches_no_command() {
        let to_command = ToCommand::default();
        assert!(!to_command.send(Forward::Kill));
        let mut received = to_command.begin();
        assert!(to_command.send(Forward::Signal(1)));
        assert_eq!(received.try_recv(), Ok(Forward::Signal(1)));
        to_command.end();
        assert!(!to_command.send(Forward::Signal(1)));
    }
}
