//! What holds of every time that a user may write.

use std::time::Duration;

use clap::Parser as _;
use jiff::SignedDuration;
use leasehold_sidecar::Cli;

/// Holds of all bytes.
pub(crate) fn property(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match read(text) {
        Ok(time) => {
            assert!(time.is_zero() || !text.trim_start().starts_with('-'), "{text:?} is {time:?}");
            if let Ok(signed) = SignedDuration::try_from(time) {
                assert_eq!(read(&format!("{signed:#}")).as_ref(), Ok(&time), "printed and read again");
            }
        }
        Err(message) => {
            assert!(message.contains("--lease-duration"), "{message}");
            assert!(message.contains("write 15s, 1m30s, 500ms") || text.is_empty(), "{message}");
        }
    }
}

/// What is written down of a kept example.
pub(crate) fn outcome(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes).map(read) {
        Ok(Ok(time)) => format!("{time:?}"),
        Ok(Err(message)) => message.lines().next().unwrap_or_default().to_owned(),
        Err(_) => "no text".to_owned(),
    }
}

fn read(text: &str) -> Result<Duration, String> {
    let flag = format!("--lease-duration={text}");
    let cli = Cli::try_parse_from(["leader-elector", &flag]).map_err(|error| error.to_string())?;
    Ok(cli.args.lease_duration)
}
