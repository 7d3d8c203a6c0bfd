//! What must hold of the requests of one machine, and how often what the rules are about has happened.

use std::time::Duration;

use http::Request;
use serde_json::Value;

/// What the rules need to remember.
#[derive(Default)]
pub(crate) struct Rules {
    pub(crate) works: bool,
    pub(crate) leads: bool,
    pub(crate) finished: bool,
    pub(crate) token: u64,
    /// Renew time of the term's last renewal.
    pub(crate) renewed: String,
    /// When the newest write of this candidate that the server applied was sent, on RAW.
    pub(crate) applied: Option<Duration>,
    pub(crate) reached: Reached,
}

impl Rules {
    pub(crate) fn check_request(&mut self, request: &Request<Vec<u8>>) {
        let Ok(body) = serde_json::from_slice::<Value>(request.body()) else { return };
        let Some(operations) = body.as_array() else {
            assert!(!self.works, "a Lease is created only when no work runs");
            self.renewed.clear();
            return;
        };
        let of = |op: &str, path: &str| {
            operations.iter().find(|operation| operation["op"] == op && operation["path"] == path)
        };
        assert!(of("test", "/metadata/uid").is_some(), "each patch is meant for one Lease");
        let renewed =
            of("add", "/spec/renewTime").expect("each patch moves renewTime")["value"].as_str().unwrap();
        match of("add", "/spec/holderIdentity").map(|operation| operation["value"].as_str().unwrap()) {
            None => {
                let whole_seconds = |time: &str| time.get(..19).unwrap_or_default().to_owned();
                let grows = whole_seconds(renewed) > whole_seconds(&self.renewed);
                assert!(grows, "client-go sees each renewal: {renewed} after {}", self.renewed);
                renewed.clone_into(&mut self.renewed);
                self.reached.renewals += 1;
            }
            Some(holder) => {
                assert!(!self.works, "no {holder:?} is written as holder while work runs");
                self.reached.releases += u64::from(holder.is_empty());
                self.renewed.clear();
            }
        }
    }
}

/// How often what the rules are about has happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reached {
    pub(crate) terms: u64,
    pub(crate) renewals: u64,
    pub(crate) lost: u64,
    pub(crate) planned: u64,
    pub(crate) kills: u64,
    pub(crate) releases: u64,
}

impl Reached {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            terms: self.terms + other.terms,
            renewals: self.renewals + other.renewals,
            lost: self.lost + other.lost,
            planned: self.planned + other.planned,
            kills: self.kills + other.kills,
            releases: self.releases + other.releases,
        }
    }
}
