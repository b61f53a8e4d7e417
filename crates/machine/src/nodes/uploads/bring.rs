//! One recording on its way to the server, in pieces. The form is described in [`muster_protocol::link::upload`].

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use muster_model::MachineId;
use muster_protocol::link::upload::{COMPLETE, CONTENT_TYPE, DIGEST, LENGTH, OFFSET, PIECE_MAX_BYTES, path};
use sha2::{Digest, Sha256};

use super::wishes::Wish;
use crate::dial::Dial;
use crate::options::ServerUrl;

/// How long the server may take for one piece: it writes it to its disk.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Longest refusal that is read.
const REFUSAL_MAX_BYTES: usize = 16 * 1024;
/// The path of the link, where the server's address ends with it.
const LINK: &str = "/machine";

/// Where it is brought.
pub(super) struct Target<D> {
    pub(super) dial: Arc<D>,
    pub(super) server: ServerUrl,
    pub(super) connect_timeout: Duration,
    pub(super) machine: MachineId,
    pub(super) bytes_per_s: u64,
}

/// All of it is there.
#[derive(Debug)]
pub(super) struct Brought {
    /// How long it is.
    pub(super) bytes: u64,
}

/// Why it is not.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Another time it may be.
    Later(String),
    /// The server does not know that somebody asked for it, or does not know it yet.
    Unknown(String),
    /// It will not be.
    Never(String),
}

/// Brings it, from where it was left.
pub(super) async fn bring<D: Dial>(
    target: Target<D>,
    wish: Wish,
    content: PathBuf,
) -> Result<Brought, Trouble> {
    let mut file = Content::open(&content)?;
    let (host, port) = (target.server.host(), target.server.port());
    let unreached =
        |error: &dyn std::fmt::Display| Trouble::Later(format!("no connection to {host}:{port}: {error}"));
    let dialled = tokio::time::timeout(target.connect_timeout, target.dial.dial(host, port)).await;
    let stream = dialled
        .map_err(|_| unreached(&"no answer in time"))?
        .map_err(|error| unreached(&error))?;
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreached(&error))?;
    let mut conversation = Conversation {
        sender,
        authority: target
            .server
            .uri()
            .authority()
            .map(ToString::to_string)
            .unwrap_or_default(),
        path: place(&target, &wish),
    };
    let bringing = bring_on(&mut conversation, &mut file, target.bytes_per_s);
    tokio::pin!(bringing, connection);
    tokio::select! {
        result = &mut bringing => result,
        // What was answered before the end still counts.
        ended = &mut connection => match ended {
            Ok(()) => bringing.await,
            Err(error) => Err(unreached(&error)),
        },
    }
}

fn place<D>(target: &Target<D>, wish: &Wish) -> String {
    let link = target.server.uri().path();
    let before = link.strip_suffix(LINK).unwrap_or("");
    format!("{before}{}", path(target.machine, &wish.command))
}

async fn bring_on(
    conversation: &mut Conversation,
    file: &mut Content,
    bytes_per_s: u64,
) -> Result<Brought, Trouble> {
    let there = conversation.ask(Method::HEAD, &[], Bytes::new()).await?;
    let mut offset = offset_of(&there)?;
    if there.headers().contains_key(COMPLETE) {
        return Ok(Brought { bytes: file.length });
    }
    if offset > file.length {
        return Err(Trouble::Never(
            "the server has more of it than there is".to_owned(),
        ));
    }
    loop {
        let began = Instant::now();
        let piece = file.piece(offset)?;
        let bytes = piece.len() as u64;
        let last = offset + bytes == file.length;
        let mut headers = vec![(OFFSET, offset.to_string()), (LENGTH, file.length.to_string())];
        if last {
            headers.push((
                DIGEST,
                format!("sha-256=:{}:", STANDARD.encode(file.digest().await?)),
            ));
        }
        let answer = conversation.ask(Method::PATCH, &headers, piece).await?;
        offset = offset_of(&answer)?;
        if last {
            return Ok(Brought { bytes: file.length });
        }
        let usual = Duration::from_millis((bytes * 1_000).checked_div(bytes_per_s).unwrap_or(0));
        tokio::time::sleep(usual.saturating_sub(began.elapsed())).await;
    }
}

