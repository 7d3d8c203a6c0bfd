//! The other verbs as a user runs them.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn leasehold(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn the_api_server_serves_says_where_and_ends_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let shown = kubeconfig.to_str().unwrap();
    let mut server =
        leasehold(&["apiserver", "--listen", "127.0.0.1:0", "--kubeconfig-out", shown]).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    let url = first.strip_prefix("listening on ").unwrap().split(';').next().unwrap();
    assert!(fs::read_to_string(&kubeconfig).unwrap().contains(&format!("server: {url}\n")));
    assert_eq!(lines.nth(1).unwrap(), format!("$ kubectl --kubeconfig {shown} get leases -A -w"));

    let mut connection = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    let request = "GET /api/v1/namespaces/default HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");

    let id = Pid::from_raw(server.id().try_into().unwrap()).unwrap();
    kill_process(id, Signal::INT).unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_run_says_what_is_wrong_and_what_to_do() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = leasehold(&["apiserver", "--listen", &address]).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(errors.starts_with(&format!("error: {address} cannot be listened on: ")), "{errors}");
    assert!(errors.contains("\n\nhint: name another --listen"), "{errors}");

    let output = leasehold(&["elect"]).env_clear().output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(errors.starts_with("error: --lease is missing"), "{errors}");
    assert!(errors.ends_with("\n\nhint: see leasehold elect --help\n"), "{errors}");
}

#[test]
fn the_file_that_electing_writes_can_be_asked_with_the_same_program() {
    let output = leasehold(&["elect", "check", "--file", "/nonexistent/is-leader"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "there is no file: this Pod does not lead\n");
}

#[test]
fn a_version_is_told() {
    let output = leasehold(&["--version"]).output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("leasehold {}\n", env!("CARGO_PKG_VERSION"))
    );
}
