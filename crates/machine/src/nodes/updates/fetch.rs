//! Gets a release: its manifest, and of what that names as much as is not on this machine yet. Everything is verified by its digest before it
//! is kept; what was cut off goes on where it was. The form is described in [`muster_protocol::link::release`].

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use muster_model::MachineId;
use muster_model::release::Assignment;
use muster_protocol::link::release::{
    AVAILABLE_DICTIONARY, BLOBS, DCZ, DCZ_MAGIC, DICTIONARY_MAX_BYTES, MANIFESTS, WINDOW_LOG_MAX, ZSTD, path,
};
use muster_reflex::update::Trouble;
use muster_release::manifest::FileContent;
use muster_release::trust::Vouched;
use muster_release::{BlobError, Manifest, Sha256Digest};
use muster_runtime::Clock;
use muster_runtime::errors::chain;

use super::commands::missing;
use super::trust;
use crate::dial::Dial;
use crate::options::ServerUrl;
use crate::releases::{Releases, against};

/// How long the server may take to begin an answer: it may have to compress first.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// A transfer that brings less than [`LEAST_BYTES`] in this time is given up, and tried again: an endless one would hold everything up.
const LEAST_WITHIN: Duration = Duration::from_secs(60);
/// A kibibyte a second.
const LEAST_BYTES: u64 = 60 * 1024;
/// Longest refusal that is read.
const REFUSAL_MAX_BYTES: usize = 16 * 1024;
/// Where what is on its way is kept, below the folder of releases.
const FOLDER: &str = "fetching";
/// The path of the link, where the server's address ends with it.
const LINK: &str = "/machine";

/// From where, for whom.
pub(super) struct Source<D> {
    pub(super) dial: Arc<D>,
    pub(super) server: ServerUrl,
    pub(super) connect_timeout: Duration,
    pub(super) machine: MachineId,
    pub(super) kind: String,
    pub(super) releases: Releases,
    pub(super) clock: Clock,
    /// Where the root of trust is.
    pub(super) root: PathBuf,
    pub(super) bytes_per_s: u64,
}

/// How far a transfer is, for whoever looks.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) fetched_bytes: AtomicU64,
    pub(super) to_fetch_bytes: AtomicU64,
}

/// Gets a release, and all of it.
pub(super) async fn fetch<D: Dial>(
    source: Arc<Source<D>>,
    product: String,
    assignment: Assignment,
    progress: Arc<Progress>,
) -> Result<Arc<Manifest>, Trouble> {
    let vouched = trust::vouched(&source, &product, &assignment).await?;
    let mut line = Line::new(source.clone(), progress.clone());
    let manifest = manifest(&mut line, &vouched).await?;
    if let Some(why) = against(&manifest, &source.kind, std::env::consts::ARCH).or_else(|| missing(&manifest))
    {
        return Err(Trouble::Never(why));
    }
    let lacking = {
        let (releases, manifest, product) = (source.releases.clone(), manifest.clone(), product.clone());
        blocking(move || lacking(&releases, &product, &manifest)).await?
    };
    let bytes = lacking.iter().map(|wanted| wanted.content.length).sum();
    progress.to_fetch_bytes.store(bytes, Ordering::Relaxed);
    for wanted in lacking {
        line.blob(wanted).await?;
    }
    Ok(manifest)
}

async fn manifest<D: Dial>(line: &mut Line<D>, vouched: &Vouched) -> Result<Arc<Manifest>, Trouble> {
    let (digest, length) = (vouched.sha256, vouched.length);
    let blobs = line.source.releases.blobs();
    if !blobs.has(digest, length).map_err(|error| later(&error))? {
        let body = line
            .get(MANIFESTS, &digest.to_string(), Headers::default())
            .await?;
        let part = line.place(digest, "manifest");
        line.keep(body, &part, 0, length).await?;
        line.take_in(digest, length, part, Coding::Plain).await?;
    }
    let bytes = {
        let releases = line.source.releases.clone();
        blocking(move || read_blob(&releases, digest, length)).await?
    };
    let manifest = vouched
        .verify(&bytes)
        .map_err(|error| Trouble::Never(chain(&error)))?;
    Ok(Arc::new(manifest))
}

fn read_blob(releases: &Releases, digest: Sha256Digest, length: u64) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    releases
        .blobs()
        .read(digest, length, |piece: &[u8]| -> Result<(), BlobError> {
            bytes.extend_from_slice(piece);
            Ok(())
        })
        .map_err(|error| later(&error))?;
    Ok(bytes)
}

