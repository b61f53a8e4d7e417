//! How the API says no: RFC 9457 problems with stable codes.

mod identity;
mod releases;

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use muster_protocol::api::{Problem, ProblemField};
use muster_store::{LogError, RecordingsError, TelemetryError};

use crate::access::caller::PolicyNamed;
use crate::state::Stopping;
use crate::state::recovery::FoldError;
use crate::state::searches::SearchError;

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError(Box<Problem>);

/// How much of what a client wrote into its query string is said back to it, in characters.
const QUOTE_MAX_CHARS: usize = 2_000;

/// The code of what takes a second person.
const SECOND_PERSON: &str = "MST-A080";

/// What is said of a parameter: it quotes what the client wrote, which may be as long as an address can be.
fn quoted(text: &str) -> String {
    text.chars().take(QUOTE_MAX_CHARS).collect()
}

impl ApiError {
    fn new(status: StatusCode, code: &str, title: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem {
            kind: format!("urn:muster:problem:{code}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.to_owned(),
            errors: Vec::new(),
            trace_id: None,
            proposal: None,
        }))
    }

    fn at(mut self, at: impl Into<String>, detail: impl Into<String>) -> Self {
        self.0.errors.push(ProblemField {
            at: at.into(),
            detail: detail.into(),
        });
        self
    }

    /// The request is not understood.
    pub fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            code,
            "The request is not understood",
            quoted(&detail.into()),
        )
    }

    /// One parameter of the query string is wrong.
    pub fn bad_parameter(name: &str, detail: impl Into<String>) -> Self {
        let (name, detail) = (&quoted(name), quoted(&detail.into()));
        let title = "A parameter is wrong";
        Self::new(
            StatusCode::BAD_REQUEST,
            "MST-A001",
            title,
            format!("{name}: {detail}"),
        )
        .at(format!("query.{name}"), detail)
    }

    /// Part of the body is wrong.
    pub fn bad_body(at: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "MST-A002",
            "The body is wrong",
            format!("{at}: {detail}"),
        )
        .at(format!("body.{at}"), detail)
    }

    /// Several parts of the body are wrong.
    pub fn bad_body_fields(fields: Vec<ProblemField>) -> Self {
        let say = |field: &ProblemField| match field.at.as_str() {
            "" => field.detail.clone(),
            at => format!("{at}: {}", field.detail),
        };
        let lines: Vec<String> = fields.iter().map(say).collect();
        let detail = lines.join("; ");
        let mut error = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "MST-A002",
            "The body is wrong",
            detail,
        );
        error.0.errors = fields;
        error
    }

    /// The body cannot be read at all.
    pub fn unreadable_body(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::new(status, "MST-A003", "The body cannot be read", detail)
    }

    /// There is no such machine.
    pub fn no_such_machine(id: impl std::fmt::Display) -> Self {
        let detail = format!("the fleet does not know a machine {id}");
        Self::new(
            StatusCode::NOT_FOUND,
            "MST-A004",
            "There is no such machine",
            detail,
        )
    }

    /// The machine did not say that it carries out such commands.
    pub fn not_accepted(detail: String) -> Self {
        let title = "The machine does not do that";
        Self::new(StatusCode::CONFLICT, "MST-A030", title, detail)
    }

    /// The command is for machines that are there, and this one is not.
    pub fn not_in_session(detail: String) -> Self {
        let title = "The machine is not connected";
        Self::new(StatusCode::CONFLICT, "MST-A031", title, detail)
    }

    /// Too many commands wait for this machine's answer.
    pub fn too_many_open(detail: String) -> Self {
        let title = "Too many commands wait for this machine";
        Self::new(StatusCode::CONFLICT, "MST-A032", title, detail)
    }

    /// There is no such recording on the server.
    pub fn no_such_recording(file: &str) -> Self {
        let detail = format!(
            "there is no recording {} here: fetch it from the machine first",
            quoted(file)
        );
        let title = "There is no such recording";
        Self::new(StatusCode::NOT_FOUND, "MST-A034", title, detail)
    }

    /// A machine brings what nobody asked it for.
    pub fn not_asked_for(detail: impl Into<String>) -> Self {
        let title = "Nobody asked for it";
        Self::new(StatusCode::NOT_FOUND, "MST-A035", title, detail)
    }

    /// A piece of a file does not fit to what is here.
    pub fn does_not_fit(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::new(status, "MST-A036", "The piece does not fit", detail)
    }

    /// There is no room for a recording.
    pub fn no_room(detail: impl Into<String>) -> Self {
        let title = "There is no room for recordings";
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "MST-A037", title, detail)
    }

    /// Whether something is not there.
    pub fn is_not_found(&self) -> bool {
        self.0.status == StatusCode::NOT_FOUND.as_u16()
    }

    /// Machines were told to stop, and the log did not take it.
    pub fn told_without_record(told: usize, asked: usize, reason: &str) -> Self {
        let who = match (told, asked) {
            (1, 1) => "the machine was told".to_owned(),
            (told, asked) => format!("{told} of {asked} machines were told"),
        };
        let detail = format!(
            "{who} to stop, the log has no record of it ({reason}): look at what they report. Who was not told is away, \
             and will not be told later"
        );
        let title = "The machine was told, the log has no record of it";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "MST-A033", title, detail)
    }

    /// Something is asked of a selection of machines that holds none.
    pub fn nothing_selected(detail: &str) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "MST-A019",
            "No machine is selected",
            detail,
        )
    }

    /// There was no such machine at that moment.
    pub fn no_such_machine_then(id: impl std::fmt::Display, at: impl std::fmt::Display) -> Self {
        let detail = format!("the fleet did not know a machine {id} at {at}");
        Self::new(
            StatusCode::NOT_FOUND,
            "MST-A004",
            "There was no such machine",
            detail,
        )
    }

    /// Somebody else was faster.
    pub fn conflict(current: &str) -> Self {
        let detail =
            "it was changed by someone else since you read it: look at the current version and try again";
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "MST-A005",
            "It was changed in the meantime",
            detail,
        )
        .at("current", current)
    }

    /// A change needs to say what it is based on.
    pub fn precondition_required() -> Self {
        let detail = "send If-Match with the ETag that you read, so that nobody's change is lost, or If-Match: * to \
                      overwrite whatever is there";
        Self::new(
            StatusCode::PRECONDITION_REQUIRED,
            "MST-A006",
            "If-Match is needed",
            detail,
        )
    }

    /// Not for this caller.
    pub fn forbidden(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, "Not allowed", detail)
    }

    /// Nobody is signed in.
    pub fn not_signed_in() -> Self {
        let detail = "sign in first: with a browser at /, with `muster login`, or send Authorization: Bearer with a token";
        Self::new(
            StatusCode::UNAUTHORIZED,
            "MST-A040",
            "Nobody is signed in",
            detail,
        )
    }

    /// Name, password or code are wrong.
    pub fn wrong_credentials(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "MST-A041", "Not signed in", detail)
    }

    /// A code is asked for besides, or another one.
    pub fn code_needed(detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(
            StatusCode::UNAUTHORIZED,
            "MST-A042",
            "A code is needed",
            detail.clone(),
        )
        .at("body.code", detail)
    }

    /// Too many tries failed.
    pub fn wait(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "MST-A043",
            "Too many tries failed",
            detail,
        )
    }

    /// Nobody signs in at a provider here.
    pub fn no_provider() -> Self {
        let detail = "no provider is set up here: sign in by name and password";
        Self::new(StatusCode::NOT_FOUND, "MST-A070", "There is no provider", detail)
    }

    /// The set-up link is not valid.
    pub fn no_set_up() -> Self {
        let detail = "the set-up link was used, is older than an hour, or there is an admin already: start the server again \
                      for a new one, if there is no admin";
        Self::new(
            StatusCode::FORBIDDEN,
            "MST-A044",
            "The set-up link is not valid",
            detail,
        )
    }

    /// A program waits for a person, who said nothing yet.
    pub fn nobody_said_yes_yet() -> Self {
        let detail = "nobody typed the code yet: ask again in two seconds";
        Self::new(StatusCode::CONFLICT, "MST-A049", "Nobody said yes yet", detail)
    }

    /// A program waited for a person, who said no.
    pub fn somebody_said_no() -> Self {
        let detail = "whoever typed the code turned the program away";
        Self::new(StatusCode::CONFLICT, "MST-A050", "Somebody said no", detail)
    }

    /// They may not, by this rule.
    pub fn not_allowed(rule: String) -> Self {
        Self::new(StatusCode::FORBIDDEN, "MST-A045", "Not allowed", rule)
    }

    /// They may, with a second person.
    pub fn takes_a_second_person(policy: &PolicyNamed) -> Self {
        let detail = format!(
            "the policy {} asks for a second person: {}",
            policy.name, policy.description
        );
        Self::new(
            StatusCode::FORBIDDEN,
            SECOND_PERSON,
            "It takes a second person",
            detail,
        )
    }

    /// As [`takes_a_second_person`](Self::takes_a_second_person), and it waits for one.
    pub fn waits_for_a_second_person(policy: &PolicyNamed, proposal: &str) -> Self {
        let mut error = Self::takes_a_second_person(policy);
        error.0.title = "It waits for a second person".to_owned();
        error.0.detail.push_str(&format!(
            "; it waits as the proposal {proposal} until somebody else approves it"
        ));
        error.0.proposal = Some(proposal.to_owned());
        error
    }

    /// It is decided already, or was never theirs to decide.
    pub fn not_waiting(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "MST-A081",
            "It does not wait any more",
            detail,
        )
    }

    /// It takes a second person, and cannot wait for one.
    pub fn cannot_wait(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "MST-A082",
            "It cannot wait for a second person",
            detail,
        )
    }

    /// Without this one nobody could change anything any more.
    pub fn last_admin(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "MST-A046", "It is the last admin", detail)
    }

    /// There is no such person, session, token or policy.
    pub fn no_such(what: &str, which: &str) -> Self {
        let detail = format!("there is no {what} {which:?}");
        Self::new(
            StatusCode::NOT_FOUND,
            "MST-A047",
            "There is no such thing",
            quoted(&detail),
        )
    }

    /// It could be done if things stood otherwise.
    pub fn as_things_stand(detail: impl Into<String>) -> Self {
        let title = "It cannot be done as things stand";
        Self::new(StatusCode::CONFLICT, "MST-A048", title, detail)
    }

    /// The server is being stopped.
    pub fn stopping() -> Self {
        let detail = "the server is being stopped: try again in a moment";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "MST-A007",
            "The server is being stopped",
            detail,
        )
    }

    /// More is asked for at once than can be answered.
    pub fn busy() -> Self {
        let detail = "too many look through the log or the measurements at once: try again in a moment";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "MST-A018",
            "Too many searches at once",
            detail,
        )
    }

    /// The log could not be read, or did not take something.
    pub fn log(error: &LogError) -> Self {
        tracing::error!(code = error.code(), error = %muster_runtime::errors::chain(error), "a request met an error of the log");
        let detail = format!("{error} ({})", error.code());
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "MST-A008",
            "The store cannot do it now",
            detail,
        )
    }

    /// It could not be stored.
    pub fn not_persisted(reason: &str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "MST-A008",
            "The store cannot do it now",
            reason,
        )
    }

    /// Says the same again that was said elsewhere.
    pub fn from_problem(problem: Problem) -> Self {
        Self(Box::new(problem))
    }

    /// As a document.
    pub fn problem(&self) -> Problem {
        (*self.0).clone()
    }
}

