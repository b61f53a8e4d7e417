//! A publisher with people and a server, a mirror that lies, and a machine.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use muster_model::Timestamp;
use tough::schema::{Role as Document, Signed};

use super::super::{Content, Fetch, FetchError, Fetching, Now, Trust, TrustError, Trusted};
use crate::folder::Folder;
use crate::manifest::{FORMAT, Fits, Hooks, Manifest, Payload};
use crate::tree;
use crate::tuf::online::{Lifetimes, refresh};
use crate::tuf::repository::{Progress, Wanted};
use crate::tuf::{Ceremony, Change, Keys, OnlineKeys, PrivateKey, Repository, Role, decode, encode};

pub(crate) const DAY_MS: i64 = 86_400_000;

/// The moment at which everything begins.
pub(crate) fn start() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// Those who make releases, with their server.
pub(crate) struct Publisher {
    pub(crate) place: tempfile::TempDir,
    pub(crate) now: Timestamp,
}

impl Publisher {
    /// Two of three for the root, one of two for releases.
    pub(crate) fn new() -> Self {
        Self::with_thresholds(2, 1)
    }

    pub(crate) fn with_thresholds(root_threshold: u64, targets_threshold: u64) -> Self {
        let it = Self {
            place: tempfile::tempdir().unwrap(),
            now: start(),
        };
        let online = OnlineKeys::open_or_make(&it.path("server")).unwrap().public();
        let ceremony = Ceremony {
            root_keys: 3,
            root_threshold,
            targets_keys: 2,
            targets_threshold,
            online: Some(online),
            days: 365,
        };
        ceremony.hold(&it.path("keys"), it.now).unwrap();
        it
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(crate) fn folder(&self) -> Folder {
        Folder::create(&self.path("releases")).unwrap()
    }

    pub(crate) fn keys(&self) -> Keys {
        Keys::open(&self.path("keys")).unwrap()
    }

    pub(crate) fn key(&self, name: &str) -> PrivateKey {
        PrivateKey::read(&self.path(name)).unwrap()
    }

    pub(crate) fn first_root(&self) -> Vec<u8> {
        std::fs::read(self.path("keys/1.root.json")).unwrap()
    }

    /// Makes a release and puts it into the folder, signed by nobody.
    pub(crate) fn create(&self, version: &str, counter: u64) -> Vec<u8> {
        let app = self.path("app");
        std::fs::create_dir_all(&app).unwrap();
        std::fs::write(app.join("data"), format!("{version} {counter}")).unwrap();
        let tree = tree::read(&app).unwrap();
        let manifest = manifest("car-app", version, counter, tree.entries.clone());
        self.folder().add(&manifest, &tree).unwrap();
        manifest.encode().unwrap()
    }

    /// Makes a release, signs it, and has the server sign.
    pub(crate) fn release(&self, version: &str, counter: u64) -> Vec<u8> {
        let bytes = self.create(version, counter);
        let progress = self.sign(&add(version));
        assert!(progress.is_complete(), "{progress:?}");
        self.refresh();
        bytes
    }

    pub(crate) fn sign(&self, wanted: &Wanted) -> Progress {
        self.sign_in(&self.folder(), wanted)
    }

    pub(crate) fn sign_in(&self, folder: &Folder, wanted: &Wanted) -> Progress {
        Repository::of(folder)
            .sign(&self.keys(), wanted, self.now, 180)
            .unwrap()
    }

    pub(crate) fn refresh(&self) -> crate::tuf::online::Refreshed {
        let keys = OnlineKeys::open(&self.path("server")).unwrap();
        refresh(
            &self.folder(),
            &self.first_root(),
            &keys,
            Lifetimes::default(),
            self.now,
        )
        .unwrap()
    }

    /// Changes the root, with all keys at hand, and publishes it.
    pub(crate) fn rotate(&self, change: Change) {
        let change = Change { days: 365, ..change };
        let progress = crate::tuf::repository::rotate(&self.keys(), &change, self.now).unwrap();
        assert!(progress.is_complete(), "{progress:?}");
        let roots = crate::tuf::root::Roots::open(&self.path("keys")).unwrap();
        Repository::of(&self.folder()).publish(&roots).unwrap();
    }

    /// The server has lost its keys and gets others.
    pub(crate) fn replace_server_keys(&self) {
        let old = OnlineKeys::open(&self.path("server")).unwrap().public();
        std::fs::rename(self.path("server"), self.path("thief")).unwrap();
        let new = OnlineKeys::open_or_make(&self.path("server")).unwrap().public();
        self.rotate(Change {
            add: vec![(Role::Snapshot, new.0), (Role::Timestamp, new.1)],
            remove: vec![(Role::Snapshot, old.0.id()), (Role::Timestamp, old.1.id())],
            ..Change::default()
        });
        self.refresh();
    }

    /// Everything that is published now, on a mirror.
    pub(crate) fn mirror(&self) -> Mirror {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(self.path("releases/metadata")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            files.insert(name, Answer::Bytes(std::fs::read(path).unwrap()));
        }
        Mirror(Arc::new(Mutex::new(Served {
            files,
            asked: Vec::new(),
        })))
    }
}

pub(crate) fn add(version: &str) -> Wanted {
    Wanted::Add {
        product: "car-app".to_owned(),
        version: version.parse().unwrap(),
    }
}

pub(crate) fn manifest(
    product: &str,
    version: &str,
    counter: u64,
    entries: Vec<crate::manifest::Entry>,
) -> Manifest {
    Manifest {
        counter,
        entries,
        fits: Fits::default(),
        format: FORMAT,
        health: None,
        hooks: Hooks::default(),
        payload: Payload::Tree,
        preconditions: Vec::new(),
        product: product.to_owned(),
        version: version.parse().unwrap(),
    }
}

/// What a mirror says.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Bytes(Vec<u8>),
    /// It never ends.
    Endless,
    /// A byte now and then: so many milliseconds between two.
    Drip(u64),
    /// It never begins.
    Silence,
    /// The connection breaks.
    Broken,
}

