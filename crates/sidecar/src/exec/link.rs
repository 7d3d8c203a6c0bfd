//! What the elector and the guardian of its command tell each other, a line of JSON each, over a pair of sockets.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use leasehold::clock::{self, Reading};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

/// From the elector to the guardian. The link's end means that the elector has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// The command may run until then.
    Run(Until),
    /// Sends a signal to the command.
    Signal(i32),
    /// Kills the command and all that it started.
    Kill,
}

/// An instant as a reading and the time after it: both processes read the same clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Until {
    raw_ns: u64,
    boottime_ns: u64,
    after_ns: u64,
}

impl Until {
    /// `after` from the reading.
    pub(super) fn new(from: &Reading, after: Duration) -> Self {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self { raw_ns: ns(from.raw), boottime_ns: ns(from.boottime), after_ns: ns(after) }
    }

    /// How much of it is left, by the faster of the two clocks.
    pub(super) fn left(self) -> Duration {
        let now = clock::now();
        let since = |now: Duration, then: u64| now.saturating_sub(Duration::from_nanos(then));
        let elapsed = since(now.raw, self.raw_ns).max(since(now.boottime, self.boottime_ns));
        Duration::from_nanos(self.after_ns).saturating_sub(elapsed)
    }
}

/// From the guardian to the elector. That nothing of the command runs any more is told by the guardian's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// The command runs, with this process id.
    Started(i32),
    /// The command could not be started.
    Failed(String),
    /// The command has ended with this exit code; what it started may run on.
    Exited(i32),
    /// The command was ended by this signal; what it started may run on.
    Signalled(i32),
    /// The time to run was over before the elector ended the command.
    Expired,
}

/// Gives the command's standard input to the other side, with one byte.
pub(super) fn give(link: &UnixStream, input: impl AsFd) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds = [input.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(link, &[IoSlice::new(b"\n")], &mut ancillary, SendFlags::empty())?;
    Ok(())
}

/// Takes what [`give`] gave.
pub(super) fn take(link: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(link, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let given = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    given.ok_or_else(|| io::Error::other("no standard input was given"))
}

/// One line of the link.
pub(super) fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("numbers and texts are JSON");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_over_when_the_faster_clock_says_so() {
        let now = clock::now();
        assert!(Until::new(&now, Duration::from_secs(60)).left() > Duration::from_secs(50));
        let slow_boottime = Reading { raw: now.raw.saturating_sub(Duration::from_secs(9)), ..now };
        assert_eq!(Until::new(&slow_boottime, Duration::from_secs(8)).left(), Duration::ZERO);
    }

    #[test]
    fn standard_input_is_given_across_the_link() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        give(&ours, &reader).unwrap();
        let taken = std::fs::File::from(take(&theirs).unwrap());
        io::Write::write_all(&mut writer, b"through").unwrap();
        drop(writer);
        assert_eq!(io::read_to_string(taken).unwrap(), "through");
    }
}
