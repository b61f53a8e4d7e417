//! `/machine/{id}/certificate`: a machine asks whether to renew its certificate, and gets a new one for a new key.

use axum::Json;
use axum::extract::State;
use axum::http::{Extensions, header};
use axum::response::{IntoResponse, Response};
use muster_model::MachineId;
use muster_model::entry::IdentityFact;
use muster_protocol::enrol::{CertificateStatus, Renew};

use super::GatewayState;
use crate::api::error::ApiError;
use crate::api::params::{Body, MachinePath};
use crate::identity::connected::{Peer, why};
use crate::identity::{Identity, Refused, noted};

/// Whether the machine that the path names is the one that asks, by a certificate that is in force. Where machines need no
/// certificate, everyone is whom they say.
///
/// # Errors
///
/// It is not.
pub fn must_be(
    state: &GatewayState,
    extensions: &Extensions,
    machine: MachineId,
) -> Result<Option<(Identity, Peer)>, ApiError> {
    let Some(identity) = &state.identity else {
        return Ok(None);
    };
    // A connection may outlive its certificate: each request is looked at.
    let peer = extensions.get::<Peer>().copied();
    let in_force = |peer: &Peer| {
        let now = identity.now();
        peer.not_after > now && why(identity.register(), peer, now).is_none()
    };
    let peer = peer
        .filter(in_force)
        .ok_or_else(|| ApiError::not_this_machine("the certificate is not in force here"))?;
    if peer.machine != machine {
        metrics::counter!("muster_violations_total", "kind" => "identity").increment(1);
        let detail = format!("the certificate is that of machine {}", peer.machine);
        return Err(ApiError::not_this_machine(detail));
    }
    Ok(Some((identity.clone(), peer)))
}

/// Says whether to renew.
pub async fn status(
    State(state): State<GatewayState>,
    MachinePath(machine): MachinePath,
    extensions: Extensions,
) -> Result<Json<CertificateStatus>, ApiError> {
    let (identity, peer) = must_be(&state, &extensions, machine)?.ok_or_else(ApiError::no_identities)?;
    Ok(Json(identity.status(&peer)?))
}

/// Issues a new one. The old one stays in force until the new one is used.
pub async fn renew(
    State(state): State<GatewayState>,
    MachinePath(machine): MachinePath,
    extensions: Extensions,
    Body(asked): Body<Renew>,
) -> Result<Response, ApiError> {
    let (identity, peer) = must_be(&state, &extensions, machine)?.ok_or_else(ApiError::no_identities)?;
    let renewing = tokio::task::spawn_blocking(move || identity.renew(&peer, &asked.csr)).await;
    let issued = match renewing.map_err(|_| crate::state::Stopping)? {
        Err(Refused::TooSoon(wait_s)) => {
            metrics::counter!("muster_certificates_refused_total").increment(1);
            let error = ApiError::from(Refused::TooSoon(wait_s));
            return Ok(([(header::RETRY_AFTER, wait_s.to_string())], error).into_response());
        }
        renewed => renewed?,
    };
    let detail = format!("it ends at {}", issued.not_after);
    noted::note(&state, machine, IdentityFact::Renewed, detail).await;
    Ok(Json(issued).into_response())
}
