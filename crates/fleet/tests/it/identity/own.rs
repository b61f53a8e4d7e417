//! What the server proves itself by is exchanged while it runs: people's own files, and its own certificates. Whoever is connected notices nothing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_fleet::identity::tls::OwnCertificate;
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::kit::{Enrolled, Guarded, Socket, connect, hear, options, request, say, trusting};
use crate::harness::{self, soon};

/// Somebody's own authority, and the files that the server is given.
struct Own {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    authority: String,
}

struct Pair {
    certificate: String,
    der: CertificateDer<'static>,
    key: String,
}

impl Own {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap().pem();
        Self {
            folder: tempfile::tempdir().unwrap(),
            issuer: Issuer::new(params, key),
            authority,
        }
    }

    fn pair(&self) -> Pair {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair {
            certificate: certificate.pem(),
            der: certificate.der().clone(),
            key: key.serialize_pem(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a text into a file, whole: a time of writing of its own is part of it.
    fn write(&self, name: &str, text: &str) {
        let fresh = self.path("fresh");
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(fresh, self.path(name)).unwrap();
    }

    fn files(&self) -> OwnCertificate {
        OwnCertificate {
            certificate: self.path("own.pem"),
            key: self.path("own.key"),
        }
    }
}

/// What the server shows whoever connects now.
async fn shown(address: SocketAddr, config: &Arc<ClientConfig>) -> CertificateDer<'static> {
    let stream = connect(address, config.clone()).await.unwrap();
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    chain[0].clone().into_owned()
}

/// Connections of each kind: one that asks, one that listens, one of a machine.
struct Standing {
    asks: TlsStream<TcpStream>,
    listens: Socket,
    machine: Socket,
    id: String,
    sequence: u64,
}

impl Standing {
    async fn open(site: &Guarded, config: &Arc<ClientConfig>, machine: &Enrolled) -> Self {
        let stream = Box::new(connect(site.people, config.clone()).await.unwrap());
        let upgrade = format!("wss://{}/ws", site.people).into_client_request().unwrap();
        let upgrading = Box::pin(tokio_tungstenite::client_async(upgrade, stream));
        let (mut listens, _) = soon("the upgrade", upgrading).await.unwrap();
        let subscribe = json!({ "type": "subscribe", "id": "a", "topics": ["machine.*.event.>"] });
        say(&mut listens, &subscribe).await;
        let mut standing = Self {
            asks: connect(site.people, config.clone()).await.unwrap(),
            listens,
            machine: machine.session(site.machines).await,
            id: machine.id.clone(),
            sequence: 1,
        };
        standing.are_well().await;
        standing
    }

    /// All goes on until something holds. A connection that asks nothing for 10 s would be closed as idle.
    async fn are_well_until(&mut self, what: &str, holds: impl AsyncFn() -> bool) {
        soon(what, async {
            while !holds().await {
                self.are_well().await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
        self.are_well().await;
    }

    /// All goes on for a while.
    async fn are_well_for(&mut self, long: Duration) {
        let begun = Instant::now();
        self.are_well_until("a while is over", async || begun.elapsed() >= long)
            .await;
    }

    /// An event goes the whole way: from the machine to whoever listens, and to whoever asks.
    async fn are_well(&mut self) {
        self.sequence += 1;
        let kind = format!("still.here{}", self.sequence);
        let event = json!({ "kind": kind, "severity": "info", "message": "still here" });
        let record = Some(self.sequence - 1);
        let message = harness::envelope(&self.id, "event", Some(1), self.sequence, record, event);
        say(&mut self.machine, &message).await;
        soon("the event is told", async {
            while !hear(&mut self.listens).await.unwrap().to_string().contains(&kind) {}
        })
        .await;
        let path = format!("/api/v1/machines/{}/events?kind={kind}", self.id);
        let (status, page) = request(&mut self.asks, "GET", &path, None).await.unwrap();
        assert_eq!(
            (status, page["items"].as_array().map(Vec::len)),
            (200, Some(1)),
            "{page}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_own_certificate_is_read_again_and_what_is_of_no_use_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let own = Own::new();
    let (first, second) = (own.pair(), own.pair());
    own.write("own.pem", &first.certificate);
    own.write("own.key", &first.key);
    let mut options = options(folder.path());
    options.identity.as_mut().unwrap().own = Some(own.files());
    let mut site = Guarded::start_with(options).await;
    let config = Arc::new(trusting(&own.authority).with_no_client_auth());
    site.http = reqwest::Client::builder()
        .no_proxy()
        .timeout(harness::PATIENCE)
        .tls_backend_preconfigured((*config).clone())
        .build()
        .unwrap();
    assert_eq!(shown(site.people, &config).await, first.der);
    let machine = site.machine(json!({})).await;
    let mut standing = Standing::open(&site, &config, &machine).await;

    let refused = "muster_own_certificates_refused_total";
    let half = &second.certificate[..second.certificate.len() / 2];
    let bad: [(&str, &str); 4] = [
        // Half written; written, with the key of before; a key that is none; and neither.
        ("own.pem", half),
        ("own.pem", &second.certificate),
        (
            "own.key",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ),
        ("own.pem", ""),
    ];
    for (index, (name, text)) in bad.into_iter().enumerate() {
        own.write(name, text);
        let looked = async || site.counted(refused).await == index as u64 + 1;
        standing
            .are_well_until("what is of no use was looked at", looked)
            .await;
        assert_eq!(shown(site.people, &config).await, first.der, "{name}");
    }
    // It is said once for each change, not with each look; and what else has to be done does not wait for it.
    let before = shown(site.machines, &machine.config).await;
    site.post("/api/v1/certificate-authorities", json!({})).await;
    assert_ne!(shown(site.machines, &machine.config).await, before);
    let of_the_new = site.machine(json!({})).await;
    assert_eq!(of_the_new.knock(site.machines).await.unwrap().0, 200);

    own.write("own.key", &second.key);
    own.write("own.pem", &second.certificate);
    let is_shown = async || shown(site.people, &config).await == second.der;
    standing.are_well_until("the new one is shown", is_shown).await;
    // Tokens name it now.
    let token = site.token(json!({})).await;
    assert!(
        token.ends_with(&muster_fleet::identity::authority::fingerprint(&second.der).to_string()),
        "{token}"
    );
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_own_certificates_are_renewed_before_they_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    // Two thirds are over after 12 s; it is looked every 5 s.
    options.identity.as_mut().unwrap().server_lifetime_s = 18;
    let site = Guarded::start_with(options).await;
    let config = Arc::new(trusting(&authorities(&site)).with_no_client_auth());
    let machine = site.machine(json!({})).await;
    let mut standing = Standing::open(&site, &config, &machine).await;
    let first = (
        shown(site.people, &config).await,
        shown(site.machines, &machine.config).await,
    );
    let until_ms = harness::now().as_millis() + 18_000;
    // Each of these handshakes is good: none meets a certificate that has ended.
    let are_new = async || {
        let (people, machines) = (
            shown(site.people, &config).await,
            shown(site.machines, &machine.config).await,
        );
        people != first.0 && machines != first.1
    };
    // It is waited for longer than for anything else.
    for _ in 0..2 {
        standing.are_well_for(Duration::from_secs(5)).await;
    }
    standing.are_well_until("both are new", are_new).await;
    assert!(harness::now().as_millis() < until_ms, "they had ended by then");
    site.stop().await;
}

fn authorities(site: &Guarded) -> String {
    site.identity
        .with_authorities(muster_fleet::identity::authority::Authorities::bundle)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_files_of_no_use_says_which() {
    let own = Own::new();
    let (first, second) = (own.pair(), own.pair());
    let said = async |certificate: &str, key: &str| {
        own.write("own.pem", certificate);
        own.write("own.key", key);
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path());
        options.identity.as_mut().unwrap().own = Some(own.files());
        let shutdown = muster_runtime::Shutdown::new();
        let started = muster_fleet::Server::start(options, muster_runtime::Clock::start(), shutdown).await;
        let error = started.map(|_| ()).unwrap_err();
        assert_eq!(error.code(), "MST-F013");
        muster_runtime::errors::chain(&error)
    };
    let names = |path: &Path, said: &str| assert!(said.contains(path.to_str().unwrap()), "{said}");
    let mismatch = said(&first.certificate, &second.key).await;
    names(&own.files().key, &mismatch);
    assert!(mismatch.contains("it is not the key of"), "{mismatch}");
    names(&own.files().certificate, &said("", &first.key).await);
    names(&own.files().key, &said(&first.certificate, "").await);
}
