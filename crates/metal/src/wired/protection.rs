//! The safety part of a machine that was described: contacts, the contactor, drives, the watchdog.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use muster_model::vocabulary::Contact;

use super::parts::{ContactInput, Drive, Switch};
use super::watchdog::Watchdog;
use super::{Bench, Opened, Opener};
use crate::wiring::{ACTUATORS_MAX, Device};
use crate::{ActuatorLimits, Equipment, MetalError, Protection, Signals};

/// How often the loop looks, where nothing else is said: edges of GPIO inputs wake it in between.
const PERIOD: Duration = Duration::from_millis(10);
/// A contactor's own contact follows within this.
const FOLLOWS_WITHIN: Duration = Duration::from_millis(250);

/// Opens what there is for safety; nothing where nothing of it is described.
pub(super) fn open(opener: &mut Opener<'_>) -> Option<Box<dyn Protection>> {
    let safety = opener.wiring.safety.clone();
    let nothing = safety.estop.is_none()
        && safety.tamper.is_none()
        && safety.enable.is_none()
        && safety.speed.is_none()
        && safety.watchdog.is_none()
        && opener.wiring.actuators.is_empty();
    if nothing {
        return None;
    }
    let mut contact = |name: &Option<String>| name.as_ref().map(|name| opener.contact(name).ok());
    let (estop, tamper, feedback) = (
        contact(&safety.estop),
        contact(&safety.tamper),
        contact(&safety.enable_feedback),
    );
    let enable = safety.enable.as_ref().map(|name| opener.switch(name));
    let names: Vec<String> = opener.wiring.actuators.keys().cloned().collect();
    let mut actuators = [None; ACTUATORS_MAX];
    for (place, actuator) in actuators.iter_mut().zip(opener.wiring.actuators.values()) {
        *place = Some(ActuatorLimits {
            max: actuator.max,
            change_max_per_s: actuator.change_max_per_s,
            measured: !actuator.unmeasured,
        });
    }
    let drives = names.iter().map(|name| Described {
        device: opener.wiring.actuators[name].device.clone(),
        drive: opener.drive(name),
    });
    let drives = drives.collect();
    let watchdog = safety.watchdog.as_ref().and_then(|name| {
        let Device::Watchdog { path, timeout_s } = opener.device(name) else {
            return None;
        };
        let opened = Watchdog::open(&opener.places.roots.sys, &path, timeout_s);
        opener.note(name, opened).ok()
    });
    Some(Box::new(WiredProtection {
        equipment: Equipment {
            estop_circuit: safety.estop.is_some(),
            tamper_circuit: safety.tamper.is_some(),
            speed_max_m_per_s: safety.speed_max,
            period: safety
                .period_ms
                .map_or(PERIOD, |period_ms| Duration::from_millis(period_ms.into())),
            actuators,
        },
        estop,
        tamper,
        feedback,
        enable_name: safety.enable.unwrap_or_default(),
        enable,
        drives,
        watchdog,
        bench: opener.bench.clone(),
        now: Duration::ZERO,
        switched: None,
    }))
}

/// A drive of a device with this name.
struct Described {
    device: String,
    drive: Opened<Box<dyn Drive>>,
}

/// A contact, where one is described; and it, where it is present.
type MaybeContact = Option<Option<Box<dyn ContactInput>>>;

struct WiredProtection {
    equipment: Equipment,
    estop: MaybeContact,
    tamper: MaybeContact,
    feedback: MaybeContact,
    enable_name: String,
    enable: Option<Opened<Box<dyn Switch>>>,
    drives: Vec<Described>,
    watchdog: Option<Watchdog>,
    bench: Bench,
    now: Duration,
    /// What was switched last, and when.
    switched: Option<(bool, Duration)>,
}

impl Protection for WiredProtection {
    fn equipment(&self) -> Equipment {
        self.equipment
    }

    fn read(&mut self, now: Duration) -> Signals {
        self.now = now;
        Signals {
            estop: state(&mut self.estop),
            tamper: state(&mut self.tamper),
            // Gauges are read elsewhere: a slow bus must not hold the loop.
            speed_m_per_s: None,
        }
    }

    fn set_enable(&mut self, on: bool) -> Result<(), MetalError> {
        let Some(enable) = &mut self.enable else {
            // There is nothing that needs it: what moves and could hurt is not accepted without.
            return Ok(());
        };
        let enable = match enable {
            Ok(enable) => enable,
            // What is not there gives no power either; who asks for it is told.
            Err(_) if !on => return Ok(()),
            Err(why) => {
                return Err(MetalError::Absent {
                    device: self.enable_name.clone(),
                    why: why.clone(),
                });
            }
        };
        if self.switched.is_none_or(|(before, _)| before != on) {
            let set = enable.set(on);
            self.bench.power(on && set.is_ok());
            if let Err(source) = set {
                // It is tried again in the next turn.
                self.switched = None;
                return Err(MetalError::Device {
                    device: self.enable_name.clone(),
                    source,
                });
            }
            self.switched = Some((on, self.now));
        }
        self.followed(on)
    }

    fn set_drive(&mut self, place: usize, value: Option<f64>) -> Result<(), MetalError> {
        let Some(described) = self.drives.get_mut(place) else {
            return Ok(());
        };
        match &mut described.drive {
            Ok(drive) => drive.set(self.now, value).map_err(|source| MetalError::Device {
                device: described.device.clone(),
                source,
            }),
            Err(_) if value.is_none() => Ok(()),
            Err(why) => Err(MetalError::Absent {
                device: described.device.clone(),
                why: why.clone(),
            }),
        }
    }

    fn feed_watchdog(&mut self) -> Result<(), MetalError> {
        let fed = self
            .watchdog
            .as_mut()
            .map_or(Ok(()), |watchdog| watchdog.feed(self.now));
        fed.map_err(|source| MetalError::Device {
            device: "watchdog".to_owned(),
            source,
        })
    }

    fn end(&mut self) {
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.release();
        }
    }

    fn wakers(&self) -> Vec<BorrowedFd<'_>> {
        let contacts = [&self.estop, &self.tamper];
        let contacts = contacts.into_iter().flatten().flatten();
        contacts.filter_map(|contact| contact.edges()).collect()
    }
}

impl WiredProtection {
    /// A contactor that says otherwise than it was told, for longer than it takes, is stuck or welded.
    fn followed(&mut self, on: bool) -> Result<(), MetalError> {
        let Some(feedback) = &mut self.feedback else {
            return Ok(());
        };
        let due = self
            .switched
            .is_some_and(|(_, at)| self.now.saturating_sub(at) >= FOLLOWS_WITHIN);
        let closed = match feedback.as_mut().map(|feedback| feedback.is_active()) {
            Some(Ok(closed)) => Some(closed),
            Some(Err(_)) | None => None,
        };
        if due && closed != Some(on) {
            return Err(MetalError::NotFollowed {
                device: self.enable_name.clone(),
            });
        }
        Ok(())
    }
}

impl Drop for WiredProtection {
    fn drop(&mut self) {
        for described in &mut self.drives {
            if let Ok(drive) = &mut described.drive {
                let _ = drive.set(self.now, None);
            }
        }
        let _ = self.set_enable(false);
    }
}

fn state(contact: &mut MaybeContact) -> Contact {
    match contact {
        None => Contact::Unknown,
        Some(None) => Contact::Unknown,
        Some(Some(contact)) => match contact.is_active() {
            Ok(true) => Contact::Closed,
            Ok(false) => Contact::Open,
            Err(_) => Contact::Unknown,
        },
    }
}
