//! The rules in sentences, as the documentation lists them.

/// What a rule says; `None` if there is none of this name.
pub fn rule(name: &str) -> Option<&'static str> {
    RULES.iter().find(|(known, _)| *known == name).map(|(_, sentence)| *sentence)
}

/// All of them, in the order of the documentation.
pub const RULES: &[(&str, &str)] = &[
    (
        "S1",
        "at no instant do two candidates both lead, `is_leader()` as the clocks of each say at that instant",
    ),
    ("S2", "tokens grow from term to term over all candidates"),
    ("S3", "a candidate never leads with a token at or below one that it has led with"),
    ("S4", "the register takes no write with a token below the newest, and refuses none with the newest"),
    (
        "S5",
        "the register's history is linearizable, what leaders answer from memory included, and every write that was \
         acknowledged is in it",
    ),
    ("S6", "a renewal or a release that is carried out found this term in the Lease"),
    ("S7", "who creates the Lease has known for its own lease duration that there is none"),
    ("S8", "work has ended before another candidate acquires; after a pause within 50 ms of running again"),
    ("S9", "started, stopping, stopped are told in this order, and nobody leads outside of a term"),
    ("S10", "a leader that is shown another holder leads no more after that input"),
    ("S11", "the state says leader only while the candidate leads"),
    (
        "L1",
        "when all faults have ended, a leader appears within the lease duration + 2 s and stays to the end of the world",
    ),
    (
        "L2",
        "without faults nothing is written but one renewal per renew interval; a single fault that is shorter than \
         renew deadline - renew interval - attempt timeout ends no term",
    ),
    ("L3", "after a release a standby that nothing hinders leads within 1 s"),
    (
        "L4",
        "a candidate sends no more than one request per renew interval and one per retry period, bursts of twenty \
         aside, and none sooner than Retry-After allows",
    ),
    ("L5", "nobody takes its own renewal for that of another with its identity"),
    (
        "H1",
        "who was told that it is unhealthy does not campaign, unless nobody has held the lease for as long as was chosen",
    ),
    (
        "H2",
        "a leader that is told that it is unhealthy leads no more after that input, unless it leads rather than nobody",
    ),
    ("H3", "a leader whose work gave no sign of life within its deadline leads no more at its next step"),
    (
        "B1",
        "two leaders at once, of whom one is ours, are explained by a fault that another election has \
         shown, and by none of ours",
    ),
    (
        "B2",
        "ours leads and works no longer than its lease duration, on the fastest clock, after the last \
         write of its term that was carried out, and not after its release",
    ),
    (
        "B3",
        "ours acquires from another only what is free: the stored duration after the last change, half of \
         that more where no mark of ours fits, and a lease duration after a term of ours was cleared by \
         others",
    ),
    ("B4", "ours leads no longer than 10 ms after it was handed the sight of another holder"),
    (
        "B5",
        "each renewal of ours moves the renew time on by a whole second, since client-go compares by the \
         second",
    ),
];
