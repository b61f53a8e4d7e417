//! The laws that every simulated machine keeps, whatever its seed.

use std::time::Duration;

use muster_metal::simulated::FaultKind;
use muster_metal::{Metal, Profile, SimulatedMachine, SimulatedOptions, Site};
use muster_model::Timestamp;
use muster_model::state::{Location, Power, Problem, Resources, Thermal};
use muster_model::vocabulary::Mode;
use proptest::prelude::*;

pub(crate) fn machine(
    profile: Profile,
    site: Site,
    seed: u64,
    faults_every_s: Option<u64>,
) -> SimulatedMachine {
    let started_at: Timestamp = "2026-11-21T07:00:00.000Z".parse().unwrap();
    let mut options = SimulatedOptions::new(profile, site, seed, format!("{profile}-{seed}"), started_at);
    options.mean_time_between_faults = faults_every_s.map(Duration::from_secs);
    SimulatedMachine::new(options)
}

/// Everything a machine says at one moment; a silent sensor says nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Said {
    resources: Resources,
    power: Option<Power>,
    thermal: Option<Thermal>,
    location: Option<Location>,
    mode: Mode,
    problems: Vec<Problem>,
}

pub(crate) fn said(machine: &mut dyn Metal) -> Said {
    Said {
        resources: machine.resources().unwrap(),
        power: machine.power().ok().flatten(),
        thermal: machine.thermal().ok().flatten(),
        location: machine.location().ok().flatten(),
        mode: machine.mode().unwrap(),
        problems: machine.conditions().unwrap(),
    }
}

/// Metres between two places, by the haversine formula.
fn metres((lat_a, lon_a): (f64, f64), (lat_b, lon_b): (f64, f64)) -> f64 {
    let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
    let chord = half(lat_a, lat_b) + lat_a.to_radians().cos() * lat_b.to_radians().cos() * half(lon_a, lon_b);
    2.0 * 6_371_000.0 * chord.sqrt().asin()
}

fn place(location: &Location) -> (f64, f64) {
    (location.latitude_degrees, location.longitude_degrees)
}

fn check_bounds(profile: Profile, site: Site, said: &Said) {
    let resources = &said.resources;
    assert!((0.0..=100.0).contains(&resources.cpu_percent), "{resources:?}");
    assert!((0.0..=100.0).contains(&resources.memory_percent), "{resources:?}");
    assert!(
        resources.load_1m.is_finite() && resources.load_1m >= 0.0,
        "{resources:?}"
    );
    for disk in &resources.disks {
        assert!(
            (0.0..=100.0).contains(&disk.used_percent) && disk.used_bytes <= disk.size_bytes,
            "{disk:?}"
        );
    }
    if let Some(thermal) = &said.thermal {
        assert!(
            thermal
                .zones
                .iter()
                .all(|zone| (-30.0..=140.0).contains(&zone.celsius)),
            "{thermal:?}"
        );
    }
    if let Some(power) = &said.power {
        assert!(
            power
                .battery_percent
                .is_some_and(|percent| (0.0..=100.0).contains(&percent)),
            "{power:?}"
        );
        let volts = if profile == Profile::Car {
            200.0..=420.0
        } else {
            5.0..=13.0
        };
        assert!(
            power.volts.is_some_and(|reading| volts.contains(&reading)),
            "{power:?}"
        );
        assert!(
            power.amperes.is_some_and(|amperes| amperes.abs() < 400.0),
            "{power:?}"
        );
    }
    if let Some(location) = &said.location {
        let top = if profile == Profile::Car { 13.9 } else { 0.5 };
        assert!((0.0..=top).contains(&location.speed_m_per_s), "{location:?}");
        assert!((0.0..360.0).contains(&location.heading_degrees), "{location:?}");
        assert!(
            metres(site.centre_degrees(), place(location)) < 10_000.0,
            "{location:?}"
        );
    }
}

/// From one second to the next.
fn check_step(profile: Profile, before: &Said, after: &Said) {
    if let (Some(a), Some(b)) = (&before.location, &after.location) {
        let moved = metres(place(a), place(b));
        // Rounded to a centimetre; within a second a car gains at most 1.5 m/s, the robot 0.3.
        let gain = if profile == Profile::Car { 1.5 } else { 0.45 };
        let fastest = a.speed_m_per_s.max(b.speed_m_per_s) + gain;
        assert!(
            moved <= fastest + 0.05,
            "moved {moved} m at {fastest} m/s: {a:?} {b:?}"
        );
    }
    if let (Some(a), Some(b)) = (&before.thermal, &after.thermal) {
        for (a, b) in a.zones.iter().zip(&b.zones) {
            assert!((a.celsius - b.celsius).abs() < 2.5, "{a:?} {b:?}");
        }
    }
    if let (Some(a), Some(b)) = (&before.power, &after.power) {
        let grew = b.battery_percent.unwrap() - a.battery_percent.unwrap();
        // Braking may give back a hundredth; only a charger gives more.
        let most = if a.charging || b.charging { 0.3 } else { 0.11 };
        assert!((-0.3..=most).contains(&grew), "{a:?} {b:?}");
    }
}

