//! The safety loop alone, on its thread, without a node and a disk: for measurements and tests of the loop itself.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use muster_metal::Protection;
use muster_model::vocabulary::Safety as Region;
use muster_reflex::safety::config::Start;
use muster_runtime::realtime::boot_time;
use tokio::runtime::Runtime;

use super::thread::Loop;
use super::turns::{Parts, Told, Turned, Turns};
use super::{Panel, Press};
use crate::options::SafetyOptions;

/// How often it is looked what the loop did.
const LOOK_EVERY: Duration = Duration::from_micros(500);

/// A loop at work, and who presses its buttons.
pub(crate) struct Bench {
    #[cfg(test)]
    parts: Arc<Parts>,
    panel: Panel,
    period: Duration,
    region: Region,
    told: Told,
    came: Vec<Turned>,
    // Ends before the runtime that its socket belongs to.
    works: Loop,
    runtime: Runtime,
}

impl Bench {
    /// Starts a loop on this hardware.
    pub(crate) fn start(protection: Box<dyn Protection>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let panel = Panel::default();
        let period = protection.equipment().period;
        let options = SafetyOptions {
            start: Start::Automatic,
            after_power_cut: Start::Automatic,
            // A computer that is too busy is what is measured, and no reason to stand.
            late_after: Duration::from_secs(60),
            ..SafetyOptions::default()
        };
        let parts = Arc::new(Parts::new(options, Some(protection)).with(panel.clone(), Duration::ZERO));
        let works = {
            let _io = runtime.enter();
            Turns::new(&parts, None)
                .and_then(Loop::start)
                .map_err(io::Error::other)?
        };
        let mut told = Told::default();
        // Everything is on disk at once.
        told.sample.kept = u64::MAX;
        Ok(Self {
            #[cfg(test)]
            parts,
            panel,
            period,
            region: Region::Init,
            told,
            came: Vec::new(),
            works,
            runtime,
        })
    }

    /// How often the loop looks.
    pub(crate) fn period(&self) -> Duration {
        self.period
    }

    /// Resets and resumes until the machine may move.
    pub(crate) fn bring_to_move(&mut self, within: Duration) -> io::Result<bool> {
        let give_up = boot_time() + within;
        while self.look()? != Region::Operational {
            if boot_time() > give_up {
                return Ok(false);
            }
            match self.region {
                Region::EstopLatched | Region::FaultLatched => drop(self.panel.presses().press(Press::Reset)),
                Region::ProtectiveStop => drop(self.panel.presses().press(Press::Resume)),
                Region::Init | Region::Operational | Region::Limited => {}
            }
            std::thread::park_timeout(self.period + LOOK_EVERY);
        }
        Ok(true)
    }

    /// Begins another loop on the same hardware, as the next node would.
    #[cfg(test)]
    pub(crate) fn take_over(&self) -> Result<(), crate::supervisor::NodeError> {
        Turns::new(&self.parts, None).map(drop)
    }

    /// Where the machine stands.
    pub(crate) fn look(&mut self) -> io::Result<Region> {
        let _io = self.runtime.enter();
        self.works
            .exchange(&self.told, &mut self.came)
            .map_err(io::Error::other)?;
        if let Some(last) = self.came.drain(..).next_back() {
            self.region = last.verdict.region;
        }
        Ok(self.region)
    }
}
