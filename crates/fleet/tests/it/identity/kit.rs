//! A server with certificates, people who ask it by HTTPS, and machines with keys of their own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use muster_fleet::access::Access;
use muster_fleet::{Options, Server, ServerError, identity};
use muster_runtime::{Clock, Shutdown};
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm, SigningKey,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::harness::{self, answer, soon, until};

pub type Socket = WebSocketStream<Box<TlsStream<TcpStream>>>;

/// A server that runs, with certificates.
pub struct Guarded {
    pub people: SocketAddr,
    pub machines: SocketAddr,
    pub admin: SocketAddr,
    pub identity: identity::Identity,
    pub access: Arc<Access>,
    pub shutdown: Shutdown,
    pub run: JoinHandle<Result<(), ServerError>>,
    pub http: reqwest::Client,
}

pub fn options(data: &Path) -> Options {
    let mut options = harness::options(data);
    options.identity = Some(identity::Options {
        machines_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        ..identity::Options::default()
    });
    options
}

impl Guarded {
    pub async fn start(data: &Path) -> Self {
        Self::start_with(options(data)).await
    }

    pub async fn start_with(options: Options) -> Self {
        Self::start_at(options, Clock::start()).await
    }

    /// By a clock of its own.
    pub async fn start_at(options: Options, clock: Clock) -> Self {
        let shutdown = Shutdown::new();
        let server = Server::start(options, clock, shutdown.clone()).await.unwrap();
        let (people, machines) = (server.address(), server.machines_address().unwrap());
        let admin = server.admin_address().unwrap();
        let (identity, access) = (server.identity().unwrap().clone(), server.access().clone());
        #[expect(clippy::disallowed_methods, reason = "a test's own task, which is waited for")]
        // tidy: allow(tasks): a test's own task, which is waited for
        let run = tokio::spawn(server.run_to_checkpoint());
        let pem = identity.with_authorities(identity::authority::Authorities::bundle);
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(harness::PATIENCE)
            .tls_backend_preconfigured(trusting(&pem).with_no_client_auth())
            .build()
            .unwrap();
        Self {
            people,
            machines,
            admin,
            identity,
            access,
            shutdown,
            run,
            http,
        }
    }

    pub async fn stop(self) {
        self.shutdown.request("the test says so");
        let Self {
            run,
            identity,
            access,
            http,
            ..
        } = self;
        drop((identity, access, http));
        soon("the server ends", run).await.unwrap().unwrap();
    }

    pub async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.ask_by("", method, path, body).await
    }

    /// By a token; by nothing, if it is empty.
    pub async fn ask_by(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("https://{}{path}", self.people);
        let mut request = self.http.request(method.parse().unwrap(), url);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request).await
    }

    /// What is counted under a name.
    pub async fn counted(&self, name: &str) -> u64 {
        let url = format!("http://{}/metrics", self.admin);
        let text = self.http.get(url).send().await.unwrap().text().await.unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |count| count.parse().unwrap())
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, document) = self.ask("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {document}");
        document
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, document) = self.ask("POST", path, Some(body)).await;
        assert!((200..300).contains(&status), "{path}: {status} {document}");
        document
    }

    /// A token for a machine.
    pub async fn token(&self, enrolment: Value) -> String {
        let made = self.post("/api/v1/enrolments", enrolment).await;
        made["token"].as_str().unwrap().to_owned()
    }

    /// What comes of a token and a request.
    pub async fn enrol(&self, token: &str, csr: &str) -> (u16, Value) {
        self.ask("POST", "/enrol", Some(json!({ "token": token, "csr": csr })))
            .await
    }

    /// A machine that has enrolled.
    pub async fn machine(&self, enrolment: Value) -> Enrolled {
        let token = self.token(enrolment).await;
        let key = Key::new();
        let (status, issued) = self.enrol(&token, &key.csr()).await;
        assert_eq!(status, 200, "{issued}");
        Enrolled::new(&key, &issued)
    }

    pub async fn identity_of(&self, machine: &Enrolled) -> Value {
        self.get(&format!("/api/v1/identities/{}", machine.id)).await
    }

    pub async fn revoke(&self, machine: &Enrolled) -> Value {
        let path = format!("/api/v1/identities/{}/revoke", machine.id);
        self.post(&path, json!({ "reason": "it was stolen" })).await
    }

    /// Waits for an event of this kind about a machine.
    pub async fn event(&self, machine: &Enrolled, kind: &str) -> Value {
        let path = format!("/api/v1/machines/{}/events?kind={kind}", machine.id);
        until(kind, || async {
            let (status, page) = self.ask("GET", &path, None).await;
            let first = page["items"][0].clone();
            (status == 200 && !first.is_null()).then_some(first)
        })
        .await
    }
}

/// A key of a machine.
pub struct Key(pub KeyPair);

impl Key {
    pub fn new() -> Self {
        Self(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
    }

    pub fn csr(&self) -> String {
        self.csr_for(&[])
    }

    /// A request that asks for these names.
    pub fn csr_for(&self, names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        params.serialize_request(&self.0).unwrap().pem().unwrap()
    }
}

/// The public key of one, and signatures of another: what somebody sends who wants a certificate for a key that they do not have.
pub struct Borrowed<'a> {
    pub public: &'a Key,
    pub secret: &'a Key,
}