fn profile() -> impl Strategy<Value = Profile> {
    prop::sample::select(Profile::ALL)
}

fn site() -> impl Strategy<Value = Site> {
    prop::sample::select(Site::ALL)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn nothing_impossible_happens(profile in profile(), site in site(), seed: u64) {
        let mut machine = machine(profile, site, seed, Some(120));
        let mut before = said(&mut machine);
        for _ in 0..3_600 {
            machine.advance(Duration::from_secs(1));
            let after = said(&mut machine);
            check_bounds(profile, site, &after);
            check_step(profile, &before, &after);
            before = after;
        }
    }

    #[test]
    fn one_seed_is_one_life_however_time_is_sliced(
        profile in profile(), site in site(), seed: u64, slices in prop::collection::vec(0_u64..20_000, 1..60),
    ) {
        let mut whole = machine(profile, site, seed, Some(60));
        let mut sliced = machine(profile, site, seed, Some(60));
        whole.advance(Duration::from_millis(slices.iter().sum()));
        for slice in slices {
            sliced.advance(Duration::from_millis(slice));
            let _ = said(&mut sliced);
        }
        prop_assert_eq!(whole.snapshot(), sliced.snapshot());
        prop_assert_eq!(said(&mut whole), said(&mut sliced));
    }

    #[test]
    fn every_fault_shows_while_it_stands_and_only_then(profile in profile(), seed: u64, which: prop::sample::Index) {
        let mut machine = machine(profile, Site::Berlin, seed, None);
        machine.advance(Duration::from_secs(300));
        let kind = *which.get(FaultKind::of(profile));
        prop_assert!(machine.provoke(kind));
        let mut seconds = 0;
        while machine.fault().is_some() {
            prop_assert!(!said(&mut machine).problems.is_empty(), "{kind:?} does not show");
            machine.advance(Duration::from_secs(1));
            seconds += 1;
            prop_assert!(seconds <= 600, "{kind:?} does not end");
        }
        // What it heated cools down, what it filled is cleaned.
        machine.advance(Duration::from_secs(3_600));
        let left: Vec<_> = said(&mut machine).problems.into_iter().filter(|p| p.kind != "power.low").collect();
        prop_assert_eq!(left, vec![]);
    }
}

#[test]
fn energy_is_neither_made_nor_lost() {
    for profile in [Profile::Car, Profile::Lekiwi] {
        let watt_hours = if profile == Profile::Car { 40_000.0 } else { 60.0 };
        let mut machine = machine(profile, Site::Munich, 5, None);
        let machine: &mut dyn Metal = &mut machine;
        let percent = |machine: &mut dyn Metal| machine.power().unwrap().unwrap().battery_percent.unwrap();
        machine.advance_to(Duration::ZERO);
        let begun = percent(machine);
        let mut drawn_watt_hours = 0.0;
        for quarter in 1..=4 * 7_200 {
            machine.advance_to(Duration::from_millis(quarter * 250));
            let power = machine.power().unwrap().unwrap();
            drawn_watt_hours += power.volts.unwrap() * power.amperes.unwrap() * 0.25 / 3600.0;
        }
        let lost_watt_hours = (begun - percent(machine)) / 100.0 * watt_hours;
        // The pack's own resistance takes a little on the way out.
        let off = (lost_watt_hours - drawn_watt_hours).abs();
        assert!(
            off < 0.01 * watt_hours,
            "{profile}: {drawn_watt_hours} Wh drawn, {lost_watt_hours} Wh gone"
        );
    }
}

