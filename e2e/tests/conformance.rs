//! One body of cases on two servers: the embedded API server answers as the real kube-apiserver does.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use leasehold_apiserver::ApiServer;
use leasehold_e2e::ControlPlane;
use leasehold_e2e::conformance::differences::{self, LISTED};
use leasehold_e2e::conformance::random::{self, SEED_VARIABLE};
use leasehold_e2e::conformance::server::Answer;
use leasehold_e2e::conformance::watching::guarantees::Trial;
use leasehold_e2e::conformance::watching::{expired, stories};
use leasehold_e2e::conformance::{Case, Comparison, Pair, Server, cases, races};

/// Both servers, for one test.
struct Servers {
    pair: Pair,
    _control_plane: Arc<ControlPlane>,
    _embedded: ApiServer,
}

impl Servers {
    async fn start() -> Self {
        let control_plane = ControlPlane::shared().await.unwrap();
        let real = Server::real(&control_plane).await.unwrap();
        let (_embedded, embedded) = start_embedded().await;
        Self { pair: Pair { real, embedded }, _control_plane: control_plane, _embedded }
    }
}

async fn start_embedded() -> (ApiServer, Server) {
    let server = ApiServer::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let client = Server::embedded(&server.url()).unwrap();
    (server, client)
}

/// Runs every case of a group, each in a namespace of its own, and holds the answers against each other.
async fn conform(group: &str, cases: Vec<Case>) {
    let servers = Servers::start().await;
    let mut comparisons = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        comparisons.push(servers.pair.run(&format!("{group}-{number}"), case).await.unwrap());
    }
    judge(group, &comparisons);
}

/// Fails if the servers differ in a way that is not listed.
fn judge(group: &str, comparisons: &[Comparison]) {
    if let Some(folder) = std::env::var_os(ANSWERS_VARIABLE) {
        let transcript: String = comparisons.iter().map(Comparison::transcript).collect();
        std::fs::write(Path::new(&folder).join(format!("{group}.txt")), transcript).unwrap();
    }
    if let Err(text) = differences::judge(comparisons, &LISTED) {
        panic!("the servers differ\n{text}");
    }
}

#[tokio::test]
async fn leases_are_created_read_and_updated_alike() {
    conform("leases", cases::leases::cases()).await;
}

#[tokio::test]
async fn patches_do_the_same() {
    conform("patches", cases::patches::cases()).await;
}

#[tokio::test]
async fn deletions_do_the_same() {
    conform("deletes", cases::deletes::cases()).await;
}

#[tokio::test]
async fn the_objects_of_old_locks_and_events_behave_alike() {
    conform("locks", cases::locks::cases()).await;
}

#[tokio::test]
async fn namespaces_behave_alike() {
    conform("namespaces", cases::namespaces::cases()).await;
}

