//! The differences in docs/apiserver.md are those that the conformance tests allow. `LEASEHOLD_RECORD=1` writes them anew.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use super::differences::{Difference, LISTED};

#[test]
fn the_page_tells_the_differences_that_the_tests_allow() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/apiserver.md");
    let text = fs::read_to_string(&path).unwrap();
    let written = with_table(&text, &table(&LISTED));
    if env::var_os("LEASEHOLD_RECORD").is_some() {
        fs::write(&path, &written).unwrap();
        return;
    }
    assert!(
        text == written,
        "docs/apiserver.md tells other differences than differences.json; LEASEHOLD_RECORD=1 cargo test -p \
         leasehold-e2e --lib page writes them anew"
    );
}

#[test]
fn a_difference_is_a_row_with_the_requests_that_show_it() {
    let place = r#"{"case": "a case", "steps": [1], "pointer": "/a"}"#;
    let json =
        format!(r#"[{{"summary": "a|b", "source": "c.go", "reason": "d", "places": [{place}, {place}]}}]"#);
    let listed: Vec<Difference> = serde_json::from_str(&json).unwrap();
    assert!(table(&listed).ends_with("| a\\|b | d | c.go | a case |\n"), "{}", table(&listed));
}

/// `text` with another table between the markers.
fn with_table(text: &str, table: &str) -> String {
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();
    format!("{head}{BEGIN}\n{table}{END}{tail}")
}

fn table(listed: &[Difference]) -> String {
    let mut table = String::from(
        "| difference | why it stays | where the real server does it | shown by the case |\n|---|---|---|---|\n",
    );
    for Difference { summary, source, reason, places } in listed {
        let mut cases: Vec<&str> = places.iter().map(|place| place.case.as_str()).collect();
        cases.dedup();
        let cells = [summary, reason, source, &cases.join("; ")].map(|cell| cell.replace('|', "\\|"));
        writeln!(table, "| {} |", cells.join(" | ")).unwrap();
    }
    table
}

const BEGIN: &str = "<!-- begin differences -->";
const END: &str = "<!-- end differences -->";
