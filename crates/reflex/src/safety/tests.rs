//! The safety region: what it does step by step, everything it can do, and what it must not do whatever happens.

mod decisions;
mod examples;
mod model;
mod planted;
mod sequences;

use super::config::{Actuator, Clears, Rule};
use super::*;

const MS: u64 = 1_000;

/// A machine at work: its own controller drives it, and the safety node has the power in its hand.
fn powered_only() -> Config {
    Config {
        estop_circuit: true,
        ..Config::default()
    }
}

/// A machine with one actuator, which is measured.
fn driven() -> Config {
    let mut config = powered_only();
    config.actuators[0] = Some(Actuator {
        max: 2.0,
        change_max_per_s: 10.0,
        measured: true,
    });
    config
}

fn rule(when: Condition, after_us: u64, action: Action, clears: Clears) -> Option<Rule> {
    Some(Rule {
        when,
        after_us,
        action,
        clears,
    })
}

/// Nothing is wrong, as far as contacts and others can tell.
fn well() -> Sample {
    let told = Told {
        holds: false,
        until_us: u64::MAX,
    };
    Sample {
        estop: Contact::Closed,
        tamper: Contact::Closed,
        conditions: [told; Condition::COUNT],
        ..Sample::default()
    }
}

/// A machine with what is around it: people, a disk, contacts, and a motor that does what it is told.
#[derive(Clone, Debug)]
struct Bench {
    safety: Safety,
    config: Config,
    now_us: u64,
    sample: Sample,
    disk: Kept,
    verdict: Option<Verdict>,
    /// Whether the motor is measured.
    measures: bool,
}

impl Bench {
    fn new(config: Config) -> Self {
        config.check().unwrap();
        let mut bench = Self {
            safety: Safety::new(config, None),
            config,
            now_us: 1_000_000,
            sample: well(),
            disk: Kept::default(),
            verdict: None,
            measures: true,
        };
        bench.step();
        bench
    }

    /// A machine in service.
    fn running(config: Config) -> Self {
        let mut bench = Self::new(config);
        bench.run(200);
        bench.sample.asks.resume += 1;
        bench.run(3);
        assert_eq!(bench.region(), Region::Operational, "{:?}", bench.verdict);
        bench
    }

    fn step_after(&mut self, us: u64) -> Verdict {
        self.now_us += us;
        if self.measures {
            let told = self
                .verdict
                .map_or(Drive::Off, |verdict| verdict.outputs.drives[0]);
            let value = match told {
                Drive::Off => 0.0,
                Drive::To(value) => value,
            };
            self.sample.motion[0] = Some(Measured {
                value,
                at_us: self.now_us,
            });
        }
        let verdict = self.safety.step(self.now_us, &self.sample);
        self.verdict = Some(verdict);
        verdict
    }

    fn step(&mut self) -> Verdict {
        self.step_after(MS)
    }

    fn write(&mut self) {
        if let Some(verdict) = self.verdict {
            self.disk = verdict.keep.kept;
            self.sample.kept = verdict.keep.number;
        }
    }

    /// Steps of a millisecond, with a quick disk.
    fn run(&mut self, steps: u64) -> Verdict {
        let mut verdict = None;
        for _ in 0..steps {
            verdict = Some(self.step());
            self.write();
        }
        verdict.expect("at least one step")
    }

    /// The power comes back.
    fn restart(&mut self) -> Verdict {
        self.safety = Safety::new(self.config, Some(self.disk));
        self.sample.asks = Asks::default();
        self.sample.remote = RemoteAsks::default();
        self.sample.kept = 0;
        self.sample.ending = false;
        self.verdict = None;
        self.step()
    }

    fn region(&self) -> Region {
        self.safety.region()
    }

    fn causes(&self) -> Vec<&'static str> {
        self.safety.causes.iter().map(Cause::as_str).collect()
    }

    fn press(&mut self, press: impl FnOnce(&mut Asks)) -> Verdict {
        press(&mut self.sample.asks);
        self.step()
    }

    fn reset(&mut self) -> Verdict {
        self.press(|asks| asks.reset += 1)
    }

    fn resume(&mut self) -> Verdict {
        self.press(|asks| asks.resume += 1)
    }

    /// A command that is good for 100 ms.
    fn command(&mut self, authority: Authority, sequence: u64, value: f64) {
        self.sample.commands[0] = Some(Command {
            value,
            stamp: Stamp {
                authority,
                sequence,
                deadline_us: self.now_us + 100 * MS,
            },
        });
    }
}
