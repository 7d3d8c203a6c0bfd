//! What holds of every line of the watch of a Pod: nothing but the secret of the holder's process makes anybody take over, and
//! what is no event is told.

use leasehold_election::{Effect, Effects, Input, Note, Secret};

use crate::started::{Started, assert_sober};

/// Holds of all bytes.
pub(crate) fn property(line: &[u8]) {
    let (mut started, watch) = Started::watching_pod(&lease());
    let effects = started.input(Input::WatchLine(watch, line.to_vec()));
    assert_sober(&effects);
    let text = String::from_utf8_lossy(line);
    let reveals = text.contains(secret().reveal()) && text.contains("terminated");
    assert!(reveals || !takes_over(&effects), "{effects:?}");
    // Whatever it was, the machine goes on.
    started.input(Input::WatchEnded(watch, None));
    assert!(started.input(Input::Wake).wake_after.is_some());
}

/// What is written down of a kept example.
pub(crate) fn outcome(line: &[u8]) -> String {
    let (mut started, watch) = Started::watching_pod(&lease());
    let effects = started.input(Input::WatchLine(watch, line.to_vec()));
    let told = effects.list.iter().find_map(|effect| match effect {
        Effect::Note(Note::PodWatch { refusal, .. }) => Some(refusal.clone()),
        _ => None,
    });
    match told {
        _ if takes_over(&effects) => "takes over".to_owned(),
        Some(Some(refusal)) => format!("closes the watch: {refusal}"),
        Some(None) => "closes the watch".to_owned(),
        None => "waits".to_owned(),
    }
}

fn takes_over(effects: &Effects) -> bool {
    effects.list.iter().any(|effect| matches!(effect, Effect::Send { .. }))
}

fn secret() -> Secret {
    Secret::from_random([7; 16])
}

/// Held by the process whose Pod is watched.
fn lease() -> String {
    let nonce = secret().nonce();
    format!(
        r#"{{"kind":"Lease","metadata":{{"name":"db","namespace":"prod","uid":"known","resourceVersion":"200",
        "annotations":{{"leasehold.dev/mark":"3 {nonce} exec"}}}},"spec":{{"holderIdentity":"db-1_u-1_{nonce}",
        "renewTime":"2026-11-25T04:00:00.000000Z","leaseDurationSeconds":15,"leaseTransitions":3}}}}"#
    )
}