/// A content that is not here, and a file that may be like it.
struct Lacking {
    content: FileContent,
    like: Option<(PathBuf, FileContent)>,
}

/// What has to come over the network. What lies in the slot in use is taken from there.
fn lacking(releases: &Releases, product: &str, manifest: &Manifest) -> Result<Vec<Lacking>, Trouble> {
    let product = product
        .parse()
        .map_err(|_| Trouble::Never("the name of the product is none".to_owned()))?;
    let in_use = releases
        .with(&product, |slots, _| {
            let Some(slot) = slots.current() else {
                return Ok(None);
            };
            Ok(Some((
                releases.root().join(slots.path(slot)),
                slots.manifest(slot)?,
            )))
        })
        .map_err(|error| later(&error))?;
    let mut lacking: Vec<Lacking> = Vec::new();
    for (place, content) in manifest.files() {
        let known = releases.blobs().has(content.sha256, content.length);
        let is_asked_for = lacking.iter().any(|other| other.content.sha256 == content.sha256);
        if known.map_err(|error| later(&error))? || is_asked_for {
            continue;
        }
        let same = in_use.as_ref().and_then(|(root, manifest)| {
            let (path, _) = manifest.files().find(|(_, file)| file.sha256 == content.sha256)?;
            Some(root.join(path))
        });
        if let Some(path) = same
            && File::open(path).is_ok_and(|mut file| {
                releases
                    .blobs()
                    .put(content.sha256, content.length, &mut file)
                    .is_ok()
            })
        {
            continue;
        }
        let like = in_use.as_ref().and_then(|(root, manifest)| {
            let (path, file) = manifest.files().find(|(path, _)| *path == place)?;
            (file.length <= DICTIONARY_MAX_BYTES && file.length > 0).then(|| (root.join(path), file))
        });
        lacking.push(Lacking { content, like });
    }
    Ok(lacking)
}

/// How what comes is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Plain,
    Zstd,
    Dcz,
}

impl Coding {
    const ALL: [Self; 3] = [Self::Plain, Self::Zstd, Self::Dcz];

    const fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Zstd => ZSTD,
            Self::Dcz => DCZ,
        }
    }
}

/// What is asked for beside the name.
#[derive(Default)]
struct Headers {
    /// From this byte on, of what this tag says.
    from: Option<(u64, String)>,
    dictionary: Option<Sha256Digest>,
    codings: bool,
}

/// A connection to the server, made when it is needed.
pub(super) struct Line<D> {
    source: Arc<Source<D>>,
    progress: Arc<Progress>,
    sender: Option<SendRequest<Empty<Bytes>>>,
    connection: Option<Connection>,
}

/// Whoever waits for an answer drives it.
type Connection = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Waits for something that only comes while the connection is driven.
async fn driven<T>(connection: &mut Option<Connection>, something: impl Future<Output = T>) -> T {
    tokio::pin!(something);
    loop {
        let Some(alive) = connection else {
            return something.await;
        };
        tokio::select! {
            biased;
            came = &mut something => return came,
            // What it brought before its end still counts.
            () = alive => *connection = None,
        }
    }
}

impl<D: Dial> Line<D> {
    pub(super) const fn new(source: Arc<Source<D>>, progress: Arc<Progress>) -> Self {
        Self {
            source,
            progress,
            sender: None,
            connection: None,
        }
    }

    fn place(&self, digest: Sha256Digest, end: &str) -> PathBuf {
        self.source
            .releases
            .root()
            .join(FOLDER)
            .join(format!("{digest}.{end}"))
    }

