//! What a machine has to fetch that has another version: found out once by making every form there is, which machines get then.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::link::release::DICTIONARY_MAX_BYTES;
use muster_release::{Manifest, Sha256Digest};
use muster_runtime::Tasks;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::catalogue::Release;
use super::encodings::Form;
use super::{Releases, ReleasesError};

/// How long somebody who asks waits for what is not known yet.
const WAIT: Duration = Duration::from_secs(8);
/// Ways of which is remembered what they cost; beyond it all are forgotten.
const KNOWN_MAX: usize = 10_000;

/// From a version, or from nothing, to a version.
type Way = (Option<Sha256Digest>, Sha256Digest);

/// What ways cost.
pub(super) struct Deltas {
    tasks: Tasks,
    known: Arc<Mutex<HashMap<Way, watch::Receiver<Option<Delta>>>>>,
}

/// What one way costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Bytes that come.
    pub bytes: u64,
    /// Contents that come.
    pub contents: u64,
    /// Contents that are there already.
    pub shared: u64,
}

/// One content that has to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lacking {
    content: Sha256Digest,
    length: u64,
    /// What lies at the same path in what the machine has.
    like: Option<Sha256Digest>,
}

impl Deltas {
    pub(super) fn new(tasks: Tasks) -> Self {
        Self {
            tasks,
            known: Arc::default(),
        }
    }
}

/// What has to come, and how much of it is there already.
fn lacking(from: Option<&Manifest>, to: &Manifest) -> (Vec<Lacking>, u64) {
    let from_files = || from.into_iter().flat_map(Manifest::files);
    let there: HashSet<Sha256Digest> = from_files().map(|(_, file)| file.sha256).collect();
    let places: HashMap<&str, (Sha256Digest, u64)> = from_files()
        .map(|(path, file)| (path, (file.sha256, file.length)))
        .collect();
    let (mut lacking, mut shared) = (BTreeMap::new(), HashSet::new());
    for (path, file) in to.files() {
        if there.contains(&file.sha256) {
            shared.insert(file.sha256);
            continue;
        }
        let like = places.get(path);
        let like = like.filter(|(_, length)| (1..=DICTIONARY_MAX_BYTES).contains(length));
        // A machine looks at the first path of a content.
        lacking.entry(file.sha256).or_insert(Lacking {
            content: file.sha256,
            length: file.length,
            like: like.map(|(digest, _)| *digest),
        });
    }
    (lacking.into_values().collect(), shared.len() as u64)
}

impl Releases {
    /// What it costs to come to a release from others, or from nothing: null for what is not known yet, which is being found out then.
    ///
    /// # Errors
    ///
    /// A manifest cannot be read.
    pub async fn deltas(
        &self,
        to: &Arc<Release>,
        from: &[Option<Arc<Release>>],
    ) -> Result<Vec<Option<Delta>>, ReleasesError> {
        let mut told: Vec<_> = Vec::new();
        for from in from {
            told.push(self.way(from.clone(), to.clone()));
        }
        let until = tokio::time::Instant::now() + WAIT;
        let mut deltas = Vec::new();
        for mut told in told {
            let known = tokio::time::timeout_at(until, told.wait_for(Option::is_some)).await;
            // What could not be found out is not known.
            deltas.push(known.ok().and_then(Result::ok).and_then(|known| *known));
        }
        Ok(deltas)
    }

    fn way(&self, from: Option<Arc<Release>>, to: Arc<Release>) -> watch::Receiver<Option<Delta>> {
        let way = (from.as_ref().map(|from| from.manifest), to.manifest);
        let mut known = self.0.deltas.known.lock();
        // One whose sender is gone without a word failed: it is tried again.
        if let Some(told) = known.get(&way)
            && (told.borrow().is_some() || told.has_changed().is_ok())
        {
            return told.clone();
        }
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        let (tell, told) = watch::channel(None);
        known.insert(way, told.clone());
        let this = self.clone();
        self.0.deltas.tasks.spawn_small(async move {
            match this.cost(from, to).await {
                Ok(delta) => {
                    // Nobody may wait any more.
                    tell.send_replace(Some(delta));
                }
                Err(error) => {
                    tracing::error!(error = %muster_runtime::errors::chain(&error), "what an update takes cannot be found out");
                }
            }
        });
        told
    }

    async fn cost(&self, from: Option<Arc<Release>>, to: Arc<Release>) -> Result<Delta, ReleasesError> {
        let from = match from {
            Some(from) => Some(self.manifest(&from).await?),
            None => None,
        };
        let to = self.manifest(&to).await?;
        let (lacking, shared) = lacking(from.as_ref(), &to);
        let mut delta = Delta {
            bytes: 0,
            contents: lacking.len() as u64,
            shared,
        };
        for lacking in lacking {
            let mut least = lacking.length;
            let forms = [Some(None), lacking.like.map(Some)];
            for dictionary in forms.into_iter().flatten() {
                let content = lacking.content;
                let form = Form { content, dictionary };
                if let Some(encoded) = self.encodings().of(form, lacking.length).await {
                    least = least.min(encoded.bytes);
                }
            }
            delta.bytes += least;
        }
        Ok(delta)
    }
}
