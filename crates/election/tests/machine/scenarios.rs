//! Runs each file of `testdata/scenarios`: input lines, each followed by its exact effects.
//!
//! `LEASEHOLD_RECORD=1` writes the effects anew; the difference is then reviewed like code.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::script::Script;

#[test]
fn every_scenario_has_the_effects_that_its_file_shows() {
    let record = env::var_os("LEASEHOLD_RECORD").is_some();
    let mut differing = Vec::new();
    for path in files() {
        let recorded = fs::read_to_string(&path).unwrap();
        let played = play(&path, &recorded);
        if record {
            fs::write(&path, played).unwrap();
        } else if played != recorded {
            differing.push(format!("{}\n{}", path.display(), first_difference(&recorded, &played)));
        }
    }
    assert!(
        differing.is_empty(),
        "these scenarios went another way; if that is right, record them with LEASEHOLD_RECORD=1:\n{}",
        differing.join("\n")
    );
}

/// A comment at the top says what the story is and which behaviour of the field it answers.
#[test]
fn every_scenario_says_what_it_is_about() {
    let files = files();
    assert!(files.len() >= 30, "{} scenarios", files.len());
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# "), "{} begins with a comment", path.display());
        assert!(text.lines().any(|line| line.starts_with("  ")), "{} shows effects", path.display());
    }
}

/// The runner itself can fail: another effect than the recorded one is a difference.
#[test]
fn an_effect_that_is_not_as_recorded_is_a_difference() {
    let recorded = "# A story.\n\nstart\n  send #7 read\n";
    let played = play(Path::new("a story"), recorded);
    assert!(first_difference(recorded, &played).contains("-  send #7 read"), "{played}");
}

/// `docs/conformance.md` names, for each behaviour of client-go, what shows it: nothing is missing, nothing is gone.
#[test]
fn each_behaviour_of_client_go_is_shown_by_something_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/conformance.md")).unwrap();
    let sources = sources(&root.join("crates"));
    let counts = [('L', 21), ('H', 5), ('C', 2), ('K', 11), ('U', 14)];
    for id in
        counts.iter().flat_map(|(letter, count)| (1..=*count).map(move |number| format!("{letter}{number}")))
    {
        let row = page.lines().find(|line| line.starts_with(&format!("| {id} |")));
        let shown_by = row.unwrap_or_else(|| panic!("{id} has no row")).rsplit('|').nth(1).unwrap();
        for name in shown_by.split(',').map(|name| name.trim().trim_matches('`')) {
            let shown = match name.strip_suffix(".txt") {
                Some(_) => {
                    let text = fs::read_to_string(root.join("crates/election/testdata/scenarios").join(name));
                    let comment = text.unwrap_or_else(|error| panic!("{id}: {name}: {error}"));
                    let comment: String = comment.lines().take_while(|line| line.starts_with('#')).collect();
                    !id.starts_with(['L', 'U']) || comment.contains(&id)
                }
                None => sources.contains(&format!("fn {name}(")),
            };
            assert!(shown, "{id} is said to be shown by {name}");
        }
    }
}

/// All Rust code below `folder`.
fn sources(folder: &Path) -> String {
    let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| match path.extension() {
            _ if path.is_dir() => sources(&path),
            Some(extension) if extension == "rs" => fs::read_to_string(&path).unwrap(),
            Some(_) | None => String::new(),
        })
        .collect()
}

fn play(path: &Path, text: &str) -> String {
    let mut script = Script::new();
    let mut played = String::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with("  ")) {
        played.push_str(line);
        played.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let effects = script
            .play(line)
            .unwrap_or_else(|error| panic!("{}:{}: {line:?}: {error}", path.display(), number + 1));
        for effect in effects {
            played.push_str(&format!("  {effect}\n"));
        }
    }
    played
}

fn first_difference(recorded: &str, played: &str) -> String {
    let (mut command, mut lines) = ("", (recorded.lines(), played.lines()));
    loop {
        match (lines.0.next(), lines.1.next()) {
            (Some(old), Some(new)) if old == new => {
                if !old.starts_with("  ") {
                    command = old;
                }
            }
            (old, new) => {
                let shown = |sign: char, line: Option<&str>| line.map(|line| format!("{sign}{line}\n"));
                return [Some(format!(" {command}\n")), shown('-', old), shown('+', new)]
                    .into_iter()
                    .flatten()
                    .collect();
            }
        }
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/scenarios");
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