impl From<Stopping> for ApiError {
    fn from(_: Stopping) -> Self {
        Self::stopping()
    }
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Busy => Self::busy(),
            SearchError::Stopping => Self::stopping(),
        }
    }
}

impl From<FoldError> for ApiError {
    fn from(error: FoldError) -> Self {
        match error {
            FoldError::Log(error) => Self::log(&error),
            FoldError::Entry { .. } => {
                tracing::error!(error = %muster_runtime::errors::chain(&error), "the past cannot be rebuilt");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "MST-A009",
                    "The log cannot be understood",
                    error.to_string(),
                )
            }
        }
    }
}

impl From<RecordingsError> for ApiError {
    fn from(error: RecordingsError) -> Self {
        match &error {
            RecordingsError::Offset { .. } | RecordingsError::Length { .. } | RecordingsError::Busy => {
                Self::does_not_fit(StatusCode::CONFLICT, error.to_string())
            }
            RecordingsError::Digest => {
                Self::does_not_fit(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
            }
            RecordingsError::Full { .. } | RecordingsError::DiskFull { .. } => {
                Self::no_room(error.to_string())
            }
            RecordingsError::Unknown => Self::not_asked_for(error.to_string()),
            RecordingsError::Io { .. } => {
                let detail = muster_runtime::errors::chain(&error);
                tracing::error!(error = %detail, "a recording met an error of the disk");
                Self::not_persisted(&detail)
            }
        }
    }
}

impl From<TelemetryError> for ApiError {
    fn from(error: TelemetryError) -> Self {
        match error {
            TelemetryError::Cursor => Self::bad_parameter("cursor", error.to_string()),
            _ => {
                tracing::error!(error = %muster_runtime::errors::chain(&error), "telemetry cannot be read");
                let detail = format!("{error} ({})", error.code());
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "MST-A008",
                    "The store cannot do it now",
                    detail,
                )
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A problem is words: it can always be written.
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let refused = axum::Extension(Refused {
            detail: self.0.detail.as_str().into(),
            takes_a_second_person: self.0.code == SECOND_PERSON,
        });
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, refused, kind, body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"muster\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// Why a request was not carried out, in words, for whoever writes it down: a part of the answer that is not sent.
#[derive(Clone, Debug)]
pub struct Refused {
    /// In words.
    pub detail: std::sync::Arc<str>,
    /// Whether a second person would change that.
    pub takes_a_second_person: bool,
}

/// A path of the API that does not exist.
pub async fn no_such_path(uri: Uri) -> ApiError {
    let detail = format!(
        "there is no {}: /api/v1/openapi.json says what there is",
        uri.path()
    );
    ApiError::new(StatusCode::NOT_FOUND, "MST-A015", "There is no such path", detail)
}

/// A path that exists, but not for this method.
pub async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let detail = format!(
        "{method} is not accepted at {}: /api/v1/openapi.json says what is",
        uri.path()
    );
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "MST-A016",
        "The method is not accepted here",
        detail,
    )
}

/// The method as a label: whatever else a client makes up is one word, so that labels stay few.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Measures requests of the API, and gives an error the caller's trace.
pub async fn measure(request: Request, next: Next) -> Response {
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let method = request.method().clone();
    let trace = request.headers().get("traceparent").cloned();
    let started = Instant::now();
    let mut response = next.run(request).await;
    if let Some(trace) = trace.filter(|trace| trace.len() <= 128) {
        response.headers_mut().insert("traceparent", trace);
    }
    if path.as_deref().is_some_and(|path| path.starts_with("/api/")) {
        response
            .headers_mut()
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        let path = path.unwrap_or_default();
        let status = response.status().as_u16().to_string();
        metrics::histogram!("muster_api_request_seconds", "path" => path.clone())
            .record(started.elapsed().as_secs_f64());
        metrics::counter!("muster_api_requests_total", "method" => known(&method), "path" => path, "status" => status)
            .increment(1);
    }
    response
}
