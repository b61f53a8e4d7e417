//! One thing at a time.

use super::*;

#[test]
fn a_machine_that_is_started_stands_until_somebody_says_go() {
    let mut bench = Bench::new(driven());
    bench.run(200);
    assert_eq!(bench.region(), Region::ProtectiveStop);
    assert_eq!(bench.causes(), ["started"]);
    assert_eq!(bench.resume().region, Region::Operational);
    assert!(!bench.step().outputs.enable, "in service is not on disk yet");
    bench.write();
    assert!(bench.step().outputs.enable);
}

#[test]
fn a_machine_that_may_starts_by_itself() {
    let config = Config {
        start: Start::Automatic,
        ..powered_only()
    };
    let mut bench = Bench::new(config);
    assert!(bench.run(3).outputs.enable);
}

#[test]
fn an_emergency_stop_acts_in_the_same_step_and_stays() {
    let mut bench = Bench::running(powered_only());
    bench.sample.estop = Contact::Open;
    let verdict = bench.step();
    assert_eq!(verdict.region, Region::EstopLatched);
    assert_eq!(verdict.outputs, Outputs::default());
    bench.sample.estop = Contact::Closed;
    assert_eq!(
        bench.run(10).region,
        Region::EstopLatched,
        "letting the button go is no reset"
    );
    assert_eq!(bench.resume().region, Region::EstopLatched, "nor is a resume");
    assert_eq!(
        bench.reset().region,
        Region::EstopLatched,
        "the disk holds the latch yet"
    );
    bench.write();
    assert_eq!(bench.step().region, Region::ProtectiveStop);
    assert_eq!(bench.causes(), ["not_resumed"]);
    assert_eq!(
        bench.run(10).region,
        Region::ProtectiveStop,
        "resetting only permits"
    );
    bench.resume();
    assert!(bench.run(2).outputs.enable);
}

#[test]
fn a_wire_that_is_broken_or_not_read_is_an_emergency_stop() {
    let mut bench = Bench::running(powered_only());
    bench.sample.estop = Contact::Unknown;
    assert_eq!(bench.step().region, Region::EstopLatched);
}

#[test]
fn it_cannot_be_reset_while_the_button_is_pressed() {
    let mut bench = Bench::running(powered_only());
    bench.sample.estop = Contact::Open;
    bench.run(5);
    bench.reset();
    assert_eq!(bench.run(5).region, Region::EstopLatched);
    bench.sample.estop = Contact::Closed;
    assert_eq!(
        bench.run(5).region,
        Region::EstopLatched,
        "that press is not kept for later"
    );
}

#[test]
fn a_button_pressed_for_a_moment_while_it_is_reset_counts() {
    let mut bench = Bench::running(powered_only());
    bench.press(|asks| asks.estop += 1);
    bench.write();
    bench.reset();
    bench.sample.estop = Contact::Open;
    bench.step();
    bench.sample.estop = Contact::Closed;
    assert_eq!(bench.run(10).region, Region::EstopLatched);
}

#[test]
fn latches_outlive_the_power() {
    let mut bench = Bench::running(powered_only());
    bench.press(|asks| asks.estop += 1);
    bench.write();
    assert_eq!(bench.restart().region, Region::EstopLatched);
    assert_eq!(bench.causes(), ["estop_asked", "started", "ended_unknown"]);
    bench.reset();
    // The power goes before the disk holds it.
    assert_eq!(bench.restart().region, Region::EstopLatched);
}

#[test]
fn whose_end_is_unknown_stands_whatever_the_start_is_like() {
    let config = Config {
        start: Start::Automatic,
        ..powered_only()
    };
    let mut bench = Bench::new(config);
    bench.run(3);
    // Pressed, and the power went at once.
    bench.press(|asks| asks.estop += 1);
    assert_eq!(bench.restart().region, Region::ProtectiveStop);
    assert_eq!(bench.causes(), ["ended_unknown"]);
    bench.resume();
    assert!(bench.run(2).outputs.enable);
    bench.sample.ending = true;
    bench.run(3);
    assert!(!bench.disk.in_service, "this time it ends in order");
    assert_eq!(bench.restart().region, Region::Operational);
}

#[test]
fn a_stop_from_afar_is_resumed_at_the_machine_only() {
    let mut bench = Bench::running(powered_only());
    bench.sample.remote.stop += 1;
    let verdict = bench.step();
    assert_eq!(
        (verdict.region, verdict.outputs.enable),
        (Region::ProtectiveStop, false)
    );
    assert_eq!(bench.causes(), ["asked"]);
    bench.write();
    bench.restart();
    assert!(bench.causes().contains(&"asked"), "also after a restart");
    bench.resume();
    assert!(bench.run(2).outputs.enable);
}

