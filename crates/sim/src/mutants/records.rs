//! Mutants that do not believe what a record shows.

use leasehold_election::{Delivery, Effects, Elector, Input, Reading};

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