#[derive(Debug)]
struct Served {
    files: BTreeMap<String, Answer>,
    asked: Vec<String>,
}

/// Somebody on the way who may say anything.
#[derive(Clone, Debug)]
pub(crate) struct Mirror(Arc<Mutex<Served>>);

impl Mirror {
    pub(crate) fn set(&self, name: &str, answer: Answer) -> &Self {
        self.0.lock().unwrap().files.insert(name.to_owned(), answer);
        self
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        match self.0.lock().unwrap().files.get(name) {
            Some(Answer::Bytes(bytes)) => bytes.clone(),
            other => panic!("{name}: {other:?}"),
        }
    }

    pub(crate) fn hide(&self, name: &str) -> &Self {
        assert!(self.0.lock().unwrap().files.remove(name).is_some(), "{name}");
        self
    }

    /// What was asked for since the last time.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    /// Changes a document and signs it with a key.
    pub(crate) fn forge<T>(&self, name: &str, key: &PrivateKey, change: impl FnOnce(&mut T)) -> &Self
    where
        T: Document + serde::de::DeserializeOwned,
    {
        let mut document: Signed<T> = decode(&self.bytes(name)).unwrap();
        change(&mut document.signed);
        document.signatures.clear();
        key.sign(&mut document).unwrap();
        self.set(name, Answer::Bytes(encode(&document)))
    }
}

impl Fetch for Mirror {
    fn fetch<'a>(&'a self, name: &'a str) -> Fetching<'a> {
        Box::pin(async move {
            let answer = {
                let mut served = self.0.lock().unwrap();
                served.asked.push(name.to_owned());
                served.files.get(name).cloned()
            };
            let content: Content = match answer {
                None => return Err(FetchError::NotFound),
                Some(Answer::Bytes(bytes)) => {
                    let pieces: Vec<_> = bytes.chunks(1_000).map(Bytes::copy_from_slice).map(Ok).collect();
                    Box::pin(stream::iter(pieces))
                }
                Some(Answer::Endless) => {
                    Box::pin(stream::repeat_with(|| Ok(Bytes::from_static(&[b' '; 4_096]))))
                }
                Some(Answer::Drip(every_ms)) => Box::pin(stream::repeat(()).then(move |()| async move {
                    tokio::time::sleep(std::time::Duration::from_millis(every_ms)).await;
                    Ok(Bytes::from_static(b" "))
                })),
                Some(Answer::Silence) => std::future::pending().await,
                Some(Answer::Broken) => Box::pin(stream::iter([
                    Ok(Bytes::from_static(b"{")),
                    Err(io::Error::from(io::ErrorKind::ConnectionReset)),
                ])),
            };
            Ok(content)
        })
    }
}

/// A machine.
pub(crate) struct Machine {
    pub(crate) place: tempfile::TempDir,
    pub(crate) root: Vec<u8>,
    pub(crate) now: Now,
}

impl Machine {
    pub(crate) fn new(publisher: &Publisher) -> Self {
        Self {
            place: tempfile::tempdir().unwrap(),
            root: publisher.first_root(),
            now: Now {
                clock: publisher.now,
                attested: None,
            },
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(crate) fn open(&self) -> Trust {
        Trust::open(self.place.path(), &self.root).unwrap()
    }

    /// Starts, and brings everything up to date.
    pub(crate) async fn update(&self, mirror: &Mirror) -> Result<Trusted, TrustError> {
        self.open().update(Arc::new(mirror.clone()), self.now).await
    }

    pub(crate) async fn refused(&self, mirror: &Mirror) -> (&'static str, String) {
        match self.update(mirror).await {
            Ok(trusted) => panic!("it was believed: {trusted:?}"),
            Err(error) => (error.code(), error.to_string()),
        }
    }

    /// What is kept, by the names of the files.
    pub(crate) fn kept(&self) -> BTreeMap<String, Vec<u8>> {
        read_all(self.place.path())
    }
}

pub(crate) fn read_all(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(directory).unwrap();
    let file = |entry: io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read(path).unwrap())
    };
    files.map(file).collect()
}
