//! `muster store`: looking after what a server keeps.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::rundown::{EXIT_DATA, fail};

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
    let mut last = std::time::Instant::now();
    let progress = &mut |progress: muster_store::Progress| {
        if last.elapsed().as_millis() >= 500 {
            last = std::time::Instant::now();
            eprintln!("{progress:?}");
        }
    };
    match muster_store::verify(data, progress) {
        Ok(report) => {
            println!("events      {}", report.events);
            println!("streams     {}", report.streams);
            println!("snapshots   {}", report.snapshots);
            println!("head        {}", report.head);
            println!("took        {:.2} s", report.duration.as_secs_f64());
            if report.is_clean() {
                println!("result      sound");
                ExitCode::SUCCESS
            } else {
                println!("result      DAMAGED");
                println!("{report:#?}");
                ExitCode::FAILURE
            }
        }
        Err(error) => fail(error.code(), &error, EXIT_DATA),
    }
}
