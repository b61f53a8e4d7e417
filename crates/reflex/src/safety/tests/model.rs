//! Everything that can happen, one thing after the other in every order, until nothing new comes of it.

use std::collections::BTreeSet;

use super::planted::{Planted, Subject};
use super::*;

/// What can happen to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Nothing,
    /// For longer than anything waits.
    While,
    Pressed,
    Released,
    Unreadable,
    Reset,
    Resume,
    /// Both in one step.
    ResetAndResume,
    RemoteStop,
    /// Both in one step.
    RemoteStopAndResume,
    ConditionComes,
    ConditionGoes,
    /// The disk begins to write what it is asked for.
    DiskBegins,
    DiskEnds,
    Sleep,
    PowerCut,
    OrderlyEnd,
}

impl Event {
    const ALL: [Self; 17] = [
        Self::Nothing,
        Self::While,
        Self::Pressed,
        Self::Released,
        Self::Unreadable,
        Self::Reset,
        Self::Resume,
        Self::ResetAndResume,
        Self::RemoteStop,
        Self::RemoteStopAndResume,
        Self::ConditionComes,
        Self::ConditionGoes,
        Self::DiskBegins,
        Self::DiskEnds,
        Self::Sleep,
        Self::PowerCut,
        Self::OrderlyEnd,
    ];
}

/// A machine, its disk, and what a person beside it would say of it.
#[derive(Clone, Debug)]
struct World {
    config: Config,
    bug: Option<Planted>,
    subject: Subject,
    now_us: u64,
    sample: Sample,
    disk: Kept,
    writing: Option<Keeping>,
    wanted: Keeping,
    /// A person has to reset it before it may move, …
    needs_reset: bool,
    /// … and to resume it.
    needs_resume: bool,
    region: Region,
}

impl World {
    fn new(config: Config, bug: Option<Planted>) -> Self {
        let mut world = Self {
            config,
            bug,
            subject: Subject::new(config, None, bug),
            now_us: 1_000_000,
            sample: well(),
            disk: Kept::default(),
            writing: None,
            wanted: Keeping::default(),
            needs_reset: false,
            needs_resume: config.start == Start::Explicit,
            region: Region::Init,
        };
        world.step(MS).unwrap();
        world
    }

    fn after(&self, event: Event) -> Result<Self, String> {
        let mut world = self.clone();
        world.happen(event)?;
        Ok(world)
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        let asks = &mut self.sample.asks;
        let condition = &mut self.sample.conditions[Condition::NodeLost as usize];
        let (mut reset, mut resume, mut stop) = (false, false, false);
        match event {
            Event::Nothing | Event::While | Event::Sleep => {}
            Event::Pressed => self.sample.estop = Contact::Open,
            Event::Released => self.sample.estop = Contact::Closed,
            Event::Unreadable => self.sample.estop = Contact::Unknown,
            Event::Reset => reset = true,
            Event::Resume => resume = true,
            Event::ResetAndResume => (reset, resume) = (true, true),
            Event::RemoteStop => stop = true,
            Event::RemoteStopAndResume => (stop, resume) = (true, true),
            Event::ConditionComes => condition.holds = true,
            Event::ConditionGoes => condition.holds = false,
            Event::DiskBegins => self.writing = Some(self.wanted),
            Event::DiskEnds => {
                if let Some(written) = self.writing.take() {
                    self.disk = written.kept;
                    self.sample.kept = written.number;
                }
            }
            Event::PowerCut => return self.restart(true),
            Event::OrderlyEnd => {
                self.sample.ending = true;
                self.step(MS)?;
                self.disk = self.wanted.kept;
                return self.restart(false);
            }
        }
        asks.reset += u32::from(reset);
        asks.resume += u32::from(resume);
        self.sample.remote.stop += u32::from(stop);
        // What a person would expect, kinder to the machine where one may argue.
        let pressed = self.sample.estop != Contact::Closed;
        let latches = self.latches_by_rule();
        if pressed || latches {
            (self.needs_reset, self.needs_resume) = (true, true);
        } else if stop {
            self.needs_resume = true;
        } else {
            if resume && self.region == Region::ProtectiveStop {
                self.needs_resume = false;
            }
            if reset {
                self.needs_reset = false;
            }
        }
        let before = self.region;
        let after_us = match event {
            Event::Sleep => {
                self.needs_resume = true;
                60_000 * MS
            }
            _ => MS,
        };
        self.step(after_us)?;
        if event == Event::While {
            for _ in 0..6 {
                self.step(40 * MS)?;
            }
        }
        if event == Event::RemoteStop && moves(self.region) && !moves(before) {
            return Err("a stop from afar made it move".to_owned());
        }
        Ok(())
    }

    fn latches_by_rule(&self) -> bool {
        self.config
            .rules()
            .any(|(_, rule)| rule.clears == Clears::Reset && self.sample.conditions[rule.when as usize].holds)
    }

    fn restart(&mut self, cut: bool) -> Result<(), String> {
        // What the disk was about to write may be there, or not: both are tried, one with a DiskEnds before it.
        self.writing = None;
        let latched = !self.disk.causes.latches().is_empty();
        self.needs_reset = latched || (self.needs_reset && !cut);
        self.needs_resume = latched
            || !self.disk.causes.is_empty()
            || (cut && self.disk.in_service)
            || (!cut && self.needs_resume)
            || self.config.start == Start::Explicit;
        self.sample.asks = Asks::default();
        self.sample.remote = RemoteAsks::default();
        self.sample.kept = 0;
        self.sample.ending = false;
        let pressed = self.sample.estop != Contact::Closed;
        if pressed || self.latches_by_rule() {
            (self.needs_reset, self.needs_resume) = (true, true);
        }
        self.subject = Subject::new(self.config, Some(self.disk), self.bug);
        self.step(MS)
    }

