//! What holds of every patch. An example is a line with the content type, then the patch.

use http::Response;

use crate::world::{DB, World, assert_refused, body, request, summary};

/// Holds of all bytes.
pub(crate) fn property(bytes: &[u8]) {
    let mut world = World::new();
    let (before, revision) = (world.lease(), world.store.revision());
    let Some(response) = send(&mut world, bytes) else { return };
    let after = world.lease();
    if response.status().is_success() {
        assert_eq!(body(&response).unwrap(), after, "what is answered is what is stored");
        for part in ["name", "namespace", "uid", "creationTimestamp"] {
            assert_eq!(after["metadata"][part], before["metadata"][part]);
        }
        let named = bytes.windows(8).any(|word| word == b"metadata" || word.contains(&b'\\'));
        let whole = bytes.windows(2).any(|word| word == b"\"\"") || bytes.contains(&b'$');
        if !named && !whole {
            assert_eq!(after["metadata"]["labels"], before["metadata"]["labels"], "what is not named stays");
        }
        assert!(world.store.revision() <= revision + 1, "one patch is one change");
    } else {
        assert_refused(&response);
        assert_eq!(after, before, "a patch is applied whole or not at all");
        assert_eq!(world.store.revision(), revision);
    }
    world.assert_settled();
}

/// What is written down of a kept example.
pub(crate) fn outcome(bytes: &[u8]) -> String {
    let response = send(&mut World::new(), bytes).expect("a kept example has a content type");
    summary(&response)
}

fn send(world: &mut World, bytes: &[u8]) -> Option<Response<Vec<u8>>> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let content_type = std::str::from_utf8(&bytes[..end]).ok()?;
    let target = format!("{DB}?fieldManager=story");
    Some(world.send(&request("PATCH", &target, content_type, bytes[end + 1..].to_vec())?))
}
