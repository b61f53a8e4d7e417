//! The views of one shard's machines, for readers. The shard replaces rows; readers take them without waiting for it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use muster_model::{MachineId, MachineView};
use parking_lot::RwLock;
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

    /// Puts newer views in the place of older ones, and gives back their rows.
    pub fn replace(&self, views: Vec<MachineView>) -> Vec<Arc<Row>> {
        let mut rows = self.rows.write();
        let mut replaced = Vec::with_capacity(views.len());
        for view in views {
            let topic = match rows.get(&view.id) {
                Some(row) => row.topic.clone(),
                None => format!("machine.{}.state", view.id).into(),
            };
            let row = Arc::new(Row {
                topic,
                json: OnceLock::new(),
                view: Arc::new(view),
            });
            rows.insert(row.view.id, row.clone());
            replaced.push(row);
        }
        replaced
    }
}
