//! What the fleet's log and its checkpoints keep of machines, read back from a disk that may be damaged.

use muster_model::{
    LogPosition, MachineEntry, MachineEvent, MachineId, MachineView, StreamVersion, Timestamp,
};

use super::json::comes_back;

/// An entry of the log: the same when it is written again, and whatever it says, it can be folded and shown.
pub fn log_entry(data: &[u8]) -> bool {
    if !comes_back::<MachineEntry>(data) {
        return false;
    }
    let entry: MachineEntry = serde_json::from_slice(data).expect("read a moment ago");
    let id = MachineId::from_uuid(uuid::Uuid::from_u128(7));
    let at = Timestamp::from_millis(1_800_000_000_000);
    let mut view = MachineView::new(id, at);
    view.apply(LogPosition(9), StreamVersion(3), at, &entry);
    // Twice is no different from once, but for nothing: entries say how things are, not by how much they change.
    let once = view.clone();
    view.apply(LogPosition(9), StreamVersion(3), at, &entry);
    assert_eq!(view, once);
    assert_eq!((view.position, view.version), (LogPosition(9), StreamVersion(3)));
    assert!(
        !view.name().is_empty() || view.reported.identity.is_some() || view.profile.display_name.is_some()
    );
    assert!(view.highest_record >= entry.record().unwrap_or_default());
    keeps(&view);
    if let Some(event) = entry.as_event(at) {
        assert!(comes_back::<MachineEvent>(
            &serde_json::to_vec(&event).expect("an event can be written")
        ));
    }
    true
}

/// What a checkpoint keeps of one machine.
pub fn snapshot(data: &[u8]) -> bool {
    let id = MachineId::from_uuid(uuid::Uuid::from_u128(7));
    match MachineView::from_snapshot(id, data) {
        Ok(view) => {
            keeps(&view);
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// A view is the same after a restart, but for what was only heard; and it can be shown.
fn keeps(view: &MachineView) {
    let kept = view.to_snapshot().expect("a view can be written");
    let again = MachineView::from_snapshot(view.id, &kept).expect("what was written can be read");
    assert_eq!(&again, view);
    let _ = (view.status(), view.kind(), view.region(), view.agent_version());
    let figures = [
        view.cpu_percent(),
        view.memory_percent(),
        view.disk_percent(),
        view.temperature_celsius(),
        view.battery_percent(),
    ];
    assert!(
        figures.into_iter().flatten().all(f64::is_finite),
        "JSON cannot hold {figures:?}"
    );
}
