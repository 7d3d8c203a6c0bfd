//! Files and answers that were made up: one that makes a leader, and others that differ from it in one thing each.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use leasehold_e2e::boottime_ns;
use leasehold_e2e::sidecar::free_address;
use tempfile::TempDir;

use crate::languages::{BOOT, BOOTTIME, Reader, STATE, WALL_CLOCK};

/// One question.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    how: &'static str,
    whom: String,
    leads: bool,
    /// The only rule by which it makes no leader.
    pub(crate) breaks: Option<&'static str>,
}

/// All questions, with whom to ask.
pub(crate) struct Canned {
    cases: Vec<Case>,
    _folder: TempDir,
}

impl Canned {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let url = serve(answers());
        let case = |name, how, whom, breaks| Case { name, how, whom, leads: name == LEADER, breaks };
        let mut cases = Vec::new();
        for (name, text, breaks) in files() {
            fs::write(path(name), text).unwrap();
            cases.push(case(name, "file", path(name), breaks));
        }
        cases.push(case("absent", "file", path("absent"), None));
        for (index, (name, _, breaks)) in answers().into_iter().enumerate() {
            cases.push(case(name, "http", format!("{url}/{index}"), breaks));
        }
        let nobody = format!("http://{}", free_address().unwrap());
        cases.push(case("nobody", "http", nobody, None));
        Self { cases, _folder: folder }
    }

    pub(crate) fn cases(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter()
    }

    /// The chosen cases in which a reader says what it should not.
    pub(crate) fn wrong_answers(&self, reader: &Reader, chosen: impl Fn(&Case) -> bool) -> Vec<&'static str> {
        let is_wrong = |case: &&Case| {
            let wanted = case.leads.then_some(TOKEN);
            reader.ask(case.how, &case.whom) != wanted
        };
        self.cases().filter(|case| chosen(case)).filter(is_wrong).map(|case| case.name).collect()
    }
}

type Told = (&'static str, String, Option<&'static str>);

/// Lines as the sidecar writes them.
fn files() -> Vec<Told> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let line = |boot: &str, boottime_ns: u64, wall: Timestamp| {
        format!(
            "{{\"identity\":\"app-0_\\\"token\\\":9_0123456789abcdef\",\"lease\":\"production/leader\",\"token\":{TOKEN},\
             \"transitions\":1,\"lead_until\":\"{wall}\",\"valid_until\":\"{wall}\",\"lead_until_boottime_ns\":{boottime_ns},\
             \"valid_until_boottime_ns\":{later_ns},\"boot_id\":\"{boot}\"}}\n",
            later_ns = later_ns(),
        )
    };
    let boot = boot.trim();
    let leader = line(boot, later_ns(), later());
    let half = leader[..leader.len() / 2].to_owned();
    vec![
        (LEADER, leader, None),
        ("of another boot", line("00000000-0000-4000-8000-000000000000", later_ns(), later()), Some(BOOT)),
        ("over on BOOTTIME", line(boot, boottime_ns(), later()), Some(BOOTTIME)),
        ("over on the wall clock", line(boot, later_ns(), Timestamp::now()), Some(WALL_CLOCK)),
        ("empty", String::new(), None),
        ("half", half, None),
        ("a list", "[]\n".to_owned(), None),
        ("no JSON", "yes\n".to_owned(), None),
    ]
}

/// Answers to `GET /v1/status`, with their status lines; without one, nothing is answered.
fn answers() -> Vec<Told> {
    let status = |state: &str, until: &str| {
        format!(
            "{{\"apiVersion\":\"leasehold.dev/v1\",\"kind\":\"Status\",\"last_error\":null,\"lead_until\":{until},\
             \"lease\":\"leader\",\"state\":\"{state}\",\"token\":{TOKEN},\"transitions\":1,\"valid_for_ms\":14660}}"
        )
    };
    let [soon, now] = [later(), Timestamp::now()].map(|time| format!("\"{time}\""));
    let ok = |body: &str| format!("200 OK\n{body}");
    vec![
        (LEADER, ok(&status("leader", &soon)), None),
        ("stopping", ok(&status("stopping", &soon)), Some(STATE)),
        ("over when it arrives", ok(&status("leader", &now)), Some(WALL_CLOCK)),
        ("nulls", ok(r#"{"state":"standby","token":null,"lead_until":null}"#), None),
        ("a page", ok("<html>leader</html>"), None),
        ("503", format!("503 Service Unavailable\n{}", status("leader", &soon)), None),
        ("a redirection", "302 Found\n".to_owned(), None),
        ("silence", String::new(), None),
    ]
}

/// Serves each of them under its number.
fn serve(answers: Vec<Told>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answers: BTreeMap<String, String> = answers
        .into_iter()
        .enumerate()
        .map(|(index, (_, answer, _))| (format!("GET /{index}/v1/status "), answer))
        .collect();
    thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming().flatten() {
            silent.extend(answer(stream, &answers));
        }
    });
    format!("http://{address}")
}

/// Gives the stream back where nothing is to be said.
fn answer(mut stream: TcpStream, answers: &BTreeMap<String, String>) -> Option<TcpStream> {
    let mut request = BufReader::new(stream.try_clone().ok()?).lines();
    let first = request.next()?.ok()?;
    request.find(|line| line.as_ref().is_ok_and(String::is_empty))?.ok()?;
    let (_, told) = answers.iter().find(|(start, _)| first.starts_with(start.as_str()))?;
    let Some((status, body)) = told.split_once('\n') else { return Some(stream) };
    let length = body.len();
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).ok();
    None
}

fn later() -> Timestamp {
    Timestamp::now() + LATER
}

fn later_ns() -> u64 {
    boottime_ns() + u64::try_from(LATER.as_nanos()).unwrap()
}

const LEADER: &str = "leader";
const TOKEN: u64 = 215;
/// Longer than all questions together take.
const LATER: Duration = Duration::from_secs(3_600);
