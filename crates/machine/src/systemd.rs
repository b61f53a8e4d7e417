//! What systemd is told, where it started the runtime: that the machine is ready, that its supervisor lives, that it ends.
//!
//! With `Type=notify` and `WatchdogSec=` in the unit, systemd starts the runtime again when it hears nothing. Source: sd_notify(3).

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;

use crate::nodes::safety::Shown;

/// Tells systemd until it is dropped, which tells it that the machine ends. The caller's thread is what lives by it.
pub(crate) async fn tell(mut shown: watch::Receiver<Shown>) -> Infallible {
    // Ready is who knows how it stands.
    if shown.wait_for(|shown| shown.operation.is_some()).await.is_err() {
        return pending().await;
    }
    say(NotifyState::Ready);
    let Some(waits) = sd_notify::watchdog_enabled() else {
        return pending().await;
    };
    let mut due = tokio::time::interval((waits / 3).max(Duration::from_millis(10)));
    loop {
        due.tick().await;
        say(NotifyState::Watchdog);
    }
}

/// The machine ends in order.
pub(crate) fn ending() {
    say(NotifyState::Stopping);
}

fn say(state: NotifyState<'_>) {
    // Without systemd nobody is told, and that is no error.
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd was not told");
    }
}
