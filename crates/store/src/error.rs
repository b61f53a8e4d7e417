//! Why what is kept on disk cannot be opened.

use std::path::PathBuf;

use muster_model::LogPosition;

/// Why a data directory or a file in it cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory is to be created in one that does not exist.
    #[error("the data directory {} cannot be created: its parent directory does not exist", path.display())]
    MissingParent {
        /// The data directory.
        path: PathBuf,
    },
    /// Something else has the directory's name.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// What was to be the data directory.
        path: PathBuf,
    },
    /// The directory is not there, and only reading was asked for.
    #[error("there is no data directory at {}", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The directory or its file system does not let us write.
    #[error("the data directory {} cannot be written to", path.display())]
    NotWritable {
        /// The data directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process works in the directory.
    #[error("the data directory {} is in use by {}", path.display(), holder(*pid))]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// The other process, if it left its id.
        pid: Option<u32>,
    },
    /// A newer program wrote the file.
    #[error("{} has schema {found}, but this program knows schemas up to {known}: use a newer program", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema it has.
        found: u32,
        /// The newest schema that this program knows.
        known: u32,
    },
    /// The log does not hang together.
    #[error("the event log {} is damaged at position {position}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first position that is bad.
        position: LogPosition,
        /// What is wrong with it.
        what: String,
    },
    /// SQLite could not open, set up or read a file.
    #[error("{} cannot be {doing}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What was being done to it, as a participle.
        doing: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The system could not do something with a path.
    #[error("{} cannot be {doing}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What was being done to it, as a participle.
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// No thread could be started.
    #[error("the thread that writes {} cannot be started", path.display())]
    Thread {
        /// The file it was to write.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl OpenError {
    /// The stable code that the help pages use.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingParent { .. } => "MST-S001",
            Self::NotADirectory { .. } => "MST-S002",
            Self::Missing { .. } => "MST-S003",
            Self::NotWritable { .. } => "MST-S004",
            Self::InUse { .. } => "MST-S005",
            Self::Newer { .. } => "MST-S006",
            Self::Damaged { .. } => "MST-S007",
            Self::Database { .. } => "MST-S008",
            Self::Io { .. } => "MST-S009",
            Self::Thread { .. } => "MST-S010",
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}
