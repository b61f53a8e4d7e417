//! Everything that can go wrong between this program and the server.

use std::time::Duration;

use muster_protocol::api::Problem;

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is no address of a server.
    #[error("{given:?} is not the address of a server: {reason}; write it like http://127.0.0.1:7700")]
    BadAddress {
        /// What was written.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers there, or the connection broke before an answer came.
    #[error("no server answers at {address}: check that it is running and that the address is right")]
    Unreachable {
        /// The address that was tried.
        address: String,
        /// What the network said.
        source: reqwest::Error,
    },
    /// Somebody answers there, by a certificate that is not trusted here.
    #[error(
        "the server at {address} shows a certificate that is not trusted here ({why}): give the file with its authority \
         (--ca-file, MUSTER_CA_FILE), or check the address"
    )]
    Untrusted {
        /// The address that was tried.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// The certificates that are to be trusted cannot be used.
    #[error("the certificates of the authorities cannot be used: {0}")]
    BadAuthorities(String),
    /// Somebody answers there, and speaks https.
    #[error(
        "{address} speaks https: write https:// in front of it, and give the file with its authority (--ca-file, MUSTER_CA_FILE)"
    )]
    SpeaksHttps {
        /// The address that was tried.
        address: String,
    },
    /// A token or session would go to another computer in plain HTTP.
    #[error(
        "your token would go to {address} in plain HTTP, for everybody on the way to read: write https:// in front of the address, or \
         --allow-plain-http if the way there is safe"
    )]
    PlainCredential {
        /// The address.
        address: String,
    },
    /// The server took longer than the caller wanted to wait.
    #[error(
        "the server at {address} did not answer within {} s: it may be overloaded, or a longer time limit is needed",
        after.as_secs_f64()
    )]
    TimedOut {
        /// The address that was tried.
        address: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The server understood, and refused or failed; it says why.
    #[error("{}", describe(.0))]
    Problem(Box<Problem>),
    /// What came back is not what this version of the API answers.
    #[error(
        "{address} gave an answer that is not Muster's ({detail}): another program may be listening there, or a server \
         of another version"
    )]
    UnexpectedAnswer {
        /// What was asked.
        address: String,
        /// The HTTP status of the answer.
        status: u16,
        /// What is odd about it.
        detail: String,
    },
    /// The connection ended in the middle of an answer, or of the live stream:
    /// [`LiveStream`](crate::LiveStream) connects again by itself.
    #[error("the answer from {address} broke off: {detail}")]
    Interrupted {
        /// Where it came from.
        address: String,
        /// How it ended.
        detail: String,
    },
    /// The client could not be set up.
    #[error("the HTTP client cannot be set up")]
    SetUp(#[source] reqwest::Error),
}

/// How much is said of an answer that is not Muster's: whoever answers there decides how long it is.
const DETAIL_MAX_CHARS: usize = 400;

impl ClientError {
    /// An answer that is not Muster's, with as much of what is odd about it as a person reads.
    pub(crate) fn unexpected(address: &str, status: u16, detail: &str) -> Self {
        let shown = detail.chars().filter(|character| !character.is_control());
        Self::UnexpectedAnswer {
            address: address.to_owned(),
            status,
            detail: shown.take(DETAIL_MAX_CHARS).collect(),
        }
    }

    /// The stable code, with a page under `docs/errors/`. For a problem it is the one the server gave.
    pub fn code(&self) -> &str {
        match self {
            Self::Unreachable { .. } => "MST-C001",
            Self::TimedOut { .. } => "MST-C002",
            Self::Problem(problem) => &problem.code,
            Self::UnexpectedAnswer { .. } => "MST-C003",
            Self::BadAddress { .. } => "MST-C004",
            Self::Interrupted { .. } => "MST-C005",
            Self::SetUp(_) => "MST-C006",
            Self::Untrusted { .. } => "MST-C007",
            Self::BadAuthorities(_) => "MST-C008",
            Self::SpeaksHttps { .. } => "MST-C009",
            Self::PlainCredential { .. } => "MST-C010",
        }
    }

    /// What the server says, where it answered at all.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            Self::BadAddress { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::UnexpectedAnswer { .. }
            | Self::Interrupted { .. }
            | Self::Untrusted { .. }
            | Self::BadAuthorities(_)
            | Self::SpeaksHttps { .. }
            | Self::PlainCredential { .. }
            | Self::SetUp(_) => None,
        }
    }

    /// Whether the answer was: there is no such thing.
    pub fn is_not_found(&self) -> bool {
        self.problem().is_some_and(|problem| problem.status == 404)
    }

    /// Whether the answer was: it is no longer the version that the change was made against.
    pub fn is_conflict(&self) -> bool {
        self.problem()
            .is_some_and(|problem| matches!(problem.status, 409 | 412))
    }

    /// Whether the same request may succeed a little later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Interrupted { .. } => true,
            Self::Problem(problem) => problem.status >= 500 || matches!(problem.status, 408 | 425 | 429),
            Self::UnexpectedAnswer { status, .. } => *status >= 500,
            Self::BadAddress { .. }
            | Self::Untrusted { .. }
            | Self::BadAuthorities(_)
            | Self::SpeaksHttps { .. }
            | Self::PlainCredential { .. }
            | Self::SetUp(_) => false,
        }
    }

    /// Sorts an error of the HTTP library into ours.
    pub(crate) fn from_http(source: reqwest::Error, address: &str, limit: Duration) -> Self {
        let address = address.to_owned();
        if source.is_timeout() {
            Self::TimedOut {
                address,
                after: limit,
            }
        } else if source.is_body() || source.is_decode() {
            let detail = "the connection ended before all of it was there".to_owned();
            Self::Interrupted { address, detail }
        } else if let Some(why) = crate::trust::refused(&source) {
            Self::Untrusted { address, why }
        } else {
            // The address stands in our own words already.
            let source = source.without_url();
            Self::Unreachable { address, source }
        }
    }
}

fn describe(problem: &Problem) -> String {
    let mut text = if problem.detail.is_empty() {
        problem.title.clone()
    } else {
        problem.detail.clone()
    };
    for field in &problem.errors {
        // A problem with one field often says the same twice.
        if !text.contains(&field.detail) {
            text.push_str(&format!("\n  {}: {}", field.at, field.detail));
        }
    }
    text
}