    /// One content: asked for in whatever coding is shortest, kept as it comes, then unpacked and compared with its name.
    async fn blob(&mut self, wanted: Lacking) -> Result<(), Trouble> {
        let FileContent { sha256, length, .. } = wanted.content;
        let (part, offset, tag) = self.left_over(sha256);
        let headers = Headers {
            from: (offset > 0).then_some((offset, tag)),
            dictionary: wanted.like.as_ref().map(|(_, file)| file.sha256),
            codings: true,
        };
        let answer = self.get(BLOBS, &sha256.to_string(), headers).await?;
        let coding = match answer
            .headers()
            .get(header::CONTENT_ENCODING)
            .map(http::HeaderValue::as_bytes)
        {
            None => Coding::Plain,
            Some(word) if word == ZSTD.as_bytes() => Coding::Zstd,
            Some(word) if word == DCZ.as_bytes() => Coding::Dcz,
            Some(_) => {
                return Err(Trouble::Later(
                    "the server sends it in a coding that was not asked for".to_owned(),
                ));
            }
        };
        let goes_on = answer.status() == StatusCode::PARTIAL_CONTENT;
        let (part, offset) = match part {
            Some(part) if goes_on => (part, offset),
            _ => (self.begin(sha256, coding, &answer)?, 0),
        };
        let left = content_length(&answer).ok_or_else(no_length)?;
        // What is compressed is no longer than what is not, but for a header.
        if offset + left > length + 1_024 {
            return Err(Trouble::Later("the server sends more than there is".to_owned()));
        }
        self.count(length, offset + left, offset);
        self.keep(answer, &part, offset, offset + left).await?;
        match (coding, wanted.like) {
            (Coding::Dcz, None) => Err(Trouble::Later(
                "the server used a file that was not offered".to_owned(),
            )),
            (Coding::Dcz, Some((like, _))) => self.patch(sha256, length, part, like).await,
            (coding, _) => self.take_in(sha256, length, part, coding).await,
        }
    }