#[test]
fn a_stop_wins_over_a_resume_of_the_same_moment() {
    let mut bench = Bench::running(powered_only());
    bench.sample.remote.stop += 1;
    bench.step();
    bench.sample.remote.stop += 1;
    assert_eq!(bench.resume().region, Region::ProtectiveStop);
}

#[test]
fn who_sleeps_wakes_up_standing() {
    let mut bench = Bench::running(powered_only());
    let verdict = bench.step_after(3_600_000 * MS);
    assert_eq!(verdict.outputs, Outputs::default());
    assert_eq!(bench.causes(), ["late"]);
}

#[test]
fn who_pressed_resume_before_a_late_step_did_not_know_of_it() {
    let mut bench = Bench::running(driven());
    bench.sample.asks.resume += 1;
    bench.step_after(500 * MS);
    assert_eq!(bench.causes(), ["late"], "that press is not heard");
    bench.run(200);
    assert_eq!(bench.causes(), ["late"], "nor kept for later");
    bench.resume();
    assert_eq!(bench.region(), Region::Operational);
}

#[test]
fn a_lost_link_does_what_the_table_says_and_when() {
    let mut config = powered_only();
    config.rules[0] = rule(Condition::LinkLost, 20 * MS, Action::Limit, Clears::WithCondition);
    config.rules[1] = rule(
        Condition::LinkLost,
        40 * MS,
        Action::ControlledStop,
        Clears::WithCondition,
    );
    config.rules[2] = rule(Condition::TooHot, 0, Action::PowerOff, Clears::Reset);
    let mut bench = Bench::running(config);
    let lost = |bench: &mut Bench, holds| bench.sample.conditions[Condition::LinkLost as usize].holds = holds;
    lost(&mut bench, true);
    assert_eq!(bench.run(20).region, Region::Operational);
    assert_eq!(bench.run(1).region, Region::Limited);
    assert_eq!(bench.run(19).region, Region::Limited);
    let verdict = bench.run(1);
    assert_eq!(
        (verdict.region, verdict.action),
        (Region::ProtectiveStop, Action::ControlledStop)
    );
    lost(&mut bench, false);
    assert!(bench.run(1).outputs.enable, "it clears with its condition");
    bench.sample.conditions[Condition::TooHot as usize].until_us = bench.now_us;
    assert_eq!(
        bench.run(1).region,
        Region::FaultLatched,
        "what nobody says any more is not well"
    );
    bench.reset();
    assert_eq!(bench.run(2).region, Region::FaultLatched, "it is still there");
    bench.sample.conditions[Condition::TooHot as usize].until_us = u64::MAX;
    bench.step();
    bench.reset();
    bench.run(2);
    bench.resume();
    assert!(bench.run(2).outputs.enable);
}

#[test]
fn what_waits_for_an_acknowledgement_does_not_end_by_itself() {
    let mut config = powered_only();
    config.rules[0] = rule(Condition::OutsideFence, 0, Action::Hold, Clears::Acknowledged);
    let mut bench = Bench::running(config);
    let outside = &mut bench.sample.conditions[Condition::OutsideFence as usize];
    outside.holds = true;
    bench.run(1);
    bench.resume();
    assert_eq!(bench.run(1).region, Region::ProtectiveStop, "it is outside yet");
    bench.sample.conditions[Condition::OutsideFence as usize].holds = false;
    assert_eq!(
        bench.run(5).region,
        Region::ProtectiveStop,
        "that resume is not kept for later"
    );
    bench.resume();
    assert!(bench.run(2).outputs.enable);
}

#[test]
fn commands_pass_by_their_stamp_only() {
    let mut bench = Bench::running(driven());
    bench.sample.claims.mission_until_us = u64::MAX;
    let tried = |authority, sequence, value, ahead_us: u64| {
        let mut bench = bench.clone();
        bench.command(Authority::Mission, 5, 0.5);
        bench.step();
        bench.command(authority, sequence, value);
        if let Some(command) = &mut bench.sample.commands[0] {
            command.stamp.deadline_us = bench.now_us + MS + ahead_us;
        }
        bench.step().decided[0]
    };
    assert_eq!(tried(Authority::Mission, 6, 1.0, 1), Some(Ok(())));
    assert_eq!(tried(Authority::Mission, 5, 1.0, 1), Some(Err(Refused::Replayed)));
    assert_eq!(tried(Authority::Mission, 6, 1.0, 0), Some(Err(Refused::Expired)));
    assert_eq!(
        tried(Authority::Mission, 6, 1.0, 500 * MS + 1),
        Some(Err(Refused::TooFarAhead))
    );
    assert_eq!(
        tried(Authority::Mission, 6, f64::NAN, 1),
        Some(Err(Refused::NotANumber))
    );
    assert_eq!(
        tried(Authority::Teleop, 6, 1.0, 1),
        Some(Err(Refused::NotTheHolder))
    );
    assert_eq!(
        tried(Authority::None, 6, 1.0, 1),
        Some(Err(Refused::NotTheHolder))
    );
}

