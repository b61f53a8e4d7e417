//! The way to a machine for whoever is beside it: HTTP on a Unix socket in its data directory.
//!
//! `GET /v1/machines` lists who is here, `GET /v1/safety` says how one stands, `POST /v1/safety/estop`, `stop`, `reset` and `resume` press;
//! [`calibration`] has its own.
//! Where several machines are here (a simulated fleet), `?machine=NAME` says which. Only the user who runs the machine, and root,
//! are heard: the socket is theirs alone, and who connects is looked at once more.

pub mod calibration;
pub mod client;
pub mod devices;
mod faults;
pub mod recordings;
mod workloads;

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use muster_model::gate::GateReport;
use muster_model::safety::SafetyReport;
use muster_model::service::Services;
use muster_model::state::Operation;
use serde::{Deserialize, Serialize};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

use crate::nodes::calibration::Calibrator;
use crate::nodes::devices::Board;
use crate::nodes::faults::Desk as FaultDesk;
use crate::nodes::recorder;
use crate::nodes::safety::{Panel, Press};
use crate::nodes::workloads::Desk;
use crate::supervisor::{NodeContext, NodeError, NodeSpec, Wake};

/// The socket's name in the data directory.
pub const SOCKET: &str = "local.sock";
/// Connections at the same time.
const CONNECTIONS_MAX: usize = 16;
/// Most that may come with a request.
const BODY_MAX_BYTES: usize = 256 * 1024;
/// A connection that says nothing for so long is ended.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// How long a press may take until it is heard and what comes of it is on disk.
const SHOWN_WITHIN: Duration = Duration::from_secs(3);

/// A machine that is reached here.
#[derive(Clone, Debug)]
pub struct Door {
    /// What people call it.
    pub name: String,
    /// What they press and see.
    pub panel: Panel,
    /// How its devices are calibrated.
    pub calibrator: Calibrator,
    /// What is connected to it, where something is described.
    pub board: Option<Arc<Board>>,
    /// How its workloads are reached; a simulated machine has none.
    pub desk: Option<Desk>,
    /// How what it watches fares, where something is watched.
    pub services: Option<watch::Receiver<Services>>,
    /// Where its recorder is found, where it records.
    pub recorder: Option<recorder::Desk>,
    /// Where faults are put in, where it is simulated.
    pub faults: Option<Arc<FaultDesk>>,
}

/// How a machine stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// What people call the machine.
    pub machine: String,
    /// Its regions; nothing before it knows itself.
    pub operation: Option<Operation>,
    /// Whether what must outlive the power, such as a latch, is on disk.
    pub kept: bool,
    /// How its safety is set up; nothing before that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety: Option<Arc<SafetyReport>>,
    /// What its gate did not let through; nothing where there is nothing to move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Arc<GateReport>>,
}

/// What was wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For a person.
    pub detail: String,
}

/// The node of one real machine.
pub fn spec(socket: PathBuf, doors: Vec<Door>) -> NodeSpec {
    let doors: Arc<[Door]> = doors.into();
    NodeSpec {
        needs_io: true,
        ..NodeSpec::new("local", &[], move |context| {
            run(context, socket.clone(), doors.clone())
        })
    }
}

async fn run(mut context: NodeContext, socket: PathBuf, doors: Arc<[Door]>) -> Result<(), NodeError> {
    let listener = bind(&socket).map_err(|error| NodeError(format!("{}: {error}", socket.display())))?;
    let serving = accept(&listener, &doors);
    tokio::pin!(serving);
    loop {
        tokio::select! {
            () = &mut serving => {}
            wake = context.next(None) => if matches!(wake, Wake::Stop) {
                // Nobody finds a socket that nobody hears.
                let _ = std::fs::remove_file(&socket);
                return Ok(());
            },
        }
    }
}

/// Listens where a machine is reached from. The directory is locked for its owner, so what is there is left over.
pub fn bind(socket: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers for ever.
pub async fn accept(listener: &UnixListener, doors: &Arc<[Door]>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = room.clone().acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "somebody beside the machine could not be heard");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let doors = doors.clone();
        connections.spawn(async move {
            let _permit = permit;
            // Who leaves in the middle is not missed.
            let _ = tokio::time::timeout(IDLE_MAX, serve(stream, doors)).await;
        });
    }
}

async fn serve(stream: UnixStream, doors: Arc<[Door]>) {
    let allowed = stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == rustix::process::geteuid().as_raw());
    let service = service_fn(move |request: Request<Incoming>| {
        let doors = doors.clone();
        async move {
            let answer = if allowed {
                take(request, &doors).await
            } else {
                refuse(
                    StatusCode::FORBIDDEN,
                    "only the user who runs the machine, and root, are heard",
                )
            };
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a local connection ended early");
    }
}

/// A request, with what came with it.
struct Call<'a> {
    method: &'a Method,
    path: &'a str,
    body: Bytes,
}