    /// What is compressed is shorter than was thought.
    fn count(&self, length: u64, sent: u64, there: u64) {
        let total = &self.progress.to_fetch_bytes;
        let less = length.saturating_sub(sent);
        let _ = total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bytes| {
            Some(bytes.saturating_sub(less))
        });
        self.progress.fetched_bytes.fetch_add(there, Ordering::Relaxed);
    }

    /// What came before it was cut off, with the tag under which it did.
    fn left_over(&self, digest: Sha256Digest) -> (Option<PathBuf>, u64, String) {
        for coding in Coding::ALL {
            let part = self.place(digest, coding.word());
            let tag = std::fs::read_to_string(tag_of(&part));
            if let (Ok(found), Ok(tag)) = (std::fs::metadata(&part), tag)
                && found.len() > 0
            {
                return (Some(part), found.len(), tag);
            }
        }
        (None, 0, String::new())
    }

    /// Begins anew: what was left of it in any coding is worth nothing.
    fn begin(
        &self,
        digest: Sha256Digest,
        coding: Coding,
        answer: &Response<Incoming>,
    ) -> Result<PathBuf, Trouble> {
        for coding in Coding::ALL {
            let part = self.place(digest, coding.word());
            forget(&part);
        }
        let part = self.place(digest, coding.word());
        let tag = answer
            .headers()
            .get(header::ETAG)
            .and_then(|tag| tag.to_str().ok());
        let noted = || {
            std::fs::create_dir_all(part.parent().unwrap_or(Path::new(".")))?;
            match tag {
                Some(tag) => std::fs::write(tag_of(&part), tag),
                None => Ok(()),
            }
        };
        noted().map_err(|error| later(&error))?;
        Ok(part)
    }

    async fn ask(&mut self, kind: &str, name: &str, headers: Headers) -> Result<Response<Incoming>, Trouble> {
        self.connect().await?;
        let server = &self.source.server;
        let before = server.uri().path().strip_suffix(LINK).unwrap_or("");
        let place = format!("{before}{}", path(self.source.machine, kind, name));
        let authority = server
            .uri()
            .authority()
            .map(ToString::to_string)
            .unwrap_or_default();
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(place)
            .header(header::HOST, authority);
        if headers.codings {
            let codings = if headers.dictionary.is_some() {
                "zstd, dcz"
            } else {
                "zstd"
            };
            request = request.header(header::ACCEPT_ENCODING, codings);
        }
        if let Some(dictionary) = headers.dictionary {
            request = request.header(
                AVAILABLE_DICTIONARY,
                format!(":{}:", STANDARD.encode(dictionary.as_bytes())),
            );
        }
        if let Some((from, tag)) = headers.from {
            request = request
                .header(header::RANGE, format!("bytes={from}-"))
                .header(header::IF_RANGE, tag);
        }
        let request = request.body(Empty::new()).map_err(|error| later(&error))?;
        let Some(sender) = &mut self.sender else {
            return Err(Trouble::Later("there is no connection".to_owned()));
        };
        let answering = tokio::time::timeout(ANSWER_WITHIN, sender.send_request(request));
        let answer = match driven(&mut self.connection, answering).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                self.sender = None;
                return Err(Trouble::Later(format!("the connection broke: {error}")));
            }
            Err(_) => {
                self.sender = None;
                return Err(Trouble::Later("the server did not answer in time".to_owned()));
            }
        };
        Ok(answer)
    }

    async fn get(&mut self, kind: &str, name: &str, headers: Headers) -> Result<Response<Incoming>, Trouble> {
        let answer = self.ask(kind, name, headers).await?;
        self.accepted(answer).await
    }

    async fn accepted(&mut self, answer: Response<Incoming>) -> Result<Response<Incoming>, Trouble> {
        match answer.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(answer),
            status => {
                self.sender = None;
                Err(refused(status, &driven(&mut self.connection, said(answer)).await))
            }
        }
    }

    /// A small file whose length nobody knows before it is here: at most so many bytes of it are read.
    pub(super) async fn small(
        &mut self,
        kind: &str,
        name: &str,
        most: usize,
    ) -> Result<Option<Bytes>, Trouble> {
        let answer = match self.ask(kind, name, Headers::default()).await? {
            answer if answer.status() == StatusCode::NOT_FOUND => return Ok(None),
            answer => self.accepted(answer).await?,
        };
        let body = http_body_util::Limited::new(answer.into_body(), most).collect();
        let body = driven(&mut self.connection, tokio::time::timeout(LEAST_WITHIN, body)).await;
        match body {
            Ok(Ok(body)) => Ok(Some(body.to_bytes())),
            Ok(Err(error)) => Err(Trouble::Later(format!("{name} did not come: {error}"))),
            Err(_) => Err(Trouble::Later(format!("{name} comes too slowly"))),
        }
    }

    async fn connect(&mut self) -> Result<(), Trouble> {
        if let Some(sender) = &mut self.sender
            && driven(&mut self.connection, sender.ready()).await.is_ok()
        {
            return Ok(());
        }
        let (host, port) = (self.source.server.host(), self.source.server.port());
        let unreached = |error: &dyn std::fmt::Display| {
            Trouble::Later(format!("no connection to {host}:{port}: {error}"))
        };
        let dialled =
            tokio::time::timeout(self.source.connect_timeout, self.source.dial.dial(host, port)).await;
        let stream = dialled
            .map_err(|_| unreached(&"no answer in time"))?
            .map_err(|error| unreached(&error))?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreached(&error))?;
        // How it ended is known by what does not come.
        self.connection = Some(Box::pin(async move { drop(connection.await) }));
        self.sender = Some(sender);
        Ok(())
    }

    /// Puts what comes behind what is there, up to `end` and not a byte further.
    async fn keep(
        &mut self,
        answer: Response<Incoming>,
        part: &Path,
        offset: u64,
        end: u64,
    ) -> Result<(), Trouble> {
        if content_length(&answer).ok_or_else(no_length)? != end - offset {
            return Err(Trouble::Later(
                "the server sends another length than was said".to_owned(),
            ));
        }
        let open = || {
            std::fs::create_dir_all(part.parent().unwrap_or(Path::new(".")))?;
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(part)?;
            file.set_len(offset)?;
            file.seek(SeekFrom::End(0))?;
            Ok::<_, io::Error>(file)
        };
        let mut file = open().map_err(|error| later(&error))?;
        let (mut body, mut there) = (answer.into_body(), offset);
        let (mut window, mut in_window) = (Instant::now(), 0);
        while there < end {
            let left = LEAST_WITHIN.saturating_sub(window.elapsed());
            let frame = match driven(&mut self.connection, tokio::time::timeout(left, body.frame())).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => {
                    return Err(Trouble::Later(
                        "the server ended before all of it was sent".to_owned(),
                    ));
                }
                Ok(Some(Err(error))) => return Err(Trouble::Later(format!("the connection broke: {error}"))),
                Err(_) if in_window < LEAST_BYTES => {
                    return Err(Trouble::Later("it comes too slowly".to_owned()));
                }
                Err(_) => {
                    (window, in_window) = (Instant::now(), 0);
                    continue;
                }
            };
            let Ok(piece) = frame.into_data() else { continue };
            if piece.len() as u64 > end - there {
                return Err(Trouble::Later("the server sends more than it said".to_owned()));
            }
            let began = Instant::now();
            file.write_all(&piece).map_err(|error| later(&error))?;
            there += piece.len() as u64;
            in_window += piece.len() as u64;
            self.progress
                .fetched_bytes
                .fetch_add(piece.len() as u64, Ordering::Relaxed);
            if window.elapsed() >= LEAST_WITHIN {
                (window, in_window) = (Instant::now(), 0);
            }
            let usual = (piece.len() as u64 * 1_000)
                .checked_div(self.source.bytes_per_s)
                .unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(usual).saturating_sub(began.elapsed())).await;
        }
        Ok(())
    }

    /// Unpacks what came, and keeps it if it is what it is called.
    async fn take_in(
        &mut self,
        digest: Sha256Digest,
        length: u64,
        part: PathBuf,
        coding: Coding,
    ) -> Result<(), Trouble> {
        let releases = self.source.releases.clone();
        blocking(move || {
            let file = File::open(&part).map_err(|error| later(&error))?;
            let put = match coding {
                Coding::Zstd => {
                    let mut decoder = zstd::Decoder::new(file).map_err(|error| later(&error))?;
                    decoder
                        .window_log_max(WINDOW_LOG_MAX)
                        .map_err(|error| later(&error))?;
                    releases.blobs().put(digest, length, &mut decoder)
                }
                Coding::Plain | Coding::Dcz => releases.blobs().put(digest, length, &mut &file),
            };
            done(put.map(drop), &part)
        })
        .await
    }

    /// Makes the new file of the old one and what came.
    async fn patch(
        &mut self,
        digest: Sha256Digest,
        length: u64,
        part: PathBuf,
        like: PathBuf,
    ) -> Result<(), Trouble> {
        let releases = self.source.releases.clone();
        blocking(move || {
            let patched = || -> Result<(), BlobError> {
                let broken = |source: io::Error| BlobError::Source { digest, source };
                let old = std::fs::read(&like).map_err(broken)?;
                let mut file = File::open(&part).map_err(broken)?;
                let mut head = [0; 40];
                file.read_exact(&mut head).map_err(broken)?;
                if head[..8] != DCZ_MAGIC || head[8..] != *Sha256Digest::of(&old).as_bytes() {
                    return Err(broken(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "it was made of another file",
                    )));
                }
                let reader = io::BufReader::new(file);
                let mut decoder = zstd::Decoder::with_ref_prefix(reader, &old).map_err(broken)?;
                decoder.window_log_max(WINDOW_LOG_MAX).map_err(broken)?;
                releases.blobs().put(digest, length, &mut decoder).map(drop)
            };
            done(patched(), &part)
        })
        .await
    }
}

