//! `POST /enrol`: a machine sends its token and a CSR, and gets its certificate. Nobody is signed in here: the token says who may.

use axum::Json;
use axum::extract::State;
use muster_protocol::enrol::{Enrol, Issued, Token};

use super::GatewayState;
use crate::access::caller::Caller;
use crate::api::error::ApiError;
use crate::api::params::SmallBody;
use crate::identity::{Refused, reach};

/// Enrols a machine.
pub async fn enrol(
    State(state): State<GatewayState>,
    caller: Caller,
    SmallBody(asked): SmallBody<Enrol>,
) -> Result<Json<Issued>, ApiError> {
    let identity = state.identity.clone().ok_or_else(ApiError::no_identities)?;
    let from = caller.from();
    let mono_ms = state.fleet.mono_ms();
    if !identity.guesses().may_try(from, mono_ms) {
        return Err(ApiError::too_many_guesses());
    }
    let Ok(token) = asked.token.parse::<Token>() else {
        identity.guesses().count(from, mono_ms);
        return Err(Refused::Token.into());
    };
    let asking = identity.clone();
    let enrolled = tokio::task::spawn_blocking(move || asking.enrol(&token, &asked.csr)).await;
    let enrolled = enrolled.map_err(|_| crate::state::Stopping)?;
    if let Err(Refused::Token) = &enrolled {
        identity.guesses().count(from, mono_ms);
    }
    let (enrolment, issued) = enrolled?;
    let machine = reach::machine(&state, issued.machine_id);
    caller.note_machine(
        issued.machine_id,
        machine.map(|view| view.name()).unwrap_or_default(),
    );
    // By which token: so that who made it can be found.
    caller.note_object("enrolment", enrolment.id.to_string(), enrolment.called());
    tracing::info!(machine = %issued.machine_id, %from, pending = issued.pending, "a machine enrolled");
    Ok(Json(issued))
}
