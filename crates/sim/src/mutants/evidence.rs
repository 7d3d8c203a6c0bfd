//! Mutants that take for evidence what is none: they forge, for the shipped elector, a report of the kubelet that it believes.
//! For that they know the secrets of all processes, as nobody does.

use std::collections::BTreeMap;

use leasehold_election::{Delivery, Effects, Elector, Input, Mode, Reading, Secret};
use serde_json::{Value, json};

use super::Mutant;

/// What is believed of a Pod's event, by the line that reveals the holder's secret and by its nonce.
type Belief = fn(event: &mut Value, line: &str, nonce: &str);

/// Believes a Pod's event in a way of its own.
#[derive(Debug)]
pub(super) struct Believes {
    belief: Belief,
    /// By their nonces.
    secrets: BTreeMap<String, Secret>,
    /// Of the holder that was seen last.
    holder: Option<(String, Mode)>,
}

impl Believes {
    fn with(belief: Belief) -> Self {
        Self { belief, secrets: BTreeMap::new(), holder: None }
    }

    /// Any terminated entry proves the end of the process that now runs.
    pub(super) fn any_end() -> Self {
        Self::with(|event, line, _| {
            for state in states(event, |name| name == ELECTOR) {
                if state["terminated"]["containerID"].is_string() {
                    state["terminated"]["message"] = json!(line);
                }
            }
        })
    }

    /// The nonce, which everybody can read in the Lease, is as good as the secret.
    pub(super) fn the_nonce() -> Self {
        Self::with(|event, line, nonce| {
            for state in states(event, |_| true) {
                if state["terminated"]["message"].as_str().is_some_and(|said| said.contains(nonce)) {
                    state["terminated"]["message"] = json!(line);
                }
            }
        })
    }

    /// A Pod that is gone does not run.
    pub(super) fn absence() -> Self {
        Self::with(|event, line, _| {
            if event["type"] == "DELETED" {
                forge(event, line);
            }
        })
    }

    /// A Pod that has failed does not run.
    pub(super) fn failure() -> Self {
        Self::with(|event, line, _| {
            if event["object"]["status"]["phase"] == "Failed" {
                forge(event, line);
            }
        })
    }

    fn note_holder(&mut self, body: &[u8]) {
        let text = String::from_utf8_lossy(body);
        let mark = text.split_once(MARKED).and_then(|(_, rest)| rest.split_once('"'));
        let Some((mark, _)) = mark else { return };
        let words: Vec<&str> = mark.split(' ').collect();
        if let [_, nonce, mode] = words[..] {
            self.holder = mode.parse().ok().map(|mode| (nonce.to_owned(), mode));
        }
    }

    fn believed(&self, event: &[u8]) -> Option<Vec<u8>> {
        let (nonce, mode) = self.holder.as_ref()?;
        let line = self.secrets.get(nonce)?.termination_message(*mode);
        let mut event: Value = serde_json::from_slice(event).ok()?;
        (self.belief)(&mut event, &line, nonce);
        Some(event.to_string().into_bytes())
    }
}

impl Mutant for Believes {
    fn learn(&mut self, secret: &Secret) {
        self.secrets.insert(secret.nonce().to_string(), secret.clone());
    }

    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        let input = match input {
            Input::WatchLine(id, line) if is_of_pod(&line) => {
                let believed = self.believed(&line);
                Input::WatchLine(id, believed.unwrap_or(line))
            }
            Input::WatchLine(_, ref line) => {
                self.note_holder(line);
                input
            }
            Input::Answer(_, Delivery::Response(ref response)) => {
                self.note_holder(response.body());
                input
            }
            input => input,
        };
        elector.handle(reading, chance, input)
    }
}

/// Takes a term whose work an app does by a file for one whose command the elector runs.
#[derive(Debug)]
pub(super) struct FileIsExec;

impl Mutant for FileIsExec {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        let exec = |body: &[u8]| {
            let text = String::from_utf8_lossy(body);
            text.replace(" file\"", " exec\"").replace(" file\\n", " exec\\n").into_bytes()
        };
        let input = match input {
            Input::WatchLine(id, line) => Input::WatchLine(id, exec(&line)),
            Input::Answer(id, Delivery::Response(response)) => {
                Input::Answer(id, Delivery::Response(response.map(|body| exec(&body))))
            }
            input => input,
        };
        elector.handle(reading, chance, input)
    }
}

fn is_of_pod(line: &[u8]) -> bool {
    line.windows(KIND.len()).any(|window| window == KIND)
}

/// What is told of the ends of these containers.
fn states(event: &mut Value, of: fn(&str) -> bool) -> impl Iterator<Item = &mut Value> {
    let containers = event["object"]["status"]["containerStatuses"].as_array_mut().into_iter().flatten();
    let containers = containers.filter(move |container| container["name"].as_str().is_some_and(of));
    let states = containers.filter_map(Value::as_object_mut).flat_map(|container| container.iter_mut());
    states.filter(|(name, state)| name.ends_with("tate") && state.is_object()).map(|(_, state)| state)
}

/// Writes into the last version of a Pod that all of it has ended, as a kubelet would have seen it.
fn forge(event: &mut Value, line: &str) {
    let status = |name: &str| {
        json!({ "name": name, "state": { "terminated": {
            "containerID": "containerd://forged", "finishedAt": "2026-01-01T00:00:00Z", "message": line,
        } } })
    };
    event["object"]["status"] =
        json!({ "phase": "Failed", "containerStatuses": [status(ELECTOR), status("app")] });
}

const ELECTOR: &str = "elector";
const KIND: &[u8] = br#""kind":"Pod""#;
const MARKED: &str = r#""leasehold.dev/mark":""#;
