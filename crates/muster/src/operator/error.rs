//! Why a command could not be carried out, as a person reads it.

use std::error::Error as _;
use std::io::Write;

use muster_client::ClientError;

use super::text::{Paint, clean, paint};

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// Between this program and the server, or on the server.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// An argument is not what the command takes.
    #[error("{what}")]
    Usage {
        /// What is wrong.
        what: String,
        /// What is accepted.
        hint: String,
    },
    /// No machine is meant by what was written.
    #[error("there is no machine {given:?}")]
    NoSuchMachine {
        /// What was written.
        given: String,
        /// Machines with a name or id like it.
        similar: Vec<String>,
    },
    /// Several machines are meant by what was written.
    #[error("{given:?} can be any of {} machines:\n{}", candidates.len(), list(candidates))]
    Ambiguous {
        /// What was written.
        given: String,
        /// Name and id of each.
        candidates: Vec<String>,
    },
    /// Somebody else changed the same thing, more often than it was tried.
    #[error("{what}")]
    Conflict {
        /// What it is now.
        what: String,
    },
    /// The person who was asked said no.
    #[error("nothing was stopped")]
    Declined,
    /// Stops were issued, and not every machine is known to stand.
    #[error("{standing} of {total} machines are known to stand")]
    NotStanding {
        /// How many are.
        standing: usize,
        /// Of how many.
        total: usize,
    },
    /// Something is desired of a machine, and the machine is not known to be so.
    #[error("it is desired, and not known to be so: {what}")]
    NotApplied {
        /// How it stands.
        what: String,
    },
    /// A machine answered that it did not take a command.
    #[error("{what}")]
    NotTaken {
        /// Which machine, and what it answered.
        what: String,
    },
    /// A command was issued, and its machine did not answer in time.
    #[error("{machine} did not answer to the command {kind}")]
    NotAnswered {
        /// Which machine.
        machine: String,
        /// Which command.
        kind: String,
    },
    /// The audit log is not whole.
    #[error("the audit log is not whole: {findings}")]
    NotWhole {
        /// What was found.
        findings: String,
    },
    /// A second person said yes, and it could not be done.
    #[error("{what} could not be done: {detail}")]
    NotCarriedOut {
        /// What.
        what: String,
        /// Why.
        detail: String,
    },
    /// The reader of our output went away. Not told of.
    #[error("the reader of the output went away")]
    ReaderGone,
    /// The output cannot be written.
    #[error("the output cannot be written")]
    Output(#[source] std::io::Error),
    /// A document cannot be written in this format.
    #[error("the answer cannot be written as {format}: {detail}")]
    Format {
        /// Which one.
        format: &'static str,
        /// Why.
        detail: String,
    },
}

impl From<std::io::Error> for OperatorError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Output(error),
        }
    }
}

