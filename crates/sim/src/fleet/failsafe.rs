//! How simulated machines keep themselves safe. All come to rest without a link; those of one city show what else a failsafe table
//! can ask for.

use std::time::Duration;

use muster_machine::options::SafetyOptions;
use muster_metal::simulated::{Profile, Site};
use muster_reflex::fence::Fence;
use muster_reflex::safety::Condition;
use muster_reflex::safety::config::{Action, Clears, Rule, Start};

/// Without a link for so long, what moves comes to rest until there is one again, unless something else is said.
pub const LINK_LOST_AFTER: Duration = Duration::from_secs(120);
/// The city whose machines are read for more than that: it costs a little, and there may be thousands of them.
const WATCHED: Site = Site::Munich;
/// They stay within this of the streets.
const BEYOND_STREETS_M: f64 = 300.0;
/// A car surely brakes like this, in m/s².
const BRAKES_M_PER_S2: f64 = 2.0;
/// A machine that starts, or whose receiver is silent for a moment, is not outside yet.
const OUTSIDE_AFTER: Duration = Duration::from_secs(8);
/// Of a robot's computer and motors: what they reach by themselves is less.
const TOO_HOT_CELSIUS: f64 = 90.0;
const TOO_HOT_AFTER: Duration = Duration::from_secs(5);
/// A robot goes to its dock before.
const BATTERY_LOW_PERCENT: f64 = 10.0;
const BATTERY_LOW_AFTER: Duration = Duration::from_secs(30);

/// Nobody is beside a simulated machine to say go, and many share a processor.
pub(super) fn safety(profile: Profile, site: Site, link_lost_after: Duration) -> SafetyOptions {
    let all = SafetyOptions {
        start: Start::Automatic,
        after_power_cut: Start::Automatic,
        rules: vec![row(Condition::LinkLost, link_lost_after, Action::ControlledStop)],
        late_after: Duration::from_secs(60),
        ..SafetyOptions::default()
    };
    if site != WATCHED || profile == Profile::Pi {
        return all;
    }
    let fenced = SafetyOptions {
        fence: Some(fence(site)),
        rules: with(
            all.rules.clone(),
            row(Condition::OutsideFence, OUTSIDE_AFTER, Action::ControlledStop),
        ),
        ..all
    };
    if profile == Profile::Car {
        return fenced;
    }
    let hot = row(Condition::TooHot, TOO_HOT_AFTER, Action::ControlledStop);
    let low = row(Condition::BatteryLow, BATTERY_LOW_AFTER, Action::Warn);
    SafetyOptions {
        too_hot_celsius: Some(TOO_HOT_CELSIUS),
        battery_low_percent: Some(BATTERY_LOW_PERCENT),
        rules: with(with(fenced.rules.clone(), hot), low),
        ..fenced
    }
}

/// Every one ends with its condition: in a simulated fleet nobody walks from machine to machine.
fn row(when: Condition, after: Duration, action: Action) -> Rule {
    Rule {
        when,
        after_us: u64::try_from(after.as_micros()).unwrap_or(u64::MAX),
        action,
        clears: Clears::WithCondition,
    }
}

fn with(mut rules: Vec<Rule>, rule: Rule) -> Vec<Rule> {
    rules.push(rule);
    rules
}

/// The city, and a little around it.
fn fence(site: Site) -> Fence {
    let corners = site.outline_degrees(BEYOND_STREETS_M);
    Fence {
        areas: vec![corners.iter().map(|&(north, east)| [north, east]).collect()],
        keep_out: Vec::new(),
        decelerates_m_per_s2: BRAKES_M_PER_S2,
        reaction_ms: 500,
        margin_m: 10.0,
        fresh_ms: 10_000,
    }
}

#[cfg(test)]
mod tests {
    use muster_reflex::fence::{Fix, Place};

    use super::*;

    #[test]
    fn every_table_can_be_meant_and_says_when_what_it_asks_for_holds() {
        for profile in Profile::ALL {
            for site in Site::ALL {
                let safety = safety(*profile, *site, LINK_LOST_AFTER);
                let asks = |condition| safety.rules.iter().any(|rule| rule.when == condition);
                assert!(asks(Condition::LinkLost));
                assert_eq!(asks(Condition::OutsideFence), safety.fence.is_some());
                assert_eq!(asks(Condition::TooHot), safety.too_hot_celsius.is_some());
                assert_eq!(asks(Condition::BatteryLow), safety.battery_low_percent.is_some());
                let wrong = safety.fence.map(|fence| fence.check()).unwrap_or_default();
                assert!(wrong.is_empty(), "{wrong:?}");
            }
        }
    }

    #[test]
    fn a_fence_is_around_its_city_and_no_other() {
        let fence = fence(Site::Munich);
        let place = |site: Site| {
            let (north, east) = site.centre_degrees();
            fence.judge(&Fix {
                at: [north, east],
                heading_degrees: Some(0.0),
                speed_m_per_s: 14.0,
                age_ms: 0,
            })
        };
        assert_eq!(place(Site::Munich), Place::Inside);
        assert_eq!(place(Site::Berlin), Place::Outside);
    }
}
