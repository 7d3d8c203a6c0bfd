//! What holds of every is-leader file: only a whole one, of this boot, before its end, makes a leader.

use std::io;
use std::path::Path;

use leasehold::clock;
use leasehold_sidecar::{Content, NotLeader, check};

/// Holds of all bytes.
pub(crate) fn property(folder: &Path, bytes: &[u8]) {
    let bytes = of_this_machine(bytes);
    match judge(folder, &bytes) {
        Ok(Ok(content)) => {
            assert_eq!(content.boot_id, clock::boot_id().unwrap());
            assert!(content.lead_until > clock::now().realtime);
            let whole = bytes.trim_ascii();
            assert!(judge(folder, &whole[..whole.len() - 1]).is_err(), "half a line cannot be judged");
            let printed = serde_json::to_vec(&content).unwrap();
            assert_eq!(
                serde_json::from_slice::<Content>(&printed).unwrap(),
                content,
                "printed and read again"
            );
        }
        Ok(Err(NotLeader::Absent)) => assert!(bytes.is_empty(), "only an empty file is none"),
        Ok(Err(not_leader)) => {
            serde_json::from_slice::<Content>(&bytes).expect("what is judged is a whole line");
            assert!(!not_leader.to_string().is_empty());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// What is written down of a kept example.
pub(crate) fn outcome(folder: &Path, bytes: &[u8]) -> String {
    match judge(folder, &of_this_machine(bytes)) {
        Ok(Ok(content)) => format!("leads with token {} until {}", content.token, content.lead_until),
        Ok(Err(not_leader)) => format!("does not lead: {not_leader}"),
        Err(error) => format!("cannot be told: {error}"),
    }
}

fn judge(folder: &Path, bytes: &[u8]) -> io::Result<Result<Content, NotLeader>> {
    let path = folder.join("is-leader");
    std::fs::write(&path, bytes)?;
    check(&path)
}

/// Kept examples cannot know the boot that they are read in.
fn of_this_machine(bytes: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(bytes) else { return bytes.to_vec() };
    text.replace("BOOT-ID-OF-THIS-MACHINE", &clock::boot_id().unwrap()).into_bytes()
}