impl Call<'_> {
    /// What came with it; else what is wrong with that.
    #[expect(clippy::result_large_err, reason = "the error is the answer")]
    fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Response<Full<Bytes>>> {
        serde_json::from_slice(&self.body)
            .map_err(|error| refuse(StatusCode::UNPROCESSABLE_ENTITY, &format!("the body: {error}")))
    }
}

async fn take(request: Request<Incoming>, doors: &[Door]) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, BODY_MAX_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            return refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                &format!("at most {BODY_MAX_BYTES} bytes are accepted"),
            );
        }
    };
    let call = Call {
        method: &head.method,
        path: head.uri.path(),
        body,
    };
    answer(&call, head.uri.query(), doors).await
}

async fn answer(call: &Call<'_>, query: Option<&str>, doors: &[Door]) -> Response<Full<Bytes>> {
    let path = call.path;
    if path.starts_with(calibration::PATH) {
        return calibration::answer(call, query, doors).await;
    }
    if path == "/v1/machines" && call.method == Method::GET {
        let standing: Vec<_> = doors.iter().map(standing).collect();
        return json(StatusCode::OK, &standing);
    }
    if let Some(answer) = faults::answer(call.method, path, query, doors) {
        return answer;
    }
    let press = match (call.method, path) {
        (&Method::GET, "/v1/safety") => None,
        (&Method::POST, "/v1/safety/estop") => Some(Press::Estop),
        (&Method::POST, "/v1/safety/stop") => Some(Press::Stop),
        (&Method::POST, "/v1/safety/reset") => Some(Press::Reset),
        (&Method::POST, "/v1/safety/resume") => Some(Press::Resume),
        (_, "/v1/machines" | "/v1/safety") => {
            return refuse(StatusCode::METHOD_NOT_ALLOWED, "GET is accepted here");
        }
        _ => {
            let door = match door(query, doors) {
                Ok(door) => door,
                Err(detail) => return refuse(StatusCode::NOT_FOUND, &detail),
            };
            if let Some(answer) = recordings::answer(call, door) {
                return answer;
            }
            let answered = match devices::answer(call, door).await {
                None => workloads::answer(call, door).await,
                answered => answered,
            };
            return answered.unwrap_or_else(|| {
                refuse(
                    StatusCode::NOT_FOUND,
                    "there are GET /v1/machines, GET /v1/safety, POST /v1/safety/{estop,stop,reset,resume}, GET \
                     /v1/devices, /v1/claim, /v1/actuators, /v1/contacts, /v1/services and /v1/workloads",
                )
            });
        }
    };
    let door = match door(query, doors) {
        Ok(door) => door,
        Err(detail) => return refuse(StatusCode::NOT_FOUND, &detail),
    };
    if let Some(press) = press {
        tracing::warn!(machine = %door.name, ?press, "pressed by somebody at the machine");
        let pressed = door.panel.presses().press(press);
        let mut shown = door.panel.shown();
        // A disk that takes longer delays the answer, not the stop; the answer says that it is not kept yet.
        let _ = tokio::time::timeout(SHOWN_WITHIN, shown.wait_for(|shown| shown.answers(pressed))).await;
    }
    json(StatusCode::OK, &standing(door))
}

fn door<'a>(query: Option<&str>, doors: &'a [Door]) -> Result<&'a Door, String> {
    let name = match query {
        None | Some("") => None,
        Some(query) => match query.strip_prefix("machine=") {
            Some(name) if !name.contains('&') => Some(unescaped(name)),
            Some(_) | None => return Err("only machine=NAME is asked for here".to_owned()),
        },
    };
    match (name, doors) {
        (None, [only]) => Ok(only),
        (None, _) => Err(format!(
            "{} machines are here: say which one (machine=NAME)",
            doors.len()
        )),
        (Some(name), _) => doors
            .iter()
            .find(|door| door.name == name)
            .ok_or_else(|| format!("no machine here is called {name:?}")),
    }
}

/// `%20` and `+` are spaces; what is no escape stays as it is.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        rest = if escaped.is_some() { &tail[2..] } else { tail };
        bytes.push(escaped.unwrap_or(if *first == b'+' { b' ' } else { *first }));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn standing(door: &Door) -> Standing {
    let shown = door.panel.shown();
    let shown = shown.borrow();
    Standing {
        machine: door.name.clone(),
        operation: shown.operation.clone(),
        kept: shown.kept,
        safety: shown.safety.clone(),
        gate: shown.gate.clone(),
    }
}

fn refuse(status: StatusCode, detail: &str) -> Response<Full<Bytes>> {
    json(
        status,
        &Refusal {
            detail: detail.to_owned(),
        },
    )
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Full<Bytes>> {
    let (status, body) = match serde_json::to_vec(body) {
        Ok(body) => (status, body),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn names_come_back_as_they_were() {
        assert_eq!(unescaped("B-MU%201005"), "B-MU 1005");
        assert_eq!(unescaped("a+b%2Bc"), "a b+c");
        assert_eq!(unescaped("50%"), "50%");
        assert_eq!(unescaped("%zz%4"), "%zz%4");
        assert_eq!(unescaped("%c3%b8"), "ø");
    }
}