#[tokio::test]
async fn pods_behave_alike_as_far_as_elections_need_them() {
    conform("pods", cases::pods::cases()).await;
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused_alike() {
    conform("refusals", cases::refusals::cases()).await;
}

#[tokio::test]
async fn selectors_select_alike() {
    conform("selectors", cases::selectors::cases()).await;
}

#[tokio::test]
async fn writers_are_stamped_alike() {
    conform("stamps", cases::stamps::cases()).await;
}

#[tokio::test]
async fn tables_are_alike() {
    conform("tables", cases::tables::cases()).await;
}

#[tokio::test]
async fn watches_tell_the_same_stories() {
    let servers = Servers::start().await;
    let mut comparisons = Vec::new();
    for (number, story) in stories::stories().iter().enumerate() {
        comparisons.push(story.compare(&servers.pair, &format!("story-{number}")).await.unwrap());
    }
    judge("watches", &comparisons);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_of_both_servers_keep_the_guarantees_of_etcd() {
    let servers = Servers::start().await;
    for server in [&servers.pair.real, &servers.pair.embedded] {
        for seed in 0..WATCH_TRIALS {
            let trial = Trial::new(server, &format!("watched-{seed}")).await.unwrap();
            let events = trial.events_are_exactly_the_writes(seed).await;
            let events =
                events.unwrap_or_else(|error| panic!("{} server, seed {seed}: {error:#}", server.name()));
            assert!(events > 100, "{events} events show nothing");
        }
        let trial = Trial::new(server, "bookmarked").await.unwrap();
        let result = trial.bookmarks_can_be_resumed_from().await;
        result.unwrap_or_else(|error| panic!("{} server: {error:#}", server.name()));
    }
}

#[tokio::test]
async fn of_many_at_once_as_many_win() {
    let servers = Servers::start().await;
    let mut comparisons = Vec::new();
    for (number, race) in races::races().iter().enumerate() {
        comparisons.push(race.compare(&servers.pair, &format!("race-{number}")).await.unwrap());
    }
    judge("races", &comparisons);
}

/// The real server forgets what was before its start; the embedded one is told to forget.
#[tokio::test]
async fn a_version_that_is_no_longer_kept_is_gone() {
    let control_plane = ControlPlane::start().await.unwrap();
    control_plane.stop_api_server().unwrap();
    control_plane.start_api_server().await.unwrap();
    let real = Server::real(&control_plane).await.unwrap();
    let expected = expired::answer(&real, LEASES, 1).await.unwrap();
    assert_eq!(expected["object"]["code"], 410, "{expected:#}");
    let (server, embedded) = start_embedded().await;
    embedded.create_namespace("before", false).await.unwrap();
    server.compact(server.revision());
    assert_eq!(expired::answer(&embedded, LEASES, 1).await.unwrap(), expected);
}

/// Without being told, the embedded server keeps a bounded number of changes.
#[tokio::test]
async fn the_embedded_server_forgets_the_oldest_of_many_changes() {
    let (_server, embedded) = start_embedded().await;
    expired::push_out(&embedded, KEPT_MAX).await.unwrap();
    let answer = expired::answer(&embedded, LEASES, 1).await.unwrap();
    assert_eq!(answer["object"]["code"], 410, "{answer:#}");
}

/// The comparison itself: a server that hides one conflict in so many is found, and the script is cut down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hides_conflicts_is_caught_by_a_short_script() {
    fn hide_conflicts(answer: &mut Answer) {
        if answer.status == 409 {
            answer.status = 200;
        }
    }
    let (_first, right) = start_embedded().await;
    let (_second, wrong) = start_embedded().await;
    let same =
        random::campaign(&Pair { real: right.clone(), embedded: wrong.clone() }, 0, 20, 4).await.unwrap();
    assert!(same.failures.is_empty(), "{}", same.failures.join("\n"));
    let pair = Pair { real: right, embedded: wrong.mutant(hide_conflicts) };
    let caught = random::campaign(&pair, 100, 20, 4).await.unwrap();
    let report = caught.failures.first().expect("the fault is found");
    assert!(report.contains("/status: real 409, embedded 200"), "{report}");
    assert!(report.contains("LEASEHOLD_SEED=1"), "{report}");
    assert!(report.lines().filter(|line| line.contains(" <- ")).count() <= 4, "not cut down: {report}");
}

/// One seed if `LEASEHOLD_SEED` names it; else as many as the gate, or the full run, has time for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_scripts_are_answered_alike() {
    let servers = Servers::start().await;
    let (first, count) = match std::env::var(SEED_VARIABLE) {
        Ok(seed) => (seed.parse().expect("the seed is a number"), 1),
        Err(_) if std::env::var_os("LEASEHOLD_FULL").is_some() => (0, SCRIPTS_FULL),
        Err(_) => (0, SCRIPTS_GATE),
    };
    let begun = std::time::Instant::now();
    let tally = random::campaign(&servers.pair, first, count, SCRIPTS_AT_ONCE).await.unwrap();
    println!(
        "{} scripts, {} requests on each server, {} conflicts, {:.0?}",
        tally.scripts,
        tally.steps,
        tally.conflicts,
        begun.elapsed(),
    );
    assert!(tally.failures.is_empty(), "the servers differ\n{}", tally.failures.join("\n"));
    assert_eq!(tally.scripts_without_conflict, 0, "a script without a conflict shows nothing");
}

/// Names a folder, into which every answer of the written cases is written for reading.
const ANSWERS_VARIABLE: &str = "LEASEHOLD_ANSWERS";
const LEASES: &str = "/apis/coordination.k8s.io/v1/leases";
/// More changes than the embedded server keeps.
const KEPT_MAX: usize = 11_000;
const WATCH_TRIALS: u64 = 5;
const SCRIPTS_GATE: u64 = 1_000;
const SCRIPTS_FULL: u64 = 10_000;
const SCRIPTS_AT_ONCE: usize = 8;
