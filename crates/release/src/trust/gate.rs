//! Between tough and whoever fetches.
//!
//! tough asks for one document after the other, and asks for the next when it believes the one before. That is the moment at which the
//! gate looks at what tough does not: whether it is still good at the time that counts, older than anything ever seen, and exactly as long
//! as it should be. What passed is [`Verified`], with the bytes that came. What is there already is not fetched again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use muster_model::Timestamp;
use std::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use tough::schema::{Metafile, Role as Document, Root, Signed, Snapshot, Targets, Timestamp as Stamp};
use tough::{Repository, Transport, TransportError, TransportErrorKind, TransportStream, async_trait};
use url::Url;

use super::kept::{Kept, Seen, Verified, Whole};
use super::{Fetch, FetchError, Now, TELLING, TrustError, Trusted, earliest};
use crate::digest::Sha256Digest;
use crate::tuf::online::SIGNED_AT;
use crate::tuf::{
    ROOT_MAX_BYTES, Role, SNAPSHOT_MAX_BYTES, TARGETS_MAX_BYTES, TIMESTAMP_MAX_BYTES, decode, time,
};

/// A file may take so long, and a second more for each [`LEAST_BYTES_PER_S`] that came.
const PATIENCE_S: u64 = 30;
/// What comes more slowly is ended: 8 kbit/s.
const LEAST_BYTES_PER_S: u64 = 1_024;
/// Lists of releases that others may keep for us. Muster makes none.
const DELEGATED_MAX: usize = 64;

/// One update.
#[derive(Clone)]
pub(super) struct Gate(Arc<Inner>);

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gate").field(&self.0.fetch).finish()
    }
}

struct Inner {
    fetch: Arc<dyn Fetch>,
    now: Now,
    there: Vec<(Role, Bytes)>,
    state: Mutex<State>,
}

/// How far it has come.
struct State {
    /// Whose document comes next, or is being looked at; `None` for lists that are kept by others.
    stage: Option<Role>,
    /// The root that counts.
    root: Signed<Root>,
    /// The last bytes that were handed to tough in this stage.
    handed: Option<Bytes>,
    delegated: usize,
    verified: Verified,
    refusal: Option<TrustError>,
}

/// What a document that is asked for must be.
struct Expected {
    most: u64,
    exactly: Option<u64>,
    /// It is there already.
    there: Option<Bytes>,
}

impl Gate {
    pub(super) fn new(fetch: Arc<dyn Fetch>, kept: &Kept, now: Now) -> Self {
        let there = TELLING
            .into_iter()
            .filter_map(|role| Some((role, kept.there(role)?)))
            .collect();
        let mut seen = kept.seen().clone();
        if let Some(attested) = now.attested {
            seen.attest(attested);
        }
        Self(Arc::new(Inner {
            fetch,
            now,
            there,
            state: Mutex::new(State {
                stage: Some(Role::Root),
                root: kept.root().clone(),
                handed: None,
                delegated: 0,
                verified: Verified {
                    seen,
                    root: None,
                    timestamp: None,
                    snapshot: None,
                    targets: None,
                },
                refusal: None,
            }),
        }))
    }

    /// Why something was refused here.
    pub(super) fn refusal(&self) -> Option<TrustError> {
        self.0.state().refusal.take()
    }

    /// What may be kept, whether or not something after it was refused.
    pub(super) fn verified(&self) -> Verified {
        self.0.state().verified.clone()
    }

    /// When tough believes all of it: the last look.
    pub(super) fn finish(&self, repository: &Repository) -> Result<Trusted, TrustError> {
        let inner = &self.0;
        let mut state = inner.state();
        if state.stage == Some(Role::Targets) {
            inner.targets_done(&mut state)?;
        }
        let list = repository.targets().clone();
        inner.in_time(&state, "a list of releases that others keep", earliest(&list))?;
        let ends = [
            time(repository.root().signed.expires),
            time(repository.timestamp().signed.expires),
            time(repository.snapshot().signed.expires),
        ];
        Ok(Trusted {
            root: repository.root().signed.version.get(),
            timestamp: repository.timestamp().signed.version.get(),
            snapshot: repository.snapshot().signed.version.get(),
            targets: list.signed.version.get(),
            until: ends.into_iter().fold(earliest(&list), Timestamp::min),
            list,
        })
    }
}

#[async_trait]
impl Transport for Gate {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let name = url.path().trim_start_matches('/').to_owned();
        let failed = TransportError::new(TransportErrorKind::Other, &url);
        match self.0.get(&name).await {
            Ok(bytes) => Ok(Box::pin(stream::iter([Ok(bytes)]))),
            // Only a root that is not there is the end of the roots. For tough any failure would be, so that who can disturb a connection
            // could keep a new root from machines.
            Err(TrustError::Fetch {
                source: FetchError::NotFound,
                ..
            }) if self.0.is_root(&name) => Err(TransportError::new(TransportErrorKind::FileNotFound, &url)),
            Err(error) => {
                self.0.state().refusal = Some(error);
                Ok(Box::pin(stream::iter([Err(failed)])))
            }
        }
    }
}

