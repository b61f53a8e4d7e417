//! Devices that do not exist, for a machine on a desk: a motor that follows its command with inertia, a contact that a person
//! presses, a relay that gives the motors their power.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::parts::{ContactInput, Drive, Source, Switch};
use crate::wiring::{Device, Wiring};

/// All of them. Clones are the same devices.
#[derive(Clone, Debug, Default)]
pub struct Bench {
    powered: Arc<AtomicBool>,
    contacts: Arc<BTreeMap<String, AtomicBool>>,
    motors: Arc<BTreeMap<String, Motor>>,
}

/// A motor as its drive and its gauge share it.
#[derive(Debug)]
struct Motor {
    speed_max: f64,
    time_constant_s: f64,
    /// What it is told, as bits.
    told: AtomicU64,
}

impl Bench {
    pub(super) fn new(wiring: &Wiring) -> Self {
        let mut contacts = BTreeMap::new();
        let mut motors = BTreeMap::new();
        for (name, device) in &wiring.devices {
            match device {
                // Circuits are closed until somebody opens them.
                Device::SimulatedContact {} => {
                    contacts.insert(name.clone(), AtomicBool::new(true));
                }
                Device::SimulatedMotor {
                    speed_max,
                    time_constant_ms,
                } => {
                    let motor = Motor {
                        speed_max: *speed_max,
                        time_constant_s: f64::from(*time_constant_ms) / 1_000.0,
                        told: AtomicU64::new(0),
                    };
                    motors.insert(name.clone(), motor);
                }
                _ => {}
            }
        }
        Self {
            // Without a relay that could take it there is power.
            powered: Arc::new(AtomicBool::new(wiring.safety.enable.is_none())),
            contacts: Arc::new(contacts),
            motors: Arc::new(motors),
        }
    }

    /// The contacts that can be opened and closed.
    pub fn contacts(&self) -> impl Iterator<Item = &str> {
        self.contacts.keys().map(String::as_str)
    }

    /// Opens a contact, or closes it. False where there is none of this name.
    pub fn set_contact(&self, name: &str, closed: bool) -> bool {
        let contact = self.contacts.get(name);
        contact
            .inspect(|contact| contact.store(closed, Ordering::Release))
            .is_some()
    }

    /// Whether the motors have power.
    pub fn is_powered(&self) -> bool {
        self.powered.load(Ordering::Acquire)
    }

    /// Power for the motors, whichever contactor gives it.
    pub(super) fn power(&self, on: bool) {
        self.powered.store(on, Ordering::Release);
    }

    pub(super) fn contact(&self, name: &str) -> Box<dyn ContactInput> {
        Box::new(Contact {
            bench: self.clone(),
            name: name.to_owned(),
        })
    }

    pub(super) fn contact_source(&self, name: &str) -> Box<dyn Source> {
        Box::new(Contact {
            bench: self.clone(),
            name: name.to_owned(),
        })
    }

    pub(super) fn relay(&self) -> Box<dyn Switch> {
        Box::new(Relay(self.clone()))
    }

    pub(super) fn relay_source(&self) -> Box<dyn Source> {
        Box::new(Relay(self.clone()))
    }

    pub(super) fn motor_drive(&self, name: &str) -> Box<dyn Drive> {
        Box::new(Told {
            bench: self.clone(),
            name: name.to_owned(),
        })
    }

    pub(super) fn motor_source(&self, name: &str) -> Box<dyn Source> {
        Box::new(Turning {
            bench: self.clone(),
            name: name.to_owned(),
            speed: 0.0,
            at: None,
        })
    }

    fn closed(&self, name: &str) -> bool {
        let contact = self.contacts.get(name);
        contact.is_some_and(|contact| contact.load(Ordering::Acquire))
    }
}

struct Contact {
    bench: Bench,
    name: String,
}

impl ContactInput for Contact {
    fn is_active(&mut self) -> io::Result<bool> {
        Ok(self.bench.closed(&self.name))
    }
}

impl Source for Contact {
    fn read(&mut self, _: Duration) -> io::Result<f64> {
        Ok(f64::from(u8::from(self.bench.closed(&self.name))))
    }
}

struct Relay(Bench);

impl Switch for Relay {
    fn set(&mut self, on: bool) -> io::Result<()> {
        self.0.power(on);
        Ok(())
    }
}

impl Source for Relay {
    fn read(&mut self, _: Duration) -> io::Result<f64> {
        Ok(f64::from(u8::from(self.0.is_powered())))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.power(false);
    }
}

struct Told {
    bench: Bench,
    name: String,
}

impl Drive for Told {
    fn set(&mut self, _: Duration, value: Option<f64>) -> io::Result<()> {
        if let Some(motor) = self.bench.motors.get(&self.name) {
            motor
                .told
                .store(value.unwrap_or(0.0).to_bits(), Ordering::Release);
        }
        Ok(())
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.set(Duration::ZERO, None);
    }
}

/// A motor that turns: first-order lag towards what it is told, or towards rest without power.
struct Turning {
    bench: Bench,
    name: String,
    speed: f64,
    at: Option<Duration>,
}

impl Source for Turning {
    fn read(&mut self, now: Duration) -> io::Result<f64> {
        let Some(motor) = self.bench.motors.get(&self.name) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let told = if self.bench.is_powered() {
            f64::from_bits(motor.told.load(Ordering::Acquire)).clamp(-motor.speed_max, motor.speed_max)
        } else {
            0.0
        };
        let passed = now.saturating_sub(self.at.replace(now).unwrap_or(now));
        let change = 1.0 - (-passed.as_secs_f64() / motor.time_constant_s).exp();
        self.speed += (told - self.speed) * change;
        Ok(self.speed)
    }
}
