//! `muster store`: looking after what a server keeps.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Subcommand;
use muster_store::{Finding, Progress, Report};

use crate::rundown::{EXIT_DATA, fail};

/// How often it is told how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// So many bad snapshots are listed.
const SNAPSHOTS_MAX: usize = 5;

/// Looking after what a server keeps.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Check every entry of the log and every snapshot; works while a server runs
    Verify {
        /// The server's data directory
        #[arg(long, env = "MUSTER_DATA", value_name = "DIR")]
        data: PathBuf,
    },
}

/// Carries the command out.
pub(crate) fn run(command: StoreCommand) -> ExitCode {
    match command {
        StoreCommand::Verify { data } => verify(&data),
    }
}

fn verify(data: &std::path::Path) -> ExitCode {
    let mut last = Instant::now();
    let progress = &mut |progress: Progress| {
        if last.elapsed() >= PROGRESS_EVERY {
            last = Instant::now();
            let percent = progress.checked as f64 * 100.0 / progress.total.max(1) as f64;
            eprintln!(
                "{} of {} events checked ({percent:.0} %)",
                progress.checked, progress.total
            );
        }
    };
    match muster_store::verify(data, progress) {
        Ok(report) => {
            print!("{}", words(&report));
            if report.is_clean() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => fail(error.code(), &error, EXIT_DATA),
    }
}

fn words(report: &Report) -> String {
    let mut lines = vec![
        format!("events      {} (packed: {})", report.events, report.packed),
        format!("streams     {}", report.streams),
        format!("snapshots   {}", report.snapshots),
        format!("head        {}", report.head),
        format!("took        {:.2} s", report.duration.as_secs_f64()),
    ];
    if report.is_clean() {
        lines.push("result      sound".to_owned());
        return lines.join("\n") + "\n";
    }
    lines.push("result      DAMAGED".to_owned());
    if let Some(Finding { position, what }) = &report.first_bad {
        lines.push(format!(
            "  the log cannot be trusted from event {position} on: {what}"
        ));
    }
    for Finding { position, what } in report.bad_snapshots.iter().take(SNAPSHOTS_MAX) {
        lines.push(format!(
            "  snapshot at {position}: {what} (costs time at a restart, no data)"
        ));
    }
    if let Some(more) = report
        .bad_snapshots
        .len()
        .checked_sub(SNAPSHOTS_MAX)
        .filter(|more| *more > 0)
    {
        lines.push(format!("  and {more} more snapshots"));
    }
    for complaint in &report.structure {
        lines.push(format!("  structure of the file: {complaint}"));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_told_in_words() {
        let bad = |position, what: &str| Finding {
            position: muster_model::LogPosition(position),
            what: what.to_owned(),
        };
        let mut report = Report {
            events: 41,
            packed: 10,
            ..Report::default()
        };
        assert!(words(&report).ends_with("result      sound\n"));
        report.first_bad = Some(bad(42, "its hash does not fit"));
        report.bad_snapshots = (0..7).map(|n| bad(n, "a snapshot is ahead of the log")).collect();
        let said = words(&report);
        assert!(said.contains("events      41 (packed: 10)\n"), "{said}");
        assert!(
            said.contains("from event 42 on: its hash does not fit\n"),
            "{said}"
        );
        assert!(said.contains("and 2 more snapshots\n"), "{said}");
    }
}
