//! The framing of a watch.
#![no_main]

#[path = "../../crates/leasehold/src/lines.rs"]
mod lines;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (mut whole, mut cut) = (Vec::new(), Vec::new());
    let (size, stream) =
        bytes.split_first().map_or((1, bytes), |(size, rest)| (usize::from(*size).max(1), rest));
    lines::Lines::default().push(stream, |line| whole.push(line)).expect("short enough");
    let mut lines = lines::Lines::default();
    stream.chunks(size).for_each(|piece| lines.push(piece, |line| cut.push(line)).expect("short enough"));
    assert_eq!(whole, cut);
});
