//! What holds of every request. An example is a line with method, target and content type, then the body.

use http::{Method, Request};
use jiff::Timestamp;
use leasehold_apiserver::store::Store;
use serde_json::Value;

use crate::world::{World, assert_refused, body, request, summary};

/// Holds of all bytes.
pub(crate) fn property(bytes: &[u8]) {
    let Some(request) = read(bytes) else { return };
    let mut world = World::new();
    if Store::is_watch(&request) {
        return watch(&world, &request);
    }
    let mut twin = world.clone();
    let (before, revision) = (world.lease(), world.store.revision());
    let response = world.send(&request);
    assert_eq!(twin.send(&request).body(), response.body(), "the same request, the same answer");
    let query = request.uri().query().unwrap_or_default();
    if response.status().is_client_error() || response.status().is_server_error() {
        assert_refused(&response);
        // As on the real server, the form of the answer is looked at when all else is done.
        if !query.contains("nclude") {
            assert_eq!(
                (world.lease(), world.store.revision()),
                (before, revision),
                "what is refused changes nothing"
            );
        }
    } else {
        body(&response);
        let reads = request.method() == Method::GET || query.contains("dryRun=All");
        assert!(!reads || world.store.revision() == revision, "who reads changes nothing");
    }
    world.assert_settled();
}

/// What is written down of a kept example.
pub(crate) fn outcome(bytes: &[u8]) -> String {
    let Some(request) = read(bytes) else {
        return "no request".to_owned();
    };
    let mut world = World::new();
    if !Store::is_watch(&request) {
        return summary(&world.send(&request));
    }
    match world.store.open_watch(Timestamp::UNIX_EPOCH, &request) {
        Ok(mut watch) => {
            let lines = world.store.poll_watch(Timestamp::UNIX_EPOCH, &mut watch);
            let lines =
                lines.iter().map(|line| String::from_utf8_lossy(line).chars().take(60).collect::<String>());
            format!("a watch: {:?}", lines.collect::<Vec<_>>())
        }
        Err(response) => summary(&response),
    }
}

/// Lines are whole, each is one event, and a watch that has told everything is silent.
fn watch(world: &World, request: &Request<Vec<u8>>) {
    let now = Timestamp::UNIX_EPOCH;
    match world.store.open_watch(now, request) {
        Ok(mut watch) => {
            for line in world.store.poll_watch(now, &mut watch) {
                assert_eq!(line.iter().position(|&byte| byte == b'\n'), Some(line.len() - 1));
                let event: Value = serde_json::from_slice(&line).unwrap();
                assert!(event["type"].is_string() && event["object"].is_object(), "{event}");
            }
            assert_eq!(world.store.poll_watch(now, &mut watch), [] as [&[u8]; 0]);
        }
        Err(response) => assert_refused(&response),
    }
}

fn read(bytes: &[u8]) -> Option<Request<Vec<u8>>> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut words = head.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    request(method, target, words.next().unwrap_or_default(), bytes[end + 1..].to_vec())
}
