//! Mutants that do not believe what a record shows.

use leasehold_election::{Config, Delivery, Effects, Elector, Input, Reading};

use super::Mutant;

/// Reads its own lease duration in every record.
#[derive(Debug)]
pub(super) struct StoredDurationIgnored;

impl Mutant for StoredDurationIgnored {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        let own = elector.config().timing.lease_duration().as_secs();
        let input = rewrite(input, |text| {
            let key = r#""leaseDurationSeconds":"#;
            let at = text.find(key)? + key.len();
            let digits = text[at..].bytes().take_while(u8::is_ascii_digit).count();
            Some(format!("{}{own}{}", &text[..at], &text[at + digits..]))
        });
        elector.handle(reading, chance, input)
    }
}

/// Runs beside other elections as if there were none.
#[derive(Debug)]
pub(super) struct PeerGraceIgnored;

impl Mutant for PeerGraceIgnored {
    fn config(&self, config: Config) -> Config {
        Config { peers: false, ..config }
    }
}

/// Reads in every mark the transitions of the record.
#[derive(Debug)]
pub(super) struct OldMarkBelieved;

impl Mutant for OldMarkBelieved {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        let input = rewrite(input, |text| {
            let transitions = number_after(text, TRANSITIONS)?;
            let mark = text.find(MARKED)? + MARKED.len();
            let digits = number_after(text, MARKED)?;
            Some(format!("{}{transitions}{}", &text[..mark], &text[mark + digits.len()..]))
        });
        elector.handle(reading, chance, input)
    }
}

/// Reads in every record with an empty holder an acquire time that differs from the renew time, as ours leaves it.
#[derive(Debug)]
pub(super) struct ClearedIsReleased;

impl Mutant for ClearedIsReleased {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        let input = rewrite(input, |text| {
            let cleared = text.contains(EMPTY_HOLDER);
            let at = text.find(ACQUIRED).filter(|_| cleared)? + ACQUIRED.len();
            let year = text.get(at..at + 4)?;
            Some(format!("{}1999{}", &text[..at], &text[at + year.len()..]))
        });
        elector.handle(reading, chance, input)
    }
}

/// A leader that never hears of another holder.
#[derive(Debug)]
pub(super) struct ForeignHolderIgnored;

impl Mutant for ForeignHolderIgnored {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        let leads = elector.state() == leasehold_election::State::Leader;
        let own = format!(r#""holderIdentity":"{}""#, elector.config().identity.as_str());
        let foreign = |body: &[u8]| {
            let text = String::from_utf8_lossy(body);
            text.contains("holderIdentity") && !text.contains(&own)
        };
        let input = match input {
            Input::WatchLine(_, line) if leads && foreign(&line) => Input::Wake,
            Input::Answer(id, Delivery::Response(response))
                if leads && (foreign(response.body()) || response.status() == 422) =>
            {
                Input::Answer(id, Delivery::Lost("ignored".to_owned()))
            }
            input => input,
        };
        elector.handle(reading, chance, input)
    }
}

/// The digits that follow a key.
fn number_after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let rest = &text[text.find(key)? + key.len()..];
    Some(&rest[..rest.bytes().take_while(u8::is_ascii_digit).count()])
}

/// Changes what an answer or an event says.
fn rewrite(input: Input, change: impl Fn(&str) -> Option<String>) -> Input {
    let changed = |body: &[u8]| change(std::str::from_utf8(body).ok()?).map(String::into_bytes);
    match input {
        Input::WatchLine(id, line) => {
            let changed = changed(&line);
            Input::WatchLine(id, changed.unwrap_or(line))
        }
        Input::Answer(id, Delivery::Response(mut response)) => {
            if let Some(body) = changed(response.body()) {
                *response.body_mut() = body;
            }
            Input::Answer(id, Delivery::Response(response))
        }
        input => input,
    }
}

const TRANSITIONS: &str = r#""leaseTransitions":"#;
const MARKED: &str = r#""leasehold.dev/mark":""#;
const ACQUIRED: &str = r#""acquireTime":""#;
const EMPTY_HOLDER: &str = r#""holderIdentity":"""#;