/// Whatever came of it, what lay on the way there is not needed any more: if it was wrong, it stays wrong.
fn done(put: Result<(), BlobError>, part: &Path) -> Result<(), Trouble> {
    forget(part);
    put.map_err(|error| later(&error))
}

fn forget(part: &Path) {
    let _ = std::fs::remove_file(part);
    let _ = std::fs::remove_file(tag_of(part));
}

fn tag_of(part: &Path) -> PathBuf {
    let mut name = part.as_os_str().to_owned();
    name.push(".tag");
    name.into()
}

fn content_length(answer: &Response<Incoming>) -> Option<u64> {
    answer
        .headers()
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn no_length() -> Trouble {
    Trouble::Later("the server does not say how long it is".to_owned())
}

fn later(error: &(dyn std::error::Error + 'static)) -> Trouble {
    Trouble::Later(chain(error))
}

fn refused(status: StatusCode, why: &str) -> Trouble {
    let why = if why.is_empty() {
        format!("the server answered {status}")
    } else {
        format!("the server answered {status}: {why}")
    };
    Trouble::Later(why)
}

/// What a refusal says for a person, if it is a problem document.
async fn said(answer: Response<Incoming>) -> String {
    let body = http_body_util::Limited::new(answer.into_body(), REFUSAL_MAX_BYTES).collect();
    let Ok(body) = body.await else {
        return String::new();
    };
    let read: Option<serde_json::Value> = serde_json::from_slice(&body.to_bytes()).ok();
    let detail = read.as_ref().and_then(|problem| problem.get("detail")?.as_str());
    detail.unwrap_or_default().to_owned()
}

/// On a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    match tokio::task::spawn_blocking(act).await {
        Ok(done) => done,
        Err(error) => Err(Trouble::Later(error.to_string())),
    }
}
