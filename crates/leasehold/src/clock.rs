//! The clocks of this machine, and a timer that counts suspended time.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use jiff::Timestamp;
pub use leasehold_election::Reading;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Reads the three clocks. Takes about 60 ns, since none of them enters the kernel.
pub fn now() -> Reading {
    let realtime = clock_gettime(ClockId::Realtime);
    let nanoseconds = i32::try_from(realtime.tv_nsec).unwrap_or(0);
    Reading {
        raw: duration(clock_gettime(ClockId::MonotonicRaw)),
        boottime: boottime(),
        realtime: Timestamp::new(realtime.tv_sec, nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

/// `CLOCK_BOOTTIME`: the same for all processes of a machine, unless a time namespace separates them.
pub fn boottime() -> Duration {
    duration(clock_gettime(ClockId::Boottime))
}

/// Names the boot of this machine, by which BOOTTIME readings of two processes may be compared.
///
/// # Errors
///
/// If `/proc` is not mounted.
pub fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// A timer on BOOTTIME. tokio's and std's timers stand still while the machine is suspended, and fire late after.
#[derive(Debug)]
pub(crate) struct Timer {
    fd: OwnedFd,
}

impl Timer {
    /// A timer whose `read` blocks.
    pub(crate) fn blocking() -> io::Result<Self> {
        Ok(Self { fd: timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)? })
    }

    /// A timer to be polled.
    pub(crate) fn non_blocking() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self { fd: timerfd_create(TimerfdClockId::Boottime, flags)? })
    }

    /// Fires once after `duration`; `None` never.
    pub(crate) fn set(&self, duration: Option<Duration>) -> io::Result<()> {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = match duration {
            // A zero value would disarm.
            Some(duration) => timespec(duration.max(Duration::from_nanos(1))),
            None => zero,
        };
        timerfd_settime(
            &self.fd,
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: zero, it_value: value },
        )?;
        Ok(())
    }

    /// Waits for the timer or, where it is polled, takes note that it may have fired.
    pub(crate) fn read(&self) -> io::Result<()> {
        let mut expirations = [0; 8];
        loop {
            match rustix::io::read(&self.fd, &mut expirations) {
                Err(rustix::io::Errno::INTR) => {}
                // Its reader was woken for a firing that setting it anew has undone since.
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                other => return other.map(drop).map_err(io::Error::from),
            }
        }
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// A timer on BOOTTIME that a task of a tokio runtime awaits: it counts suspended time, which tokio's do not.
#[derive(Debug)]
pub struct Alarm {
    timer: AsyncFd<Timer>,
}

impl Alarm {
    /// An alarm that is not set.
    ///
    /// # Errors
    ///
    /// If the kernel has no more timers or file descriptors.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with IO.
    pub fn new() -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "its successor is unsafe; a Timer owns its descriptor as long as it lives"
        )]
        let timer = AsyncFd::with_interest(Timer::non_blocking()?, Interest::READABLE)?;
        Ok(Self { timer })
    }

    /// Rings once after `duration`; `None` never. What was set before is forgotten.
    ///
    /// # Errors
    ///
    /// If the kernel refuses it, as it does for no `duration` of this century.
    pub fn set(&self, duration: Option<Duration>) -> io::Result<()> {
        self.timer.get_ref().set(duration)
    }

    /// Waits until it rings, or has been set anew after it rang: look at the clocks.
    ///
    /// # Errors
    ///
    /// If the kernel refuses to read the timer.
    pub async fn rings(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_rings(context)).await
    }

    pub(crate) fn poll_rings(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.timer.poll_read_ready(context))?.clear_ready();
        Poll::Ready(self.timer.get_ref().read())
    }
}

fn duration(time: Timespec) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_advance_together() {
        let earlier = now();
        let timer = Timer::blocking().unwrap();
        timer.set(Some(Duration::from_millis(20))).unwrap();
        timer.read().unwrap();
        assert!(now().elapsed_for_waiting(&earlier) >= Duration::from_millis(19));
    }

    /// When an answer came just as the timer fired, the driver set the timer anew and then read it because it had been
    /// readable: that there was nothing to read ended the driver, and the candidate with it.
    #[test]
    fn a_timer_that_was_set_anew_after_it_fired_can_be_read() {
        let timer = Timer::non_blocking().unwrap();
        timer.set(Some(Duration::ZERO)).unwrap();
        let mut fds = [rustix::event::PollFd::new(&timer.fd, rustix::event::PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut fds, None).unwrap(), 1, "it has fired");
        timer.set(Some(Duration::from_secs(60))).unwrap();
        timer.read().unwrap();
    }

    #[test]
    fn a_boot_has_a_name() {
        assert_eq!(boot_id().unwrap().len(), 36);
    }
}
