//! The first certificate: a token from a person, a key that is made here, and one conversation with a server that is known by the token
//! alone.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Uri};
use muster_protocol::enrol::{Enrol, Issued, PATH, Token};
use muster_runtime::Clock;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::ask::{Ask, ask};
use super::keys::{FileKeys, Keys};
use super::verify::{NamedServer, Time};
use super::{FOLDER, Identity, IdentityError, provider};
use crate::dial::{Dial, Tcp};
use crate::options::ServerUrl;

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// Where people reach a server: `https://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeoplesUrl {
    host: String,
    port: u16,
}

impl std::str::FromStr for PeoplesUrl {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let none = || {
            let shown: String = text.chars().take(128).collect();
            IdentityError::Usage(format!("{shown:?} is no address like https://fleet.example:7700"))
        };
        let uri: Uri = text.parse().map_err(|_| none())?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("https"));
        let authority = authority.ok_or_else(none)?;
        let bare = authority.as_str().contains('@') || !matches!(uri.path(), "" | "/");
        if bare || uri.query().is_some() || authority.host().is_empty() {
            return Err(none());
        }
        Ok(Self {
            host: authority.host().to_owned(),
            port: authority.port_u16().unwrap_or(443),
        })
    }
}

impl PeoplesUrl {
    fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Where the same server takes machines in.
    fn machines(&self, port: u16) -> Result<ServerUrl, IdentityError> {
        let text = format!("wss://{}:{port}", self.host);
        text.parse()
            .map_err(|_| IdentityError::Usage(format!("{text} is no address")))
    }
}

/// Enrols with a token, and keeps what came of it. `again`: also where the machine is enrolled already.
pub async fn enrol(
    data: &Path,
    server: &PeoplesUrl,
    token: &str,
    again: bool,
    clock: Clock,
) -> Result<(Identity, Issued), IdentityError> {
    let parsed: Token = token
        .parse()
        .map_err(|error| IdentityError::Usage(format!("that is no token: {error}")))?;
    if !again {
        // Damaged or readable by others is no reason not to take on another.
        if let Ok(Some(identity)) = Identity::open(data, clock) {
            let machine = identity.document().machine_id;
            return Err(IdentityError::AlreadyEnrolled { machine });
        }
    }
    let (key, csr) = FileKeys::new(&data.join(FOLDER)).make()?;
    let issued = match send(server, &parsed, token, csr, clock).await {
        Ok(issued) => issued,
        Err(error) => {
            // A key without a certificate is of no use.
            let _ = std::fs::remove_file(data.join(FOLDER).join(&key));
            return Err(error);
        }
    };
    let machines = server.machines(issued.machines_port)?;
    let identity = Identity::take_on(data, &machines, &key, &issued, clock)?;
    Ok((identity, issued))
}

async fn send(
    server: &PeoplesUrl,
    token: &Token,
    text: &str,
    csr: String,
    clock: Clock,
) -> Result<Issued, IdentityError> {
    let authority = server.authority();
    let unreachable = |why: String| IdentityError::Unreachable {
        server: authority.clone(),
        why,
    };
    let mut config = ClientConfig::builder_with_details(provider(), Arc::new(Time(clock)))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(IdentityError::Tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(NamedServer { named: token.server }))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    let host = server.host.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host.clone()).map_err(|error| unreachable(error.to_string()))?;
    let connecting = async {
        let stream = Tcp.dial(&host, server.port).await?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    };
    let stream = match tokio::time::timeout(CONNECT_WITHIN, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(unreachable(error.to_string())),
        Err(_) => {
            return Err(unreachable(format!(
                "no connection within {} s",
                CONNECT_WITHIN.as_secs()
            )));
        }
    };
    let body = Enrol {
        token: text.trim().to_owned(),
        csr,
    };
    // Plain data: it can always be written.
    let body = serde_json::to_string(&body).unwrap_or_default();
    let asked = Ask {
        authority: &authority,
        method: Method::POST,
        path: PATH,
        body: Some(body),
    };
    ask(stream, asked).await
}
