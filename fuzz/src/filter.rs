//! Which machines a person means.

use std::cell::OnceCell;

use muster_model::filter::{FILTER_MAX_BYTES, FILTER_MAX_TERMS, Field};
use muster_model::{Filter, MachineEntry, MachineId, MachineView, StreamVersion, Timestamp};

thread_local! {
    static FLEET: OnceCell<Vec<MachineView>> = const { OnceCell::new() };
}

/// A machine of which nothing is known, and one of which much is.
fn fleet() -> Vec<MachineView> {
    let full = include_bytes!("../corpus/log_entry/state-full.json");
    let labels = include_bytes!("../corpus/log_entry/labelled.json");
    let bare = MachineView::new(MachineId::from_uuid(uuid::Uuid::from_u128(7)), Timestamp::EPOCH);
    let mut known = bare.clone();
    for bytes in [&full[..], &labels[..]] {
        let entry: MachineEntry = serde_json::from_slice(bytes).expect("an entry");
        known.apply(
            known.position.next(),
            StreamVersion(known.version.0 + 1),
            Timestamp::EPOCH,
            &entry,
        );
    }
    vec![bare, known]
}

/// A filter, and a field.
pub fn filter(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    if let Err(error) = text.parse::<Field>() {
        assert!(!error.to_string().is_empty());
    }
    let filter: Filter = match text.parse() {
        Ok(filter) => filter,
        Err(error) => {
            let said = error.to_string();
            assert!(!said.is_empty() && said.len() <= 8 * FILTER_MAX_BYTES, "{said}");
            return false;
        }
    };
    assert!(text.len() <= FILTER_MAX_BYTES);
    FLEET.with(|fleet_once| {
        let views = fleet_once.get_or_init(fleet);
        let passed: Vec<bool> = views.iter().map(|view| filter.matches(view)).collect();
        assert!(
            !filter.is_empty() || passed.iter().all(|passed| *passed),
            "{text:?}"
        );
        // All terms must hold, so nothing changes by saying them twice, or with other spaces around them.
        let twice = format!("{text} , {text}");
        match twice.parse::<Filter>() {
            Ok(twice) => {
                let again: Vec<bool> = views.iter().map(|view| twice.matches(view)).collect();
                assert_eq!(again, passed, "{text:?}");
            }
            Err(error) => {
                let terms = text.split([' ', ',', '\t', '\n']).count();
                assert!(
                    twice.len() > FILTER_MAX_BYTES || 2 * terms > FILTER_MAX_TERMS,
                    "{text:?} is accepted once, and twice: {error}"
                );
            }
        }
    });
    true
}
