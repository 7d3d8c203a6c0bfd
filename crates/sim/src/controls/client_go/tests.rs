//! Stories of client-go, each read from its source.

use http::Response;
use jiff::Timestamp;
use leasehold_election::{Identity, Secret, Timing};
use serde_json::json;

use super::*;

/// One candidate at the default timings, with its clock in milliseconds.
struct Story {
    candidate: ClientGo,
    acts: Vec<Act>,
}

impl Story {
    fn new(release: bool) -> Self {
        let lease = LeaseName::new("prod", "db").unwrap();
        let identity = Identity::explicit("me", &Secret::from_random([7; 16])).unwrap();
        let config = Config::new(lease, identity, Timing::default());
        let options = Options { release, client_timeout: Some(Duration::from_secs(5)) };
        Self { candidate: ClientGo::new(&config, options), acts: Vec::new() }
    }

    fn happens(&mut self, at: u64, happening: Happening) -> Option<Duration> {
        let clock = Duration::from_millis(at);
        let realtime = Timestamp::from_millisecond(1_767_225_600_000 + i64::try_from(at).unwrap()).unwrap();
        let reading = Reading { raw: clock, boottime: clock, realtime };
        let turn = self.candidate.handle(reading, 600, happening);
        self.acts = turn.acts;
        turn.wake_after
    }

    /// The request that is being sent, by its operation and number.
    fn sent(&self) -> (Operation, u64) {
        let sent = self.acts.iter().rev().find_map(|act| match act {
            Act::Send { id, operation, .. } => Some((*operation, *id)),
            _ => None,
        });
        sent.expect("a request is sent")
    }

    fn body(&self) -> Value {
        let sent = self.acts.iter().find_map(|act| match act {
            Act::Send { request, .. } => Some(serde_json::from_slice(request.body()).unwrap()),
            _ => None,
        });
        sent.expect("a request is sent")
    }

    /// Answers the last request.
    fn answer(&mut self, at: u64, code: u16, body: &Value) -> Option<Duration> {
        let (_, id) = self.sent();
        let response = Response::builder().status(code).body(body.to_string().into_bytes()).unwrap();
        self.happens(at, Happening::Answer(id, Delivery::Response(response)))
    }

    /// Accepts the write that is being sent.
    fn accept(&mut self, at: u64) -> Option<Duration> {
        let body = self.body();
        self.answer(at, 200, &body)
    }

    /// It acquires a free Lease at 20 ms, and renews it for the first time at 30 ms.
    fn of_leader(release: bool) -> Self {
        let mut story = Self::new(release);
        story.happens(0, Happening::Start);
        story.answer(10, 200, &lease("", 3, "2026-01-01T00:00:00.000000Z"));
        assert_eq!(story.sent().0, Operation::Acquire);
        assert_eq!(story.body()["spec"]["leaseTransitions"], 4);
        story.accept(20);
        assert_eq!(story.sent().0, Operation::Renew, "the first renewal follows at once");
        story.accept(30);
        story
    }

    fn leads(&self) -> bool {
        self.candidate.leads()
    }
}

fn lease(holder: &str, transitions: i64, renewed: &str) -> Value {
    json!({"metadata": {"name": "db", "namespace": "prod", "uid": "u", "resourceVersion": "7"},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": transitions,
            "acquireTime": renewed, "renewTime": renewed}})
}

#[test]
fn a_standby_tries_again_after_one_to_two_point_two_retry_periods() {
    let mut story = Story::new(true);
    story.happens(0, Happening::Start);
    let wait = story.answer(10, 200, &lease("other", 3, "2026-01-01T00:00:00.000000Z"));
    // With the chance of a half: 2 s x (1 + 0.5 x 1.2).
    assert_eq!(wait, Some(Duration::from_millis(3_200)));
}

#[test]
fn the_tries_of_one_poll_keep_their_beat_and_end_at_the_renew_deadline() {
    let mut story = Story::of_leader(false);
    story.happens(2_030, Happening::Wake);
    let (_, id) = story.sent();
    // The update is given up after 5 s, then the read after another 5 s: at 12.03 s the poll ends, and the work with it.
    assert_eq!(story.happens(7_030, Happening::Wake), Some(Duration::from_secs(5)));
    assert!(matches!(story.acts[..], [Act::Abandon(given_up), Act::Send { .. }] if given_up == id));
    assert!(story.leads());
    story.happens(12_030, Happening::Wake);
    assert!(!story.leads() && story.acts.iter().any(|act| matches!(act, Act::Finish)));
}

#[test]
fn a_try_that_fails_early_is_followed_by_one_at_the_next_tick() {
    let mut story = Story::of_leader(false);
    story.happens(2_030, Happening::Wake);
    story.answer(2_100, 500, &json!({}));
    let wait = story.answer(2_200, 500, &json!({}));
    assert_eq!(wait, Some(Duration::from_millis(1_830)), "the poll began at 2.03 s");
}

/// U1, U2.
#[test]
fn a_late_release_clears_whatever_the_fresh_object_shows_while_the_work_goes_on() {
    let mut story = Story::of_leader(true);
    story.happens(2_030, Happening::Wake);
    story.happens(7_030, Happening::Wake);
    story.happens(12_030, Happening::Wake);
    assert!(story.leads(), "it releases before it stops");
    story.answer(16_000, 200, &lease("successor", 5, "2026-01-01T00:00:15.000000Z"));
    assert_eq!((story.sent().0, &story.body()["spec"]["holderIdentity"]), (Operation::Release, &json!("")));
    assert!(story.leads());
    story.accept(16_010);
    assert!(!story.leads());
}

/// U3.
#[test]
fn another_holder_does_not_stop_a_leader_before_its_deadline() {
    let mut story = Story::of_leader(true);
    story.happens(2_030, Happening::Wake);
    story.answer(2_040, 409, &json!({}));
    story.answer(2_050, 200, &lease("other", 5, "2026-01-01T00:00:02.000000Z"));
    assert!(story.leads());
    story.happens(12_030, Happening::Wake);
    story.answer(12_040, 200, &lease("other", 5, "2026-01-01T00:00:12.000000Z"));
    assert!(!story.leads() && story.acts.iter().any(|act| matches!(act, Act::Finish)));
}

/// U10.
#[test]
fn a_renewal_within_the_same_second_is_no_news_to_a_standby() {
    let mut story = Story::new(true);
    story.happens(0, Happening::Start);
    story.answer(10, 200, &lease("other", 3, "2026-01-01T00:00:00.100000Z"));
    story.happens(14_000, Happening::Wake);
    story.answer(14_010, 200, &lease("other", 3, "2026-01-01T00:00:00.900000Z"));
    story.happens(17_300, Happening::Wake);
    story.answer(17_310, 200, &lease("other", 3, "2026-01-01T00:00:00.900000Z"));
    assert_eq!(story.sent().0, Operation::Acquire);
}
