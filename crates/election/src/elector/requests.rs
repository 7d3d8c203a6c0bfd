//! The one request that may be under way, its time limit, and where its answer goes.

use std::time::Duration;

use http::Request;

use super::{Elector, Phase};
use crate::answer::{Answer, Reason, Refusal};
use crate::clocks::Moment;
use crate::effect::{Delivery, Effect, Note, Operation, RequestId};
use crate::request::Acquisition;

/// A request under way.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    id: RequestId,
    pub(super) purpose: Purpose,
    verb: &'static str,
    pub(super) sent: Moment,
    deadline: Duration,
    pub(super) newest_at_send: u64,
}

/// What a request is for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    Read,
    Acquire { acquisition: Acquisition, creates: bool },
    Renew { replaced: Option<String>, renew_time: String },
    Release,
}

impl Purpose {
    fn operation(&self) -> Operation {
        match self {
            Self::Read => Operation::Read,
            Self::Acquire { .. } => Operation::Acquire,
            Self::Renew { .. } => Operation::Renew,
            Self::Release => Operation::Release,
        }
    }
}

impl Elector {
    pub(super) fn send(&mut self, purpose: Purpose, request: Request<Vec<u8>>) {
        debug_assert!(self.flight.is_none(), "one request at a time");
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.flight = Some(Flight {
            id,
            purpose,
            verb: verb(request.method()),
            sent: self.now,
            deadline: self.now.kill + self.config.timing.attempt_timeout(),
            newest_at_send: self.view.newest(),
        });
        let fresh = std::mem::take(&mut self.fresh);
        self.effects.push(Effect::Send { id, request, fresh });
    }

    /// Gives the request under way up, if any; its write may still happen.
    pub(super) fn abandon(&mut self) {
        if let Some(flight) = self.flight.take() {
            self.effects.push(Effect::Abandon(flight.id));
        }
    }

    pub(super) fn handle_request_timeout(&mut self) {
        let Some(flight) = self.flight.take_if(|flight| self.now.kill >= flight.deadline) else { return };
        self.effects.push(Effect::Abandon(flight.id));
        self.fresh = true;
        let allowed = self.config.timing.attempt_timeout();
        let refusal = Refusal::of(Reason::Timeout, format!("no answer within {allowed:?}"));
        self.handle_flight_end(&flight, Answer::Unknown(refusal));
    }

    pub(super) fn handle_answer(&mut self, id: RequestId, delivery: Delivery) {
        let Some(flight) = self.flight.take_if(|flight| flight.id == id) else { return };
        let answer = match delivery {
            Delivery::Response(response) => {
                self.answered |= !response.status().is_server_error();
                Answer::parse(&self.config.lease, &response)
            }
            Delivery::Lost(detail) => Answer::Unknown(Refusal::of(Reason::Unreachable, detail)),
        };
        self.handle_flight_end(&flight, answer);
    }

    fn handle_flight_end(&mut self, flight: &Flight, answer: Answer) {
        self.note_answer(flight, &answer);
        match &answer {
            Answer::Lease(_) => self.forget_asked(),
            Answer::Refused(refusal) | Answer::Unknown(refusal) => self.note_asked(refusal),
        }
        match &flight.purpose {
            Purpose::Read => self.handle_read(flight, answer),
            Purpose::Acquire { acquisition, creates } => {
                self.handle_acquisition(flight, acquisition, *creates, answer);
            }
            Purpose::Renew { replaced, renew_time } => {
                self.handle_renewal(flight, replaced.as_deref(), renew_time, answer);
            }
            Purpose::Release => self.handle_release(answer),
        }
    }

    fn note_answer(&mut self, flight: &Flight, answer: &Answer) {
        let operation = flight.purpose.operation();
        let result = match answer {
            Answer::Lease(_) => Ok(()),
            Answer::Refused(refusal) | Answer::Unknown(refusal) => Err(refusal.clone()),
        };
        let counts = result.is_err() && self.is_failure(operation, result.as_ref().err());
        self.effects.push(Effect::Note(Note::Answered {
            operation,
            verb: flight.verb,
            result,
            elapsed: self.now.kill.saturating_sub(flight.sent.kill),
            counts,
        }));
    }

    /// Whether a failed request counts in `leader_election_lease_renew_failure_total`: every renewal, and every
    /// attempt to read or obtain the Lease while no leader is known. A lost race is no failure.
    fn is_failure(&self, operation: Operation, refusal: Option<&Refusal>) -> bool {
        let lost_race = refusal.is_some_and(|refusal| refusal.reason == Reason::Conflict);
        match operation {
            Operation::Renew => true,
            Operation::Acquire => !lost_race,
            Operation::Read | Operation::Watch => {
                matches!(self.phase, Phase::Campaigning | Phase::Lost(_))
                    && self.holder().is_none_or(str::is_empty)
            }
            Operation::Release => false,
        }
    }

    pub(super) fn request_wake(&self) -> Option<Duration> {
        self.flight.as_ref().map(|flight| flight.deadline.saturating_sub(self.now.kill))
    }
}

fn verb(method: &http::Method) -> &'static str {
    match method.as_str() {
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        _ => "GET",
    }
}