    fn step(&mut self, us: u64) -> Result<(), String> {
        self.now_us += us;
        let verdict = self.subject.step(self.now_us, &self.sample);
        self.wanted = verdict.keep;
        self.region = verdict.region;
        let outputs = verdict.outputs.enable;
        let say = |what: &str| Err(format!("{what}: {verdict:?}"));
        if self.sample.estop != Contact::Closed && (outputs || verdict.region != Region::EstopLatched) {
            return say("the emergency stop is pressed, or cannot be read");
        }
        if moves(verdict.region) && self.needs_reset {
            return say("nobody reset it");
        }
        if moves(verdict.region) && self.needs_resume {
            return say("nobody resumed it");
        }
        if outputs && !moves(verdict.region) {
            return say("it has power and stands");
        }
        if outputs && !self.disk.in_service {
            return say("it has power, and after a power cut nobody would know");
        }
        if moves(verdict.region) != verdict.causes.is_empty() {
            return say("the region does not fit its causes");
        }
        Ok(())
    }

    /// What of it can make a difference. Of times, whether they run; of numbers, which is the greater: the models have no rule
    /// that waits, and nothing that is measured.
    fn key(&self) -> Key {
        let safety = &self.subject.safety;
        let on_disk = |number: u64| number <= self.sample.kept;
        let kept = |kept: Kept| (kept.causes.bits(), kept.in_service);
        let writing = self.writing.map(|writing| {
            let covers = |number: u64| number <= writing.number;
            (
                safety.clearing.map(covers),
                covers(safety.keep.number_of_service),
                covers(safety.keep.number),
                kept(writing.kept),
            )
        });
        let region = (
            safety.causes.bits(),
            safety.rules.since()[0].is_some(),
            safety.rules.standing(),
            safety.gate.is_enabled(),
            safety.clearing.map(on_disk),
        );
        let keep = (
            on_disk(safety.keep.number),
            on_disk(safety.keep.number_of_service),
            kept(safety.keep.kept),
        );
        let around = (
            self.sample.estop,
            self.sample.conditions[Condition::NodeLost as usize].holds,
            (self.needs_reset, self.needs_resume, self.region),
            self.subject.memory(),
        );
        (region, keep, writing, kept(self.disk), around)
    }
}

type OfKept = (u32, bool);
type Key = (
    (u32, bool, u16, bool, Option<bool>),
    (bool, bool, OfKept),
    Option<(Option<bool>, bool, bool, OfKept)>,
    OfKept,
    (Contact, bool, (bool, bool, Region), (bool, bool)),
);

fn moves(region: Region) -> bool {
    matches!(region, Region::Operational | Region::Limited)
}

/// Visits every state; says how many there are and how deep they lie, or how it came to what must not be.
fn explore(config: Config, bug: Option<Planted>) -> Result<(usize, usize), String> {
    let first = World::new(config, bug);
    let mut seen = BTreeSet::from([first.key()]);
    // How each state was reached: from which one, and by what.
    let mut ways: Vec<(usize, Event)> = vec![(0, Event::Nothing)];
    let mut edge = vec![(0, first)];
    let mut depth = 0;
    while !edge.is_empty() {
        depth += 1;
        assert!(depth < 60, "there is no end to it: {} states", seen.len());
        let mut next = Vec::new();
        for (at, world) in &edge {
            for event in Event::ALL {
                let after = world
                    .after(event)
                    .map_err(|what| format!("{what}\nafter {:?}", path(&ways, *at, event)))?;
                if seen.insert(after.key()) {
                    ways.push((*at, event));
                    next.push((ways.len() - 1, after));
                }
            }
        }
        edge = next;
    }
    Ok((seen.len(), depth - 1))
}

fn path(ways: &[(usize, Event)], mut at: usize, last: Event) -> Vec<Event> {
    let mut path = vec![last];
    while at != 0 {
        let (from, event) = ways[at];
        path.push(event);
        at = from;
    }
    path.reverse();
    path
}

fn config(start: Start, clears: Clears) -> Config {
    let mut config = Config {
        start,
        ..powered_only()
    };
    config.rules[0] = rule(Condition::NodeLost, 0, Action::Hold, clears);
    config
}

/// The figures are those of `docs/decisions/0016`: if a change makes others, it made other states.
#[test]
fn whatever_happens_in_whatever_order_it_stands_until_it_may_move() {
    let sizes = [
        (Start::Explicit, Clears::WithCondition, (32_846, 20)),
        (Start::Explicit, Clears::Reset, (73_241, 22)),
        (Start::Automatic, Clears::WithCondition, (32_840, 19)),
        (Start::Automatic, Clears::Reset, (72_781, 21)),
    ];
    for (start, clears, size) in sizes {
        assert_eq!(
            explore(config(start, clears), None),
            Ok(size),
            "{start:?}, {clears:?}"
        );
    }
}

#[test]
fn nor_does_it_move_while_an_acknowledgement_is_missing() {
    let config = config(Start::Automatic, Clears::Acknowledged);
    assert_eq!(explore(config, None), Ok((164_107, 24)));
}

#[test]
fn every_planted_bug_is_found() {
    for bug in [
        Planted::ClearedBeforeDisk,
        Planted::ClearedDespiteReturn,
        Planted::ResumeIsKept,
        Planted::ReleasedBeforeDisk,
        Planted::UnknownIsClosed,
        Planted::StopIsLost,
        Planted::ForgottenAtStart,
        Planted::LateGoesOn,
    ] {
        let mut found = [Clears::WithCondition, Clears::Reset]
            .into_iter()
            .map(|clears| explore(config(Start::Automatic, clears), Some(bug)));
        assert!(found.any(|found| found.is_err()), "{bug:?} was not found");
    }
}
