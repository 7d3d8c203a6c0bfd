//! Judges a world by what really happened in it: each rule is one function, or is looked at in `world` as it happens.

mod calm;
mod recovery;
mod register;
mod requests;
mod terms;
#[cfg(test)]
mod testing;
mod work;

use leasehold_history::{Elector, History, Nanos, Report, Span, Term};

use crate::clocks::after;
use crate::mixed;
use crate::plan::{Class, Plan};
use crate::world::{Log, Violation};

pub(crate) use recovery::recovery;
pub(crate) use work::ran_since;

/// All rules that this world has broken, as far as its class lets them be judged.
pub(crate) fn violations(plan: &Plan, log: &Log, report: &Report) -> Vec<Violation> {
    let mut found: Vec<Violation> = log.violations.clone();
    found.extend(terms::s9_told_in_order(log));
    found.extend(terms::s3_own_tokens_grow(log));
    // Other elections promise nothing of their tokens and of what they tell.
    found.retain(|violation| {
        let of_ours = |&process: &usize| elector(plan, log, process) == Elector::Ours;
        !matches!(violation.rule, "S3" | "S9") || violation.processes().iter().all(of_ours)
    });
    match plan.class {
        Class::A => found.extend(where_the_contract_is_kept(plan, log, report)),
        Class::B => {
            found.retain(|violation| {
                matches!(
                    violation.rule,
                    "S3" | "S4" | "S6" | "S7" | "S9" | "S10" | "S11" | "H1" | "H2" | "H3"
                )
            });
            found.extend(mixed::violations(plan, log));
        }
        Class::C => {
            found.retain(|violation| matches!(violation.rule, "S3" | "S4" | "S7" | "S9" | "S10" | "S11"))
        }
    }
    found
}

fn where_the_contract_is_kept(plan: &Plan, log: &Log, report: &Report) -> Vec<Violation> {
    let mut found = terms::s1_one_leader(report);
    found.extend(terms::s2_tokens_grow(report));
    found.extend(register::s5_no_write_is_lost(log));
    found.extend(register::s5_reads_are_linearizable(log));
    found.extend(work::s8_work_is_over(log));
    found.extend(recovery::l1_a_leader_appears(plan, log));
    found.extend(recovery::l1_and_stays(plan, log));
    found.extend(calm::l2_nothing_happens_without_faults(plan, log));
    found.extend(calm::l2_a_short_fault_ends_no_term(plan, log));
    found.extend(requests::l4_no_retry_storm(plan, log));
    found
}

/// The terms of all processes, for `leasehold-history` to judge.
pub(crate) fn history(plan: &Plan, log: &Log) -> History {
    let end = after(Nanos(0), plan.length);
    let window = Span::new(Nanos(0), end).expect("a world has a length");
    let mut history = History::new(window);
    let ids: Vec<_> = (0..log.processes.len())
        .map(|process| history.add_candidate(format!("#{process}"), elector(plan, log, process)))
        .collect();
    for term in &log.terms {
        let exact = Term::exact(term.begin, term.end.max(term.begin)).with_token(term.token);
        history.add_term(ids[term.process], exact).expect("a term ends after its begin");
    }
    history
}

fn elector(plan: &Plan, log: &Log, process: usize) -> Elector {
    match plan.candidates[log.processes[process].machine].peer {
        Some(_) => Elector::Peer,
        None => Elector::Ours,
    }
}