impl PublicKeyData for Borrowed<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.public.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.public.0.algorithm()
    }
}

impl SigningKey for Borrowed<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.secret.0.sign(message)
    }
}

impl Borrowed<'_> {
    pub fn csr(&self) -> String {
        let params = CertificateParams::new(Vec::new()).unwrap();
        params.serialize_request(self).unwrap().pem().unwrap()
    }
}

/// A machine with its certificate.
pub struct Enrolled {
    pub id: String,
    pub certificate: String,
    pub authorities: String,
    pub config: Arc<ClientConfig>,
}

impl Enrolled {
    pub fn new(key: &Key, issued: &Value) -> Self {
        let text = |name: &str| issued[name].as_str().unwrap().to_owned();
        let (certificate, authorities) = (text("certificate"), text("authorities"));
        let config = config(&authorities, &certificate, &key.0);
        Self {
            id: text("machine_id"),
            certificate,
            authorities,
            config,
        }
    }

    /// The handshake, up to what the server says of it: with TLS 1.3 a client learns only then that it is not let in.
    pub async fn knock(&self, machines: SocketAddr) -> std::io::Result<(u16, Value)> {
        let path = format!("/machine/{}/certificate", self.id);
        self.ask(machines, "GET", &path, None).await
    }

    pub async fn ask(
        &self,
        machines: SocketAddr,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> std::io::Result<(u16, Value)> {
        let mut stream = connect(machines, self.config.clone()).await?;
        request(&mut stream, method, path, body).await
    }

    /// A new certificate, for a new key.
    pub async fn renew(&self, machines: SocketAddr) -> Self {
        let key = Key::new();
        let path = format!("/machine/{}/certificate", self.id);
        let body = json!({ "csr": key.csr() });
        let (status, issued) = self.ask(machines, "POST", &path, Some(body)).await.unwrap();
        assert_eq!(status, 200, "{issued}");
        assert_eq!(issued["machine_id"], self.id);
        Self::new(&key, &issued)
    }

    /// A WebSocket.
    pub async fn dial(&self, machines: SocketAddr) -> Result<Socket, String> {
        let stream = connect(machines, self.config.clone())
            .await
            .map_err(|error| error.to_string())?;
        let mut request = format!("wss://{machines}/machine").into_client_request().unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", "muster.v1".parse().unwrap());
        // A stream that is encrypted takes much room while it is passed on.
        let upgrading = Box::pin(tokio_tungstenite::client_async(request, Box::new(stream)));
        soon("the upgrade", upgrading)
            .await
            .map(|(socket, _)| socket)
            .map_err(|error| match error {
                tokio_tungstenite::tungstenite::Error::Http(response) => {
                    let body = response.body().as_deref().unwrap_or_default();
                    format!("{} {}", response.status(), String::from_utf8_lossy(body))
                }
                error => error.to_string(),
            })
    }

    /// In session.
    pub async fn session(&self, machines: SocketAddr) -> Socket {
        let mut socket = self.dial(machines).await.unwrap();
        say(&mut socket, &harness::hello(&self.id, 0)).await;
        let welcome = hear(&mut socket).await.unwrap();
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        socket
    }
}

pub async fn say(socket: &mut Socket, message: &Value) {
    let message = Message::Text(message.to_string().into());
    soon("a message is taken", socket.send(message)).await.unwrap();
}

pub async fn hear(socket: &mut Socket) -> Result<Value, Option<u16>> {
    loop {
        match soon("a message of the server", socket.next()).await {
            Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(None),
        }
    }
}

/// What is said until the end: the bye, and the code of the close.
pub async fn end(socket: &mut Socket) -> (Option<Value>, Option<u16>) {
    let mut bye = None;
    loop {
        match hear(socket).await {
            Ok(message) if message["type"] == "bye" => bye = Some(message["payload"].clone()),
            Ok(_) => {}
            Err(code) => return (bye, code),
        }
    }
}

pub fn trusting(pem: &str) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    ClientConfig::builder_with_provider(identity::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
}

/// A client that would resume sessions if it could.
pub fn config(authorities: &str, certificate: &str, key: &KeyPair) -> Arc<ClientConfig> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = trusting(authorities)
        .with_client_auth_cert(chain.unwrap(), key)
        .unwrap();
    Arc::new(config)
}

pub async fn connect(
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(config).connect(name, stream).await
}

/// One request on a connection that may be asked more.
pub async fn request(
    stream: &mut TlsStream<TcpStream>,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> std::io::Result<(u16, Value)> {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let headers = [("content-type", "application/json".to_owned())];
    request_with(stream, method, path, &headers, body.as_bytes()).await
}

/// As [`request`], with headers and a body of any kind.
pub async fn request_with(
    stream: &mut TlsStream<TcpStream>,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: &[u8],
) -> std::io::Result<(u16, Value)> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}content-length: {length}\r\n\r\n");
    let asking = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
        let mut read = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&read).into_owned();
            if let Some((head, rest)) = text.split_once("\r\n\r\n") {
                let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
                let length = head
                    .lines()
                    .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok())
                    .unwrap_or(0);
                // An answer to HEAD speaks of a body, and has none.
                if method == "HEAD" || rest.len() >= length {
                    return Ok((status, serde_json::from_str(rest).unwrap_or(Value::Null)));
                }
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asking)
        .await
        .expect("an answer in time")
}