impl OperatorError {
    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::ReaderGone => 0,
            Self::Usage { .. } => 2,
            Self::NotStanding { .. } | Self::NotApplied { .. } | Self::NotAnswered { .. } => 3,
            // Asked for, and not done yet.
            Self::Client(ClientError::Problem(problem)) if problem.proposal.is_some() => 3,
            Self::Client(
                ClientError::BadAddress { .. }
                | ClientError::BadAuthorities(_)
                | ClientError::SpeaksHttps { .. }
                | ClientError::PlainCredential { .. },
            ) => 64,
            Self::Client(
                ClientError::Unreachable { .. }
                | ClientError::Untrusted { .. }
                | ClientError::TimedOut { .. }
                | ClientError::Interrupted { .. },
            ) => 69,
            Self::Client(
                ClientError::Problem(_) | ClientError::UnexpectedAnswer { .. } | ClientError::SetUp(_),
            )
            | Self::NoSuchMachine { .. }
            | Self::Ambiguous { .. }
            | Self::Conflict { .. }
            | Self::Declined
            | Self::NotTaken { .. }
            | Self::NotWhole { .. }
            | Self::NotCarriedOut { .. }
            | Self::Output(_)
            | Self::Format { .. } => 1,
        }
    }

    /// The stable code, with a page under `docs/errors/`.
    pub fn code(&self) -> &str {
        match self {
            Self::Client(error) => error.code(),
            Self::Usage { .. } => "MST-O001",
            Self::NoSuchMachine { .. } => "MST-O002",
            Self::Ambiguous { .. } => "MST-O003",
            Self::Conflict { .. } => "MST-O004",
            Self::ReaderGone => "MST-O005",
            Self::Output(_) => "MST-O006",
            Self::Format { .. } => "MST-O007",
            Self::Declined => "MST-O008",
            Self::NotStanding { .. } => "MST-O009",
            Self::NotApplied { .. } => "MST-O010",
            Self::NotTaken { .. } => "MST-O020",
            Self::NotAnswered { .. } => "MST-O021",
            Self::NotWhole { .. } => "MST-O022",
            Self::NotCarriedOut { .. } => "MST-O023",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Client(ClientError::Unreachable { .. }) => Some(
                "start a fleet with `muster demo`, or name its server with --server or MUSTER_SERVER"
                    .to_owned(),
            ),
            Self::Client(ClientError::TimedOut { .. }) => Some("wait longer with --timeout 60s".to_owned()),
            Self::Client(ClientError::BadAddress { .. }) => {
                Some("it comes from --server or MUSTER_SERVER".to_owned())
            }
            Self::Client(ClientError::Problem(problem)) if problem.code == "MST-A040" => {
                Some("`muster login` signs you in; programs come with MUSTER_TOKEN".to_owned())
            }
            Self::Client(ClientError::Problem(problem)) if problem.proposal.is_some() => {
                let id = problem.proposal.as_deref().unwrap_or_default();
                Some(format!(
                    "somebody else says `muster proposal approve {id}`; `muster proposal withdraw {id}` takes it back"
                ))
            }
            Self::NotCarriedOut { .. } => {
                Some("nothing is tried again by itself: whoever proposed it can propose it anew".to_owned())
            }
            Self::NotWhole { .. } => Some(
                "compare with an export or a backup; who had access to the server's disk could do it".to_owned(),
            ),
            Self::Client(
                ClientError::Problem(_)
                | ClientError::UnexpectedAnswer { .. }
                | ClientError::Interrupted { .. }
                | ClientError::Untrusted { .. }
                | ClientError::BadAuthorities(_)
                | ClientError::SpeaksHttps { .. }
                | ClientError::PlainCredential { .. }
                | ClientError::SetUp(_),
            )
            | Self::Declined
            | Self::NotTaken { .. }
            | Self::ReaderGone
            | Self::Output(_)
            | Self::Format { .. } => None,
            Self::NotStanding { .. } => Some(
                "`muster machine show MACHINE` says how far a stop got; go and look where a machine may still move"
                    .to_owned(),
            ),
            Self::NotApplied { .. } => Some("`muster machine desired show MACHINE` says how it stands".to_owned()),
            Self::NotAnswered { .. } => Some(
                "`muster machine commands MACHINE` shows its answer when it comes; one that is too late is answered as expired"
                    .to_owned(),
            ),
            Self::Usage { hint, .. } => Some(hint.clone()),
            Self::NoSuchMachine { similar, .. } if similar.is_empty() => {
                Some("`muster machines` lists them all".to_owned())
            }
            Self::NoSuchMachine { similar, .. } => Some(format!("similar: {}", similar.join("; "))),
            Self::Ambiguous { .. } => Some("write more of the id".to_owned()),
            Self::Conflict { .. } => Some("look at it again, then repeat the command".to_owned()),
        }
    }

    /// Writes the error for a person. Where even that fails there is nobody to tell.
    pub fn report(&self, to: &mut dyn Write, colour: bool) {
        if matches!(self, Self::ReaderGone) {
            return;
        }
        let mut text = format!(
            "{} {}\n",
            paint("error:", Paint::Bad, colour),
            clean_lines(&self.to_string())
        );
        // A wrapped client error is told in its own words already: go on with what caused it.
        let first = match self {
            Self::Client(error) => error.source(),
            _ => self.source(),
        };
        let mut cause = first;
        while let Some(error) = cause {
            text.push_str(&format!("  because: {}\n", clean(&error.to_string())));
            cause = error.source();
        }
        if let Some(hint) = self.hint() {
            text.push_str(&format!(
                "  {} {}\n",
                paint("hint:", Paint::Note, colour),
                clean(&hint)
            ));
        }
        text.push_str(&paint(&format!("  code: {}", self.code()), Paint::Dim, colour));
        text.push('\n');
        let _ = to.write_all(text.as_bytes());
    }
}

fn list(candidates: &[String]) -> String {
    let lines: Vec<String> = candidates.iter().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

fn clean_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(clean).collect();
    lines.join("\n")
}