impl Inner {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Who panicked with it has ended the update.
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn is_root(&self, name: &str) -> bool {
        self.state().stage == Some(Role::Root) && name.ends_with(".root.json")
    }

    /// tough asks for a document: it believes the one before.
    async fn get(&self, name: &str) -> Result<Bytes, TrustError> {
        let expected = self.next(name)?;
        let bytes = match expected.there {
            Some(there) => there,
            None => self.same_or_new(name, self.read(name, &expected).await?),
        };
        self.state().handed = Some(bytes.clone());
        Ok(bytes)
    }

    /// Looks at the document before, and says what the next must be.
    fn next(&self, name: &str) -> Result<Expected, TrustError> {
        let mut state = self.state();
        let state = &mut *state;
        match state.stage {
            Some(Role::Root) => {
                self.root_done(state)?;
                if name.ends_with(".root.json") {
                    return Ok(Expected::at_most(ROOT_MAX_BYTES));
                }
                self.roots_done(state)?;
                state.stage = Some(Role::Timestamp);
                Ok(Expected::at_most(TIMESTAMP_MAX_BYTES))
            }
            Some(Role::Timestamp) => {
                let meta = self.timestamp_done(state)?;
                state.stage = Some(Role::Snapshot);
                self.expected(
                    name,
                    Role::Snapshot,
                    &meta,
                    SNAPSHOT_MAX_BYTES,
                    &state.root.signed,
                )
            }
            Some(Role::Snapshot) => {
                let meta = self.snapshot_done(state)?;
                state.stage = Some(Role::Targets);
                self.expected(name, Role::Targets, &meta, TARGETS_MAX_BYTES, &state.root.signed)
            }
            Some(Role::Targets) => {
                self.targets_done(state)?;
                state.stage = None;
                state.delegated = 1;
                Ok(Expected::at_most(TARGETS_MAX_BYTES))
            }
            None if state.delegated < DELEGATED_MAX => {
                state.delegated += 1;
                Ok(Expected::at_most(TARGETS_MAX_BYTES))
            }
            None => Err(TrustError::Other {
                what: format!("more than {DELEGATED_MAX} lists of releases are kept by others"),
            }),
        }
    }

    fn expected(
        &self,
        name: &str,
        role: Role,
        meta: &Metafile,
        most: u64,
        root: &Root,
    ) -> Result<Expected, TrustError> {
        if meta.length.is_some_and(|length| length > most) {
            return Err(TrustError::TooLong {
                name: name.to_owned(),
                most,
            });
        }
        let there = self
            .there
            .iter()
            .find(|(one, _)| *one == role)
            .map(|(_, bytes)| bytes);
        let is_it = |bytes: &Bytes| match &meta.hashes {
            Some(hashes) => hashes.sha256[..] == Sha256Digest::of(bytes).as_bytes()[..],
            None if role == Role::Snapshot => is_version::<Snapshot>(bytes, meta, root),
            None => is_version::<Targets>(bytes, meta, root),
        };
        Ok(Expected {
            most,
            exactly: meta.length,
            there: there.filter(|bytes| is_it(bytes)).cloned(),
        })
    }

    /// A timestamp of the version that is known is that one. TUF wants another one of the same version to be let be.
    fn same_or_new(&self, name: &str, bytes: Bytes) -> Bytes {
        let is_timestamp = self.state().stage == Some(Role::Timestamp) && name == "timestamp.json";
        let known = self.there.iter().find(|(role, _)| *role == Role::Timestamp);
        let (true, Some((_, known))) = (is_timestamp, known) else {
            return bytes;
        };
        let version = |bytes: &[u8]| decode::<Stamp>(bytes).ok().map(|it| it.signed.version);
        let is_believed =
            decode::<Stamp>(known).is_ok_and(|it| self.state().root.signed.verify_role(&it).is_ok());
        if is_believed && version(&bytes) == version(known) {
            known.clone()
        } else {
            bytes
        }
    }

    /// A root that tough believes.
    fn root_done(&self, state: &mut State) -> Result<(), TrustError> {
        let Some(bytes) = state.handed.take() else {
            return Ok(());
        };
        let document: Signed<Root> = decode(&bytes).map_err(|what| TrustError::Malformed { what })?;
        state.root = document.clone();
        if document.signed.version.get() >= state.verified.seen.least(Role::Root) {
            state.verified.seen = state.verified.seen.under(&document.signed);
            state.verified.root = Some(Whole { document, bytes });
        }
        Ok(())
    }

    fn roots_done(&self, state: &mut State) -> Result<(), TrustError> {
        let root = &state.root.signed;
        not_older(&state.verified.seen, Role::Root, root.version.get())?;
        state.verified.seen = state.verified.seen.under(root);
        self.in_time(state, "root.json", time(root.expires))
    }

