//! What is told of a world that breaks a rule: its story, its picture, and a smaller world that breaks it, too.

use std::ops::ControlFlow;
use std::time::Duration;

use leasehold_sim::{ControlKind, MutantKind, RULES, Settings, Simulation, Tone, Variant, rule};

/// client-go's algorithm in a world in which it has two leaders, with what happened.
fn split_brain() -> (Simulation, leasehold_sim::WorldReport) {
    let kind = ControlKind::ClientGo;
    let simulation = Simulation::of(Variant::Control(kind), kind.settings());
    let caught = simulation.hunt(2_000, &|| true).expect("client-go has two leaders");
    let world = simulation.world(caught.worlds, true);
    (simulation, world)
}

#[test]
fn the_story_of_a_violation_is_short_and_has_both_leaders_in_it() {
    let (_, world) = split_brain();
    let violation = &world.violations[0];
    assert_eq!(violation.rule, "S1", "what a variant is known to break comes first");
    let story = world.story(violation);
    assert!((5..=30).contains(&story.lines.len()), "{} lines", story.lines.len());
    assert!(story.lines.windows(2).all(|pair| pair[0].at <= pair[1].at), "in order: {story:#?}");
    let broken =
        story.lines.iter().position(|line| line.tone == Tone::Broken).expect("the violation is told");
    let leads = |line: &&leasehold_sim::StoryLine| line.what.starts_with("leads with token");
    let leaders: Vec<String> =
        story.lines[..=broken].iter().filter(leads).map(|line| line.who.to_string()).collect();
    let named = |leader: &String| violation.what.contains(leader.split(' ').next().unwrap_or_default());
    assert!(leaders.len() >= 2 && leaders.iter().all(named), "{violation}: {leaders:?}");
}

#[test]
fn a_picture_of_a_world_has_a_lane_for_each_machine_and_shows_two_leaders() {
    let (_, world) = split_brain();
    let svg = world.timeline.as_ref().expect("a traced world has a picture").to_svg();
    for lane in ["db-0", "db-1", "db-2"] {
        assert!(svg.contains(&format!(">{lane}</text>")), "no lane of {lane}");
    }
    assert!(svg.contains("two lead for") && svg.contains("close-up"), "{svg}");
    assert!(svg.contains(&world.violations[0].what));
}

#[test]
fn a_world_without_a_trace_has_no_picture_and_the_same_hash() {
    let (simulation, told) = split_brain();
    let silent = simulation.world(told.seed, false);
    assert_eq!((&silent.hash, silent.timeline.is_none(), silent.trace.len()), (&told.hash, true, 0));
}

#[test]
fn a_shrunk_world_is_smaller_and_breaks_the_same_rule_again() {
    let (simulation, whole) = split_brain();
    let shrunk = simulation.shrink(whole.seed, "S1", &|| true).expect("it breaks S1");
    assert!(
        shrunk.report.length < whole.length && shrunk.report.faults.len() <= whole.faults.len(),
        "{shrunk:#?}"
    );
    let again = shrunk.simulation.world(whole.seed, false);
    assert_eq!(again.hash, shrunk.report.hash);
    assert!(again.violations.iter().any(|violation| violation.rule == "S1"));
    assert!(simulation.shrink(whole.seed, "no such rule", &|| true).is_none());
}

#[test]
fn a_run_that_is_broken_off_tells_of_the_worlds_that_ran() {
    let settings = Settings { length: Duration::from_secs(60), ..Settings::default() };
    let stop_at_three = |so_far: leasehold_sim::Progress| match so_far.worlds {
        0..3 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    };
    let report = Simulation::new(settings).worlds(0..1_000, 2, &stop_at_three);
    assert!((3..=4).contains(&report.worlds), "{} worlds", report.worlds);
}

#[test]
fn the_documentation_has_each_rule_in_the_words_of_the_code() {
    let text = include_str!("../../../docs/simulation.md");
    for (name, sentence) in RULES {
        let row = format!("| {name} | {sentence} |");
        assert!(text.contains(&row), "docs/simulation.md lacks {row}");
    }
    let known = MutantKind::ALL.iter().flat_map(|kind| kind.rules().split(' '));
    for name in known.chain(["S1"]) {
        assert!(rule(name).is_some(), "{name} has no sentence");
    }
}
