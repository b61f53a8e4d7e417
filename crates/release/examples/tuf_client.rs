//! A client of The Update Framework on the command line, over `muster_release::trust`, as the public conformance suite starts it. For
//! tests by hand; docs/reliability.md has what came of it. It speaks HTTP without TLS.
//!
//! ```text
//! tuf_client --metadata-dir DIR init ROOT            (and --now TIME with all of them, instead of the clock)
//! tuf_client --metadata-dir DIR --metadata-url URL refresh
//! tuf_client --metadata-dir DIR --metadata-url URL --target-name NAME --target-base-url URL --target-dir DIR download
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use muster_model::Timestamp;
use muster_release::Sha256Digest;
use muster_release::trust::{Content, Fetch, FetchError, Fetching, Now, Trust, Trusted};

type Fault = Box<dyn Error + Send + Sync>;

/// A target is not longer.
const TARGET_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// The root of `init`.
const GIVEN: &str = "given.root";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Fault> {
    let (options, words) = arguments()?;
    let option = |name: &str| options.get(name).cloned().ok_or(format!("--{name} is missing"));
    let metadata = option("metadata-dir")?;
    let metadata = Path::new(&metadata);
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["init", root] => {
            std::fs::create_dir_all(metadata)?;
            let root = std::fs::read(root)?;
            std::fs::write(believed(metadata)?.join(GIVEN), &root)?;
            Ok(std::fs::write(metadata.join("root.json"), root)?)
        }
        ["refresh"] => update(metadata, &option("metadata-url")?, options.get("now")).map(drop),
        ["download"] => {
            let trusted = update(metadata, &option("metadata-url")?, options.get("now"))?;
            let name = option("target-name")?;
            let (sha256, length) = trusted.target(&name).ok_or("nobody vouches for it")?;
            if length > TARGET_MAX_BYTES {
                return Err("it is too long".into());
            }
            let file = Path::new(&option("target-dir")?).join(encoded(&name));
            if std::fs::read(&file).is_ok_and(|bytes| Sha256Digest::of(&bytes) == sha256) {
                return Ok(());
            }
            let published = match name.rsplit_once('/') {
                Some((above, last)) => format!("{above}/{sha256}.{last}"),
                None => format!("{sha256}.{name}"),
            };
            let url = format!("{}/{published}", option("target-base-url")?.trim_end_matches('/'));
            let bytes = get(&url, length)?.ok_or("it is not there")?;
            if bytes.len() as u64 != length || Sha256Digest::of(&bytes) != sha256 {
                return Err("it is not what is vouched for".into());
            }
            Ok(std::fs::write(file, bytes)?)
        }
        _ => Err("init ROOT, refresh or download is accepted".into()),
    }
}

/// Options and words, in any order.
fn arguments() -> Result<(BTreeMap<String, String>, Vec<String>), Fault> {
    let (mut options, mut words) = (BTreeMap::new(), Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(word) = arguments.next() {
        match word.strip_prefix("--") {
            Some(name) => {
                let value = arguments.next().ok_or_else(|| format!("{word} needs a value"))?;
                options.insert(name.to_owned(), value);
            }
            None => words.push(word),
        }
    }
    Ok((options, words))
}

/// The suite takes every file in its directory for metadata, so that what is believed lies beside it.
fn believed(metadata: &Path) -> Result<PathBuf, Fault> {
    let name = metadata.file_name().ok_or("--metadata-dir has no name")?;
    let place = metadata.with_file_name(format!("{}.believed", name.to_string_lossy()));
    std::fs::create_dir_all(&place)?;
    Ok(place)
}

fn update(metadata: &Path, url: &str, clock: Option<&String>) -> Result<Trusted, Fault> {
    let place = believed(metadata)?;
    let root = std::fs::read(place.join(GIVEN))?;
    let mut trust = Trust::open(&place, &root).map_err(|error| format!("{}: {error}", error.code()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let now = Now {
        clock: match clock {
            Some(text) => text.parse()?,
            None => of_the_system()?,
        },
        attested: None,
    };
    let mirror = Mirror(url.trim_end_matches('/').to_owned());
    let done = runtime.block_on(trust.update(Arc::new(mirror), now));
    // Also after a refusal: what was verified before it is believed.
    for role in ["root", "timestamp", "snapshot", "targets"] {
        let name = format!("{role}.json");
        if let Ok(bytes) = std::fs::read(place.join(&name)) {
            std::fs::write(metadata.join(&name), bytes)?;
        }
    }
    Ok(done.map_err(|error| format!("{}: {error}", error.code()))?)
}

#[expect(clippy::disallowed_methods, reason = "an example without the rest of Muster")]
fn of_the_system() -> Result<Timestamp, Fault> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(Timestamp::from_millis(i64::try_from(since.as_millis())?))
}

#[derive(Debug)]
struct Mirror(String);

impl Fetch for Mirror {
    fn fetch<'a>(&'a self, name: &'a str) -> Fetching<'a> {
        Box::pin(async move {
            match get(&format!("{}/{name}", self.0), TARGET_MAX_BYTES) {
                Ok(Some(bytes)) => Ok(Box::pin(stream::iter([Ok(Bytes::from(bytes))])) as Content),
                Ok(None) => Err(FetchError::NotFound),
                Err(error) => Err(FetchError::Failed(error)),
            }
        })
    }
}

/// One file by HTTP/1.0; `None` where the server says that there is none.
fn get(url: &str, most: u64) -> Result<Option<Vec<u8>>, Fault> {
    let rest = url.strip_prefix("http://").and_then(|rest| rest.split_once('/'));
    let (host, path) = rest.ok_or("http://HOST/PATH is accepted")?;
    let mut stream = TcpStream::connect(host)?;
    write!(
        stream,
        "GET /{path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: muster\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(most + 16 * 1024).read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or("no answer of HTTP")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    match head.split_whitespace().nth(1) {
        Some("200") => Ok(Some(answer.split_off(end + 4))),
        Some("403" | "404") => Ok(None),
        status => Err(format!("the server answers {status:?}").into()),
    }
}

/// A name of a target as the name of one file.
fn encoded(name: &str) -> String {
    let one = |char: char| match char {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => char.to_string(),
        _ => format!("%{:02X}", u32::from(char)),
    };
    name.chars().map(one).collect()
}
