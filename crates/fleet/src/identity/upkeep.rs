//! What must happen by itself: connections whose certificate is over are cut, the server's own certificate is renewed, files of
//! people's own are read again, authorities that nothing hangs on any more are retired.

use std::convert::Infallible;
use std::time::Duration;

use muster_brain::shard::Input;
use muster_protocol::api::EnrolmentState;
use muster_protocol::link::ByeReason;
use muster_runtime::Shutdown;
use muster_runtime::errors::chain;

use super::connected::{Cut, Why};
use super::register::Enrolment;
use super::{Identity, IdentityError, tls};
use crate::gateway::GatewayState;
use crate::state::ShardMessage;

/// How often it is looked whose time is over. With what cutting takes this is well below the 5 s that are promised.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a connection may take to end in order before it is ended without.
const IN_ORDER_WITHIN: Duration = Duration::from_secs(1);
/// How long a machine waits that is cut because its certificate has ended: it may get a new one meanwhile.
const EXPIRED_RETRY_MS: u32 = 5_000;
/// How often files and authorities are looked at.
const FILES_EVERY: u32 = 5;

/// Runs until the server ends.
pub async fn run(state: GatewayState, identity: Identity, shutdown: Shutdown) -> Result<(), Infallible> {
    let mut turn: u32 = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shutdown.requested() => return Ok(()),
        }
        cut_due(&state, &identity).await;
        turn = turn.wrapping_add(1);
        if turn.is_multiple_of(FILES_EVERY) {
            let identity = identity.clone();
            let looked = tokio::task::spawn_blocking(move || identity.look_after());
            if let Ok(Err(error)) = looked.await {
                tracing::error!(code = error.code(), error = %chain(&error), "certificates cannot be looked after; what was in force stays");
            }
        }
    }
}

/// Cuts what must be cut now; returns when it is, or was told to.
pub async fn cut_due(state: &GatewayState, identity: &Identity) {
    let cuts = identity.connected().due(identity.register(), identity.now());
    for cut in cuts {
        end(state, cut).await;
    }
}

async fn end(state: &GatewayState, cut: Cut) {
    let (reason, message, retry_after_ms) = match cut.why {
        Why::Revoked(reason) => (
            ByeReason::Revoked,
            format!("this machine was shut out: {reason}"),
            None,
        ),
        Why::Expired => (
            ByeReason::Overloaded,
            "the certificate of this connection has ended".to_owned(),
            Some(EXPIRED_RETRY_MS),
        ),
        Why::Superseded => (
            ByeReason::Overloaded,
            "a newer certificate of this machine is in use".to_owned(),
            Some(EXPIRED_RETRY_MS),
        ),
    };
    tracing::info!(machine = %cut.machine, connection = cut.connection.0, %message, "a machine's connection is cut");
    metrics::counter!("muster_connections_cut_total").increment(1);
    let dismiss = ShardMessage::Step(Box::new(Input::Dismiss {
        connection: cut.connection,
        machine: cut.machine,
        reason,
        message: message.clone(),
        retry_after_ms,
    }));
    // In order where the shard comes to it in time; else without.
    let telling = state.fleet.shard_of(cut.machine).inbox.send(dismiss);
    let _ = tokio::time::timeout(IN_ORDER_WITHIN, telling).await;
    let line = cut.line;
    state.tasks.spawn_small(async move {
        tokio::time::sleep(IN_ORDER_WITHIN).await;
        line.close(1008, message);
    });
}

impl Identity {
    /// Renews, reads again and retires, where it is time for it. Blocks.
    fn look_after(&self) -> Result<(), IdentityError> {
        let now = self.now();
        let _one = self.0.changing.lock();
        let retired = self.retire(now);
        let due = now >= self.0.shown.lock().renew_at;
        let own = &self.0.options.own;
        let written = own.as_ref().is_some_and(|own| {
            let written = tls::written(own);
            // Files that are being replaced may be away for a moment.
            written.is_some() && written != self.0.shown.lock().written
        });
        let has_retired = matches!(retired, Ok(true));
        // A file that cannot be removed does not keep certificates from being renewed.
        if has_retired || due || written {
            self.open_doors(now)?;
            tracing::info!(
                retired = has_retired,
                due,
                written,
                "certificates of the server were looked after"
            );
        }
        retired.map(|_| ())
    }

    /// Takes authorities out of force that issued nothing which is.
    fn retire(&self, now: muster_model::Timestamp) -> Result<bool, IdentityError> {
        if self.0.authorities.read().all().len() < 2 {
            return Ok(false);
        }
        let counts = self.0.register.by_authority(now);
        let mut authorities = self.0.authorities.write();
        let idle: Vec<u32> = authorities
            .all()
            .iter()
            .map(|authority| authority.generation)
            .filter(|generation| !counts.contains_key(generation))
            .collect();
        let newest = authorities.newest();
        let (newest, since) = (newest.generation, newest.issues_since());
        // Tokens of before name the old one.
        let waits = |enrolment: &Enrolment| {
            enrolment.created_at < since && enrolment.state(now) == EnrolmentState::Open
        };
        if self
            .0
            .register
            .enrolments()
            .iter()
            .any(|enrolment| waits(enrolment))
        {
            return Ok(false);
        }
        let mut retired = false;
        for generation in idle.into_iter().filter(|generation| *generation != newest) {
            authorities.retire(generation)?;
            tracing::info!(
                generation,
                "an authority is out of force: nothing hangs on it any more"
            );
            retired = true;
        }
        Ok(retired)
    }
}