struct Conversation {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
    path: String,
}

impl Conversation {
    /// Asks, and makes a trouble of a refusal.
    async fn ask(
        &mut self,
        method: Method,
        headers: &[(&str, String)],
        body: Bytes,
    ) -> Result<Response<Incoming>, Trouble> {
        let broken = |error: &dyn std::fmt::Display| Trouble::Later(format!("the connection broke: {error}"));
        let mut request = Request::builder()
            .method(method)
            .uri(&self.path)
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, CONTENT_TYPE);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(body)).map_err(|error| broken(&error))?;
        let answering = tokio::time::timeout(ANSWER_WITHIN, self.sender.send_request(request)).await;
        let response = answering
            .map_err(|_| Trouble::Later("the server did not answer in time".to_owned()))?
            .map_err(|error| broken(&error))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => Err(refused(status, said(response).await)),
        }
    }
}

/// What a refusal means.
fn refused(status: StatusCode, why: String) -> Trouble {
    let why = if why.is_empty() {
        format!("the server answered {status}")
    } else {
        format!("the server answered {status}: {why}")
    };
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Trouble::Unknown(why),
        // It has another offset, threw away what came damaged, has no room, or has much to do.
        StatusCode::CONFLICT
        | StatusCode::UNPROCESSABLE_ENTITY
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS => Trouble::Later(why),
        status if status.is_server_error() => Trouble::Later(why),
        _ => Trouble::Never(why),
    }
}

/// What a refusal says for a person, if it is a problem document.
async fn said(response: Response<Incoming>) -> String {
    let body = Limited::new(response.into_body(), REFUSAL_MAX_BYTES).collect();
    let Ok(body) = body.await else {
        return String::new();
    };
    let read: Option<serde_json::Value> = serde_json::from_slice(&body.to_bytes()).ok();
    let detail = read.as_ref().and_then(|problem| problem.get("detail")?.as_str());
    detail.unwrap_or_default().to_owned()
}

fn offset_of(response: &Response<Incoming>) -> Result<u64, Trouble> {
    let text = response
        .headers()
        .get(OFFSET)
        .and_then(|value| value.to_str().ok());
    let offset = text.and_then(|text| text.parse().ok());
    // A proxy that knows nothing of this answers as well.
    offset.ok_or_else(|| Trouble::Never("what answers there is no server of ours".to_owned()))
}

/// The file, and the digest of as much of it as was looked at.
struct Content {
    file: File,
    length: u64,
}

impl Content {
    fn open(path: &Path) -> Result<Self, Trouble> {
        let gone = |error: std::io::Error| Trouble::Never(format!("it cannot be read any more: {error}"));
        let file = File::open(path).map_err(gone)?;
        let length = file.metadata().map_err(gone)?.len();
        Ok(Self { file, length })
    }

    fn piece(&mut self, offset: u64) -> Result<Bytes, Trouble> {
        let left = self.length.saturating_sub(offset);
        let bytes = usize::try_from(left).map_or(PIECE_MAX_BYTES, |left| left.min(PIECE_MAX_BYTES));
        let mut piece = vec![0; bytes];
        let read = self
            .file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.file.read_exact(&mut piece));
        read.map_err(|error| Trouble::Later(format!("it cannot be read: {error}")))?;
        Ok(piece.into())
    }

    /// Of all of it. Others have their turn in between.
    async fn digest(&mut self) -> Result<[u8; 32], Trouble> {
        let mut hash = Sha256::new();
        let mut offset = 0;
        while offset < self.length {
            let piece = self.piece(offset)?;
            hash.update(&piece);
            offset += piece.len() as u64;
            tokio::task::yield_now().await;
        }
        Ok(hash.finalize().into())
    }
}