#[test]
fn who_stands_higher_takes_over_and_the_old_command_is_over() {
    let mut bench = Bench::running(driven());
    bench.sample.claims.mission_until_us = u64::MAX;
    bench.command(Authority::Mission, 1, 1.0);
    bench.run(10);
    assert_ne!(bench.step().outputs.drives[0], Drive::Off);
    bench.sample.claims.local_until_us = bench.now_us + 300 * MS;
    let verdict = bench.run(150);
    assert_eq!(verdict.holder, Authority::LocalManual);
    assert_eq!(
        verdict.outputs.drives[0],
        Drive::Off,
        "nobody at the machine asked for it"
    );
    assert_eq!(verdict.decided[0], Some(Err(Refused::NotTheHolder)));
}

#[test]
fn a_command_holds_until_its_deadline_within_limits_and_no_faster_than_may_be() {
    let mut bench = Bench::running(driven());
    bench.sample.claims.mission_until_us = u64::MAX;
    bench.command(Authority::Mission, 1, 99.0);
    // 10 a second: after 50 ms it is at 0.5.
    let verdict = bench.run(50);
    let Drive::To(value) = verdict.outputs.drives[0] else {
        panic!("{verdict:?}")
    };
    assert!((value - 0.5).abs() < 1e-9, "{value}");
    for sequence in 2..6 {
        bench.command(Authority::Mission, sequence, 99.0);
        bench.run(90);
    }
    assert_eq!(
        bench.step().outputs.drives[0],
        Drive::To(2.0),
        "no more than the limit"
    );
    assert_eq!(
        bench.run(400).outputs.drives[0],
        Drive::Off,
        "nobody said anything for a while"
    );
}

#[test]
fn a_stop_comes_to_rest_and_then_takes_the_power() {
    let mut bench = Bench::running(driven());
    bench.sample.claims.mission_until_us = u64::MAX;
    bench.command(Authority::Mission, 1, 1.0);
    bench.run(99);
    bench.sample.remote.stop += 1;
    let verdict = bench.step();
    assert!(
        verdict.outputs.enable && verdict.still == Some(false),
        "{verdict:?}"
    );
    let mut steps = 0;
    while bench.run(1).outputs.enable {
        steps += 1;
        assert!(steps < 300, "{:?}", bench.verdict);
    }
    assert!(steps > 90, "it braked: {steps} ms");
    assert_eq!(bench.verdict.unwrap().still, Some(true), "measured, not hoped");
}

#[test]
fn who_does_not_come_to_rest_loses_its_power_and_is_latched() {
    let mut bench = Bench::running(driven());
    bench.measures = false;
    let moving = |bench: &mut Bench| {
        bench.sample.motion[0] = Some(Measured {
            value: 1.0,
            at_us: bench.now_us,
        });
        bench.run(1)
    };
    moving(&mut bench);
    bench.sample.remote.stop += 1;
    let mut steps = 0;
    while moving(&mut bench).outputs.enable {
        steps += 1;
    }
    assert!(
        (990..=1_010).contains(&steps),
        "the time for a stop is over: {steps}"
    );
    for _ in 0..1_100 {
        moving(&mut bench);
    }
    assert_eq!(bench.causes(), ["moved_unpowered", "asked"]);
}

#[test]
fn what_runs_away_loses_its_power() {
    let mut bench = Bench::running(driven());
    bench.measures = false;
    for _ in 0..60 {
        bench.sample.motion[0] = Some(Measured {
            value: -2.5,
            at_us: bench.now_us,
        });
        bench.step();
    }
    assert_eq!(bench.causes(), ["runaway"]);
    assert_eq!(bench.step().outputs, Outputs::default());
}

#[test]
fn what_is_not_measured_does_not_move() {
    let mut bench = Bench::running(driven());
    bench.measures = false;
    let verdict = bench.run(101);
    assert_eq!(verdict.outputs, Outputs::default());
    assert_eq!(verdict.still, None, "nobody knows");
    assert_eq!(bench.causes(), ["unmeasured"]);
}

#[test]
fn latches_of_another_version_stay_latched() {
    let unknown = Causes::from_bits(1 << 31);
    assert!(unknown.contains(Cause::OutputFailed));
    for cause in Cause::ALL {
        let one = Causes::default().with(*cause);
        assert_eq!(Causes::from_bits(one.bits()), one);
    }
}
