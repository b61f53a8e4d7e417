//! The views of one shard's machines, for readers. The shard replaces rows; readers take them without waiting for it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, OnceLock};

use muster_model::{MachineId, MachineView};
use parking_lot::{RwLock, RwLockWriteGuard};
use serde_json::value::RawValue;

use crate::api::convert;

/// One machine as readers see it.
#[derive(Debug)]
pub struct Row {
    /// The view.
    pub view: Arc<MachineView>,
    /// `machine.<id>.state`, made once for the life of the machine.
    pub topic: Arc<str>,
    /// The row as JSON, made when the first subscriber wants it.
    json: OnceLock<Arc<RawValue>>,
}

impl Row {
    /// The row as JSON: written once, however many are told.
    pub fn json(&self) -> &Arc<RawValue> {
        self.json.get_or_init(|| {
            let summary = convert::summary(&self.view);
            // A summary is words and finite numbers: it can always be written.
            let raw = serde_json::value::to_raw_value(&summary).unwrap_or_else(|_| RawValue::NULL.to_owned());
            raw.into()
        })
    }
}

/// The views of one shard's machines.
#[derive(Debug, Default)]
pub struct Table {
    rows: RwLock<HashMap<MachineId, Arc<Row>>>,
}

impl Table {
    /// One machine.
    pub fn get(&self, machine: MachineId) -> Option<Arc<Row>> {
        self.rows.read().get(&machine).cloned()
    }

    /// All machines, added to what is there.
    pub fn collect(&self, views: &mut Vec<Arc<MachineView>>) {
        let rows = self.rows.read();
        views.reserve(rows.len());
        views.extend(rows.values().map(|row| row.view.clone()));
    }

    /// All rows.
    pub fn rows(&self) -> Vec<Arc<Row>> {
        self.rows.read().values().cloned().collect()
    }

    /// Puts views into their rows, newer ones in the place of older ones.
    pub fn write(&self) -> TableWriter<'_> {
        TableWriter(self.rows.write())
    }
}

/// The table while its shard writes to it. Readers wait: it is held for few rows at a time.
pub struct TableWriter<'a>(RwLockWriteGuard<'a, HashMap<MachineId, Arc<Row>>>);

impl TableWriter<'_> {
    /// Puts a newer view into its row.
    pub fn put(&mut self, view: &MachineView) -> &Arc<Row> {
        match self.0.entry(view.id) {
            Entry::Vacant(entry) => entry.insert(Arc::new(Row {
                topic: format!("machine.{}.state", view.id).into(),
                json: OnceLock::new(),
                view: Arc::new(view.clone()),
            })),
            Entry::Occupied(entry) => {
                let row = entry.into_mut();
                // Where no reader holds the older view, the newer one takes its place without being copied.
                if let Some(Row {
                    view: shown, json, ..
                }) = Arc::get_mut(row)
                    && let Some(shown) = Arc::get_mut(shown)
                {
                    shown.catch_up(view);
                    json.take();
                } else {
                    *row = Arc::new(Row {
                        topic: row.topic.clone(),
                        json: OnceLock::new(),
                        view: Arc::new(view.clone()),
                    });
                }
                row
            }
        }
    }
}
