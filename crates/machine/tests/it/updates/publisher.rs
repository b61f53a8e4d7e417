//! Somebody who makes and signs releases, and a door before the scripted server that serves them.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use muster_model::Timestamp;
use muster_release::manifest::{FORMAT, Fits, Hooks, Payload, Started};
use muster_release::tuf::online::{Lifetimes, refresh};
use muster_release::tuf::repository::Wanted;
use muster_release::tuf::{Ceremony, Keys, OnlineKeys, Repository};
use muster_release::{Folder, Manifest, Sha256Digest, tree};
use muster_runtime::{Clock, Tasks};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::server::Server;

pub(super) const PRODUCT: &str = "car-app";

/// What is started.
pub(super) const fn entry() -> &'static str {
    "bin/app"
}

pub(super) struct Publisher {
    place: tempfile::TempDir,
    clock: Clock,
}

impl Publisher {
    pub(super) fn new() -> Self {
        let it = Self {
            place: tempfile::tempdir().unwrap(),
            clock: Clock::start(),
        };
        let online = OnlineKeys::open_or_make(&it.path("server")).unwrap().public();
        let ceremony = Ceremony {
            root_keys: 1,
            root_threshold: 1,
            targets_keys: 1,
            targets_threshold: 1,
            online: Some(online),
            days: 365,
        };
        ceremony.hold(&it.path("keys"), it.now()).unwrap();
        it
    }

    /// It signs with the time of this computer, by which the machine judges.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.wall_ms())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(super) fn releases(&self) -> PathBuf {
        self.path("releases")
    }

    pub(super) fn first_root(&self) -> Vec<u8> {
        std::fs::read(self.path("keys/1.root.json")).unwrap()
    }

    /// Makes a release that nobody signs: the digest and length of its manifest.
    pub(super) fn unsigned(&self, version: &str, counter: u64, program: &str) -> (String, u64) {
        self.make(version, counter, program, |_| {})
    }

    fn make(
        &self,
        version: &str,
        counter: u64,
        program: &str,
        adapt: impl FnOnce(&mut Manifest),
    ) -> (String, u64) {
        let app = self.path("app");
        std::fs::create_dir_all(app.join("bin")).unwrap();
        let place = app.join(entry());
        std::fs::write(&place, program).unwrap();
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
        let tree = tree::read(&app).unwrap();
        let mut manifest = Manifest {
            counter,
            entries: tree.entries.clone(),
            fits: Fits::default(),
            format: FORMAT,
            health: None,
            hooks: Hooks::default(),
            payload: Payload::Executable(Started {
                entry: entry().to_owned(),
            }),
            preconditions: Vec::new(),
            product: PRODUCT.to_owned(),
            version: version.parse().unwrap(),
        };
        adapt(&mut manifest);
        Folder::create(&self.releases())
            .unwrap()
            .add(&manifest, &tree)
            .unwrap();
        let bytes = manifest.encode().unwrap();
        let digest = Sha256Digest::of(&bytes).to_string();
        let served = self.releases().join("served");
        std::fs::create_dir_all(&served).unwrap();
        std::fs::write(served.join(&digest), &bytes).unwrap();
        (digest, bytes.len() as u64)
    }

    /// Makes a release, signs it, and has the server sign.
    pub(super) fn release(
        &self,
        version: &str,
        counter: u64,
        program: &str,
        adapt: impl FnOnce(&mut Manifest),
    ) -> (String, u64) {
        let made = self.make(version, counter, program, adapt);
        let folder = Folder::create(&self.releases()).unwrap();
        let wanted = Wanted::Add {
            product: PRODUCT.to_owned(),
            version: version.parse().unwrap(),
        };
        let keys = Keys::open(&self.path("keys")).unwrap();
        let progress = Repository::of(&folder)
            .sign(&keys, &wanted, self.now(), 30)
            .unwrap();
        assert!(progress.is_complete());
        let online = OnlineKeys::open(&self.path("server")).unwrap();
        refresh(
            &folder,
            &self.first_root(),
            &online,
            Lifetimes::default(),
            self.now(),
        )
        .unwrap();
        made
    }
}

/// Serves releases, and lets everything else through to the server behind it.
pub(super) struct Door {
    address: SocketAddr,
    spoils: Arc<AtomicBool>,
}

impl Door {
    pub(super) async fn open(server: &Server, releases: PathBuf, tasks: Tasks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let spoils = Arc::new(AtomicBool::new(false));
        let (behind, spoiling) = (server.address, spoils.clone());
        tasks.clone().spawn_small(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (releases, spoiling) = (releases.clone(), spoiling.clone());
                tasks.spawn_small(async move {
                    let _ = let_in(stream, behind, &releases, &spoiling).await;
                });
            }
        });
        Self { address, spoils }
    }

    pub(super) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// From now on contents of files are changed on their way.
    pub(super) fn spoil(&self, spoils: bool) {
        self.spoils.store(spoils, Ordering::Relaxed);
    }
}

async fn let_in(
    mut stream: TcpStream,
    behind: SocketAddr,
    releases: &Path,
    spoils: &AtomicBool,
) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = stream.read_u8().await?;
            head.push(byte);
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
        let Some((_, asked)) = path.split_once("/releases/") else {
            let mut server = TcpStream::connect(behind).await?;
            server.write_all(&head).await?;
            copy_bidirectional(&mut stream, &mut server).await?;
            return Ok(());
        };
        let (kind, name) = asked.split_once('/').unwrap_or_default();
        let place = match kind {
            "manifests" => releases.join("served").join(name),
            "blobs" => releases.join("blobs").join(&name[..2]).join(name),
            _ => releases.join("metadata").join(name),
        };
        let answer = match std::fs::read(place) {
            Ok(mut bytes) => {
                if kind == "blobs" && spoils.load(Ordering::Relaxed) {
                    bytes[..7].copy_from_slice(b"spoiled");
                }
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
                [head.into_bytes(), bytes].concat()
            }
            Err(_) => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        };
        stream.write_all(&answer).await?;
    }
}
