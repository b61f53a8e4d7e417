//! Why a measurement could not be taken.

use std::path::PathBuf;

/// Why a measurement could not be taken, or its result is not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The command line asks for what is not accepted.
    #[error("{what}")]
    Usage {
        /// What is wrong, and what is accepted.
        what: String,
    },
    /// More connections are wanted than the system lets a process hold.
    #[error(
        "a process may open {allowed} files here and {wanted} are needed: raise the hard limit (`ulimit -Hn {wanted}` as root, \
         or LimitNOFILE= of the service), or measure fewer machines with --machines"
    )]
    OpenFiles {
        /// What the system allows.
        allowed: u64,
        /// What this run needs.
        wanted: u64,
    },
    /// A peer is to be measured that is not installed.
    #[error("{name} is not installed: {how}")]
    NotInstalled {
        /// The program.
        name: &'static str,
        /// How to get it.
        how: &'static str,
    },
    /// A program that is measured did not start, or ended before its time.
    #[error("{name} {what}{}", last_words(said))]
    Child {
        /// The program.
        name: String,
        /// What went wrong.
        what: String,
        /// The last that it wrote to standard error.
        said: String,
    },
    /// The server did not behave as the load expects.
    #[error("{0}")]
    Load(String),
    /// A file that the bench needs cannot be read or written.
    #[error("{path} cannot be {done}", path = path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Read, written …
        done: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The operating system refused what the bench needs.
    #[error("{what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// What was measured is worse than the baseline by more than is accepted.
    #[error("worse than the baseline by more than a quarter:\n  {}", fallen.join("\n  "))]
    Fallen {
        /// One line for each.
        fallen: Vec<String>,
    },
    /// Somebody ended the run.
    #[error("ended before it was done")]
    Stopped,
}

fn last_words(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!("; it said:\n{said}")
    }
}

impl BenchError {
    /// The stable code, with a page under `docs/errors/`.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Usage { .. } => "MST-B001",
            Self::OpenFiles { .. } => "MST-B002",
            Self::NotInstalled { .. } => "MST-B003",
            Self::Child { .. } => "MST-B004",
            Self::Load(_) => "MST-B005",
            Self::File { .. } | Self::System { .. } => "MST-B006",
            Self::Fallen { .. } => "MST-B007",
            Self::Stopped => "MST-B008",
        }
    }

    /// What the process ends with.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } | Self::OpenFiles { .. } => 64,
            Self::NotInstalled { .. } => 69,
            Self::Child { .. } => 70,
            Self::Load(_) | Self::Fallen { .. } => 1,
            Self::File { .. } => 73,
            Self::System { .. } => 71,
            Self::Stopped => 130,
        }
    }

    /// For `map_err` on a call of the operating system.
    pub(crate) fn system<E: Into<std::io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::System {
            what,
            source: source.into(),
        }
    }
}

/// What everything here comes back with.
pub(crate) type Result<T> = std::result::Result<T, BenchError>;
