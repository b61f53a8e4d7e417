//! Keeps the machine's certificate in force: asks the server whether to renew, when the server said to ask again.
//!
//! The machine's own clock has no part in it. A new certificate is on disk before it is used; the uplink then connects anew with it.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use muster_model::Severity;
use muster_protocol::enrol::{CertificateStatus, Issued, Renew, certificate_path};
use muster_runtime::clock;
use muster_runtime::errors::chain;

use crate::dial::{Dial, Outgoing};
use crate::identity::ask::{Ask, ask};
use crate::identity::{Identity, IdentityError};
use crate::message::event;
use crate::options::ServerUrl;
use crate::supervisor::{NodeContext, NodeError, NodeSpec, Wake};

/// What failed is tried again after this, and twice that, and so on …
const AGAIN_MS: u64 = 1_000;
/// … but at least this often.
const AGAIN_MAX_MS: u64 = 300_000;
/// After a renewal it is asked at once, with the new certificate: so the server knows that it is used.
const AT_ONCE_MS: u64 = 100;

/// What the node works with.
#[derive(Debug)]
pub struct Setup {
    /// Who the machine is.
    pub identity: Identity,
    /// Where the server takes machines in.
    pub server: ServerUrl,
    /// How long a connection may take.
    pub connect_timeout: Duration,
}

/// The identity node.
pub fn spec(setup: Arc<Setup>) -> NodeSpec {
    NodeSpec {
        needs_io: true,
        ..NodeSpec::new("identity", &[], move |context| run(context, setup.clone()))
    }
}

async fn run(mut context: NodeContext, setup: Arc<Setup>) -> Result<(), NodeError> {
    let mut failures: u32 = 0;
    let mut due_ms = context.clock().mono_ms() + AT_ONCE_MS;
    loop {
        if context.clock().mono_ms() < due_ms {
            match context.next(Some(due_ms)).await {
                Wake::Stop => return Ok(()),
                Wake::Due | Wake::Message(_) => continue,
            }
        }
        let asking = look(&setup);
        tokio::pin!(asking);
        // A slow server is no hang: signs of life go on while it is waited for.
        let looked = loop {
            tokio::select! {
                looked = &mut asking => break looked,
                wake = context.next(None) => match wake {
                    Wake::Stop => return Ok(()),
                    Wake::Due | Wake::Message(_) => {}
                },
            }
        };
        let wait_ms = match looked {
            Ok(Looked { renewed, again_ms }) => {
                failures = 0;
                if let Some(issued) = renewed {
                    let text = format!("The machine has a new certificate, until {}", issued.not_after);
                    context.publish(event("identity.renewed", Severity::Info, text));
                }
                again_ms
            }
            Err(error) => {
                let longest_ms = (AGAIN_MS << failures.min(10)).min(AGAIN_MAX_MS);
                if failures == 0 {
                    tracing::debug!(code = error.code(), error = %chain(&error), "whether to renew the certificate cannot be asked");
                }
                failures += 1;
                // Those that share a server must not come together.
                let entropy = clock::entropy().map_err(|error| NodeError(chain(&error)))?;
                longest_ms / 2 + entropy % (longest_ms / 2 + 1)
            }
        };
        due_ms = context.clock().mono_ms() + wait_ms;
    }
}

struct Looked {
    renewed: Option<Issued>,
    again_ms: u64,
}

async fn look(setup: &Setup) -> Result<Looked, IdentityError> {
    let path = certificate_path(setup.identity.document().machine_id);
    let status: CertificateStatus = exchange(setup, Method::GET, &path, None).await?;
    if !status.renew {
        return Ok(Looked {
            renewed: None,
            again_ms: u64::from(status.ask_again_s) * 1_000,
        });
    }
    let (key, csr) = setup.identity.request()?;
    // Plain data: it can always be written.
    let body = serde_json::to_string(&Renew { csr }).unwrap_or_default();
    let issued: Result<Issued, _> = exchange(setup, Method::POST, &path, Some(body)).await;
    let kept = issued.and_then(|issued| setup.identity.renewed(&key, &issued).map(|()| issued));
    // A key without a certificate is of no use, and the next try makes another.
    let issued = kept.inspect_err(|_| setup.identity.tidy())?;
    tracing::info!(not_after = %issued.not_after, "the machine has a new certificate");
    Ok(Looked {
        renewed: Some(issued),
        again_ms: AT_ONCE_MS,
    })
}

async fn exchange<T: serde::de::DeserializeOwned>(
    setup: &Setup,
    method: Method,
    path: &str,
    body: Option<String>,
) -> Result<T, IdentityError> {
    let (host, port) = (setup.server.host(), setup.server.port());
    let authority = setup.server.uri().authority().map(ToString::to_string);
    let authority = authority.unwrap_or_default();
    let dialling = Outgoing::Secure(setup.identity.clone());
    let unreachable = |why: String| IdentityError::Unreachable {
        server: authority.clone(),
        why,
    };
    let stream = match tokio::time::timeout(setup.connect_timeout, dialling.dial(host, port)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(unreachable(error.to_string())),
        Err(_) => return Err(unreachable("no connection in time".to_owned())),
    };
    let asked = Ask {
        authority: &authority,
        method,
        path,
        body,
    };
    ask(stream, asked).await
}
