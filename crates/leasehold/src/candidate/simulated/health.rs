//! Health and signs of life, as the driver feeds them to the election.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use leasehold_apiserver::Api;
use leasehold_election::Health;
use tokio::sync::watch;
use turmoil::Sim;

use super::network::{self, SERVER};
use super::time::{self, VIRTUAL};
use crate::candidate::Candidate;
use crate::handle::{Handle, Status};
use crate::leadership::Leadership;
use crate::watchdog::Watchdog;

/// One candidate alone, whose work gives signs of life as long as `beats` is set.
struct Alone {
    sim: Sim<'static>,
    handle: Rc<RefCell<Option<Handle>>>,
    health: watch::Sender<Health>,
    beats: watch::Sender<bool>,
}

impl Alone {
    fn begin(health: Health, lead_unhealthy_after: Option<Duration>) -> Self {
        time::begin(7);
        let mut sim =
            turmoil::Builder::new().simulation_duration(Duration::from_secs(3_600)).rng_seed(7).build();
        let api = Api::new(time::wall_clock, time::chance);
        let create = http::Request::post("/apis/coordination.k8s.io/v1/namespaces/default/leases")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(br#"{"metadata":{"name":"leader"},"spec":{}}"#.to_vec())
            .expect("a request");
        assert_eq!(api.handle(&create).status(), http::StatusCode::CREATED);
        sim.host(SERVER, move || network::serve(api.clone()));
        let (health, checks) = watch::channel(health);
        let (beats, beating) = watch::channel(true);
        let handle: Rc<RefCell<Option<Handle>>> = Rc::default();
        let slot = Rc::clone(&handle);
        sim.host("app", move || {
            let (slot, checks, beating) = (Rc::clone(&slot), checks.clone(), beating.clone());
            async move {
                let mut builder = Candidate::builder("default", "leader")
                    .identity("app")
                    .heartbeat_deadline(DEADLINE)
                    .health(checks);
                builder.machine = VIRTUAL;
                builder.lead_unhealthy_after = lead_unhealthy_after;
                let candidate = builder.build()?;
                *slot.borrow_mut() = Some(candidate.handle());
                let (running, driving) = candidate.campaign.begin(Watchdog::unattended()?);
                tokio::task::spawn_local(
                    driving.drive(async { Ok(network::transport().expect("a client")) }),
                );
                running.run(|leadership| work(leadership, beating.clone())).await?;
                Ok(())
            }
        });
        Self { sim, handle, health, beats }
    }

    fn run(&mut self, time: Duration) {
        let end = self.sim.elapsed() + time;
        while self.sim.elapsed() < end {
            self.sim.step().expect("the host runs on");
            time::note(self.sim.elapsed());
        }
    }

    fn status(&self) -> Status {
        self.handle.borrow().as_ref().expect("it has started").status()
    }

    fn leads(&self) -> bool {
        self.handle.borrow().as_ref().is_some_and(Handle::is_leader)
    }
}

/// Works as long as it beats, and hangs for ten seconds when asked to stop while it does not.
async fn work(leadership: Leadership, beating: watch::Receiver<bool>) {
    while leadership.check().is_ok() {
        if *beating.borrow() {
            leadership.heartbeat();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    if !*beating.borrow() {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
}

#[test]
fn work_that_hangs_leads_no_more_at_its_deadline_and_keeps_the_lease_until_it_has_ended() {
    let mut alone = Alone::begin(Health::Healthy, None);
    alone.run(Duration::from_secs(60));
    assert!(alone.leads(), "signs of life come");
    alone.beats.send_replace(false);
    alone.run(DEADLINE + Duration::from_millis(1));
    assert!(!alone.leads());
    alone.run(Duration::from_secs(6));
    let status = alone.status();
    assert_eq!((status.state.as_str(), status.holder.as_deref()), ("stopping", Some("app")));
    alone.beats.send_replace(true);
    alone.run(Duration::from_secs(5));
    assert_eq!(alone.status().holder.as_deref(), Some(""), "the work has ended, and the lease is given back");
    alone.run(Duration::from_secs(16));
    assert!(alone.leads(), "it has rested");
}

#[test]
fn who_is_unhealthy_leads_no_more_and_not_before_it_is_healthy_again() {
    let mut alone = Alone::begin(Health::unhealthy("not checked yet"), None);
    alone.run(Duration::from_secs(60));
    assert!(!alone.leads() && !alone.status().health.is_healthy());
    alone.health.send_replace(Health::Healthy);
    alone.run(Duration::from_secs(1));
    assert!(alone.leads());
    alone.health.send_replace(Health::unhealthy("the disk is full"));
    alone.run(Duration::from_secs(1));
    assert!(!alone.leads());
    assert_eq!(alone.status().health.reason(), Some("the disk is full"));
    alone.health.send_replace(Health::Healthy);
    alone.run(Duration::from_secs(20));
    assert!(alone.leads());
}

#[test]
fn who_leads_unhealthy_rather_than_nobody_says_so() {
    let mut alone = Alone::begin(Health::unhealthy("the disk is full"), Some(Duration::from_secs(30)));
    alone.run(Duration::from_secs(29));
    assert!(!alone.leads());
    alone.run(Duration::from_secs(3));
    assert!(alone.leads());
    let error = alone.status().last_error.expect("a person must know");
    assert!(error.contains("leading although unhealthy") && error.contains("the disk is full"), "{error}");
    alone.health.send_replace(Health::Healthy);
    alone.run(Duration::from_secs(1));
    assert_eq!((alone.leads(), alone.status().last_error), (true, None));
}

const DEADLINE: Duration = Duration::from_secs(4);
