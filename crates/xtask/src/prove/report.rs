//! What a run of `prove` leaves behind: for people, and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Amounts, Part, Verdict};

/// For people.
pub(super) fn markdown(parts: &[Part], commit: &str, amounts: &Amounts) -> String {
    let mut text = format!(
        "# What was proved\n\nCommit {commit}; {} seeds, {} on the network, {} rounds, {} mutations for each decoder, seed {}.\n\n\
        | part | verdict | seconds | what |\n|---|---|---|---|\n",
        amounts.seeds, amounts.network_seeds, amounts.rounds, amounts.mutations, amounts.seed
    );
    for part in parts {
        let (word, why) = words(&part.verdict);
        let why = if why.is_empty() {
            String::new()
        } else {
            format!(": {why}")
        };
        let (name, took, what) = (part.name, part.took.as_secs_f64(), part.what);
        let _ = writeln!(text, "| {name} | {word}{why} | {took:.0} | {what} |");
    }
    for part in parts
        .iter()
        .filter(|part| !part.figures.is_empty() || !part.skipped.is_empty())
    {
        let _ = writeln!(text, "\n## {}\n", part.name);
        for figure in &part.figures {
            let _ = writeln!(text, "- {figure}");
        }
        for skipped in &part.skipped {
            let _ = writeln!(text, "- not shown: {skipped}");
        }
    }
    text
}

/// For programs.
pub(super) fn document(parts: &[Part], commit: &str, amounts: &Amounts) -> Value {
    let parts = parts.iter().map(|part| {
        let (word, why) = words(&part.verdict);
        json!({
            "part": part.name, "verdict": word, "why": why, "seconds": part.took.as_secs_f64(),
            "figures": part.figures, "not_shown": part.skipped, "details": part.details,
        })
    });
    json!({
        "commit": commit, "seeds": amounts.seeds, "network_seeds": amounts.network_seeds,
        "rounds": amounts.rounds, "mutations": amounts.mutations,
        "seed": amounts.seed, "parts": parts.collect::<Vec<_>>(),
    })
}

fn words(verdict: &Verdict) -> (&'static str, &str) {
    match verdict {
        Verdict::Held => ("held", ""),
        Verdict::Failed(why) => ("FAILED", why),
        Verdict::LeftOut(why) => ("left out", why),
    }
}
