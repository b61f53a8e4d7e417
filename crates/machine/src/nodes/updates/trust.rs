//! Whether a release that the fleet assigns is vouched for by those whom this machine believes, whoever carries it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::stream;
use muster_model::Timestamp;
use muster_model::release::Assignment;
use muster_protocol::link::release::METADATA;
use muster_reflex::update::Trouble;
use muster_release::trust::{Content, Fetch, FetchError, Fetching, Now, Trust, TrustError, Vouched};
use muster_release::tuf::TARGETS_MAX_BYTES;
use muster_runtime::errors::chain;
use tokio::sync::Mutex;

use super::Setup;
use super::fetch::{Line, Progress, Source};
use crate::dial::Dial;

/// The root that came with the machine, in the folder of releases.
const ROOT: &str = "root.json";
/// What is believed, there as well.
const FOLDER: &str = "trust";

impl<D> Setup<D> {
    /// Where the root of trust is.
    pub(super) fn root(&self) -> PathBuf {
        let usual = || self.releases.root().join(ROOT);
        self.options.root.clone().unwrap_or_else(usual)
    }
}

/// What is vouched for of an assigned release. The fleet chooses which machine gets which release, and only of those that are signed.
pub(super) async fn vouched<D: Dial>(
    source: &Arc<Source<D>>,
    product: &str,
    assignment: &Assignment,
) -> Result<Vouched, Trouble> {
    let root = std::fs::read(&source.root).map_err(|error| {
        Trouble::Never(format!(
            "this machine has no root of trust, so it takes no release: {}: {error}",
            source.root.display()
        ))
    })?;
    let mut trust =
        Trust::open(&source.releases.root().join(FOLDER), &root).map_err(|error| refused(&error))?;
    for damaged in trust.damaged() {
        tracing::warn!(%damaged, "what was believed about releases was damaged, and is fetched again");
    }
    let metadata = Metadata {
        line: Mutex::new(Line::new(source.clone(), Arc::new(Progress::default()))),
    };
    let now = Now {
        clock: Timestamp::from_millis(source.clock.wall_ms()),
        attested: None,
    };
    let trusted = trust
        .update(Arc::new(metadata), now)
        .await
        .map_err(|error| refused(&error))?;
    let vouched = trusted
        .manifest(product, &assignment.version)
        .map_err(|error| refused(&error))?;
    if vouched.sha256.to_string() != assignment.manifest.as_str()
        || vouched.length != assignment.manifest_bytes
    {
        return Err(Trouble::Never(format!(
            "the fleet assigns a manifest of {} {} that is not the one which is vouched for",
            product, assignment.version
        )));
    }
    Ok(vouched)
}

/// What is wrong with the list may be mended by the next one: it is asked for again until the assignment's time is over.
fn refused(error: &TrustError) -> Trouble {
    Trouble::Later(chain(error))
}

/// The server's files of metadata.
struct Metadata<D> {
    line: Mutex<Line<D>>,
}

impl<D> fmt::Debug for Metadata<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metadata")
    }
}

impl<D: Dial> Fetch for Metadata<D> {
    fn fetch<'a>(&'a self, name: &'a str) -> Fetching<'a> {
        Box::pin(async move {
            let most = usize::try_from(TARGETS_MAX_BYTES).unwrap_or(usize::MAX);
            let fetched = self.line.lock().await.small(METADATA, name, most).await;
            match fetched {
                Ok(Some(bytes)) => {
                    let content: Content = Box::pin(stream::iter([Ok::<_, io::Error>(bytes)]));
                    Ok(content)
                }
                Ok(None) => Err(FetchError::NotFound),
                Err(Trouble::Later(why) | Trouble::Never(why)) => Err(FetchError::Failed(why.into())),
            }
        })
    }
}