    fn timestamp_done(&self, state: &mut State) -> Result<Metafile, TrustError> {
        let (document, bytes) = handed::<Stamp>(state)?;
        let version = document.signed.version.get();
        let meta = meta(&document.signed.meta, "snapshot.json")?;
        let seen = &mut state.verified.seen;
        not_older(seen, Role::Timestamp, version)?;
        not_older(seen, Role::Snapshot, meta.version.get())?;
        let said = document.signed._extra.get(SIGNED_AT).and_then(|it| it.as_str());
        let until = time(document.signed.expires);
        if let Some(at) = said.and_then(|text| text.parse().ok()).filter(|at| *at <= until) {
            seen.saw_signed_at(at);
        }
        self.in_time(state, "timestamp.json", until)?;
        let seen = &mut state.verified.seen;
        seen.saw(Role::Timestamp, version);
        state.verified.timestamp = Some(Whole { document, bytes });
        Ok(meta)
    }

    fn snapshot_done(&self, state: &mut State) -> Result<Metafile, TrustError> {
        let (document, bytes) = handed::<Snapshot>(state)?;
        let version = document.signed.version.get();
        let meta = meta(&document.signed.meta, "targets.json")?;
        not_older(&state.verified.seen, Role::Snapshot, version)?;
        not_older(&state.verified.seen, Role::Targets, meta.version.get())?;
        self.in_time(state, "snapshot.json", time(document.signed.expires))?;
        state.verified.seen.saw(Role::Snapshot, version);
        state.verified.seen.saw(Role::Targets, meta.version.get());
        state.verified.snapshot = Some(Whole { document, bytes });
        Ok(meta)
    }

    fn targets_done(&self, state: &mut State) -> Result<(), TrustError> {
        let (document, bytes) = handed::<Targets>(state)?;
        self.in_time(state, "targets.json", time(document.signed.expires))?;
        state.verified.targets = Some(bytes);
        Ok(())
    }

    /// Whether something is still good at the time that counts.
    fn in_time(&self, state: &State, name: &str, until: Timestamp) -> Result<(), TrustError> {
        let seen = &state.verified.seen;
        let known = self.now.attested.or(seen.attested()).max(seen.signed_at());
        let (now, by_clock_alone) = match (self.now.attested, known) {
            (Some(_), Some(known)) => (known, false),
            (None, Some(known)) if known >= self.now.clock => (known, false),
            (_, _) => (self.now.clock, true),
        };
        if now < until {
            return Ok(());
        }
        Err(TrustError::Expired {
            name: name.to_owned(),
            until,
            now,
            by_clock_alone,
        })
    }

    /// Reads a file: no byte more than it may have, and no longer than it may take.
    async fn read(&self, name: &str, expected: &Expected) -> Result<Bytes, TrustError> {
        let begun = Instant::now();
        let fetch = |source| TrustError::Fetch {
            name: name.to_owned(),
            source,
        };
        let slow = |bytes: u64| TrustError::Slow {
            name: name.to_owned(),
            bytes,
            seconds: begun.elapsed().as_secs(),
        };
        let most = expected.exactly.unwrap_or(expected.most);
        let until = |came: u64| {
            begun + Duration::from_secs(PATIENCE_S) + Duration::from_secs(came / LEAST_BYTES_PER_S)
        };
        let content = timeout_at(until(0), self.fetch.fetch(name)).await;
        let mut content = content.map_err(|_| slow(0))?.map_err(fetch)?;
        let mut bytes = Vec::new();
        loop {
            let came = bytes.len() as u64;
            let piece = timeout_at(until(came), content.next()).await;
            let Some(piece) = piece.map_err(|_| slow(came))? else {
                break;
            };
            let piece = piece.map_err(|error| fetch(FetchError::Failed(error.into())))?;
            if came + piece.len() as u64 > most {
                return Err(TrustError::TooLong {
                    name: name.to_owned(),
                    most,
                });
            }
            bytes.extend_from_slice(&piece);
        }
        match expected.exactly {
            Some(length) if length != bytes.len() as u64 => Err(TrustError::Mixed {
                what: format!("{name} has {} bytes, and {length} are vouched for", bytes.len()),
            }),
            _ => Ok(bytes.into()),
        }
    }
}

impl Expected {
    const fn at_most(most: u64) -> Self {
        Self {
            most,
            exactly: None,
            there: None,
        }
    }
}

fn handed<T: serde::de::DeserializeOwned>(state: &mut State) -> Result<(Signed<T>, Bytes), TrustError> {
    let bytes = state.handed.take().unwrap_or_default();
    let document = decode(&bytes).map_err(|what| TrustError::Malformed { what })?;
    Ok((document, bytes))
}

fn meta(meta: &std::collections::HashMap<String, Metafile>, name: &str) -> Result<Metafile, TrustError> {
    meta.get(name).cloned().ok_or_else(|| TrustError::Malformed {
        what: format!("it does not name {name}"),
    })
}

fn is_version<T>(bytes: &[u8], meta: &Metafile, root: &Root) -> bool
where
    T: Document + serde::de::DeserializeOwned,
{
    let document = decode::<T>(bytes);
    document.is_ok_and(|it| it.signed.version() == meta.version && root.verify_role(&it).is_ok())
}

fn not_older(seen: &Seen, role: Role, version: u64) -> Result<(), TrustError> {
    let least = seen.least(role);
    if version >= least {
        return Ok(());
    }
    Err(TrustError::Older {
        what: format!("{role}.json is version {version}, and version {least} was here"),
    })
}