#[test]
fn machines_live_full_days() {
    let day = |profile, seed| {
        let mut machine = machine(profile, Site::Oslo, seed, None);
        let mut modes: Vec<Mode> = Vec::new();
        for _ in 0..24 * 360 {
            machine.advance(Duration::from_secs(10));
            let now = said(&mut machine);
            check_bounds(profile, Site::Oslo, &now);
            if !modes.contains(&now.mode) {
                modes.push(now.mode);
            }
        }
        modes.sort();
        modes
    };
    for seed in 0..3 {
        assert_eq!(
            day(Profile::Car, seed),
            [Mode::Driving, Mode::Parked, Mode::Charging]
        );
        assert_eq!(
            day(Profile::Lekiwi, seed),
            [Mode::Idle, Mode::Working, Mode::Driving, Mode::Charging]
        );
        assert_eq!(day(Profile::Pi, seed), [Mode::Idle, Mode::Working]);
    }
}

#[test]
fn a_dragging_brake_overheats_the_motor_until_the_car_stops_to_cool() {
    let overheated = (0..20).any(|seed| {
        let mut machine = machine(Profile::Car, Site::Berlin, seed, None);
        machine.advance(Duration::from_secs(600));
        machine.provoke(FaultKind::MotorOverheating);
        (0..480).any(|_| {
            machine.advance(Duration::from_secs(1));
            said(&mut machine)
                .problems
                .iter()
                .any(|problem| problem.kind == "thermal.high")
        })
    });
    assert!(overheated);
}

#[test]
fn a_stalled_robot_stands_still() {
    let mut machine = machine(Profile::Lekiwi, Site::Munich, 4, None);
    machine.advance(Duration::from_secs(60));
    machine.provoke(FaultKind::MotorStall);
    machine.advance(Duration::from_secs(1));
    let first = said(&mut machine);
    machine.advance(Duration::from_secs(30));
    let later = said(&mut machine);
    assert_eq!(first.location, later.location);
    assert_eq!(
        muster_metal::health_level(&later.problems),
        muster_model::vocabulary::Health::Failed
    );
}

#[test]
fn a_pi_without_a_fan_grows_hot_and_slows_down() {
    let mut machine = machine(Profile::Pi, Site::Berlin, 1, None);
    machine.provoke(FaultKind::FanFailure);
    let hottest = (0..180)
        .map(|_| {
            machine.advance(Duration::from_secs(1));
            said(&mut machine).thermal.unwrap().highest_celsius
        })
        .fold(0.0, f64::max);
    assert!((75.0..85.0).contains(&hottest), "{hottest} °C");
}

#[test]
fn a_silent_sensor_is_an_error_and_no_value() {
    let mut car = machine(Profile::Car, Site::Oslo, 1, None);
    assert!(!car.provoke(FaultKind::FanFailure), "this car has no such fan");
    assert!(car.provoke(FaultKind::LocationSensorSilent));
    let car: &mut dyn Metal = &mut car;
    assert_eq!(car.location().unwrap_err().code(), "MST-H004");
    assert!(car.power().unwrap().is_some());
}

#[test]
fn faults_come_about_as_often_as_asked() {
    let mut begun = 0;
    for seed in 0..30 {
        let mut machine = machine(Profile::Pi, Site::Munich, seed, Some(1_200));
        let mut before = None;
        for _ in 0..4 * 3_600 {
            machine.advance(Duration::from_secs(1));
            begun += u32::from(before.is_none() && machine.fault().is_some());
            before = machine.fault();
        }
    }
    // 30 machines, 4 hours, one in about 20 minutes plus the time that one stands.
    assert!((220..=380).contains(&begun), "{begun} faults");
}

#[test]
fn seeds_make_different_machines_with_plausible_facts() {
    let mut serials = std::collections::BTreeSet::new();
    let mut ids = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let profile = Profile::ALL[usize::try_from(seed % 3).unwrap()];
        let mut machine = machine(profile, Site::Berlin, seed, None);
        let machine: &mut dyn Metal = &mut machine;
        let facts = machine.facts().unwrap();
        serials.insert(facts.hardware.serial.unwrap());
        ids.insert(facts.machine_id_hint.unwrap());
        let network = machine.network().unwrap();
        let interface = &network.interfaces[0];
        assert!(
            interface.mac.as_ref().unwrap().starts_with("02:"),
            "locally administered"
        );
        for address in &interface.addresses {
            match address.parse().unwrap() {
                std::net::IpAddr::V4(v4) => assert!(v4.is_private()),
                std::net::IpAddr::V6(v6) => assert_eq!(v6.segments()[..2], [0x2001, 0xdb8]),
            }
        }
        assert!(facts.platform.booted_at < machine_start());
    }
    assert_eq!((serials.len(), ids.len()), (300, 300));
}

fn machine_start() -> Timestamp {
    "2026-11-21T07:00:00.000Z".parse().unwrap()
}
