//! The views of one shard's machines, for readers. The shard replaces rows; readers take them without waiting for it.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
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
    /// The machines in order, so that a slow reader can go through them and hold on to nothing but one id.
    order: RwLock<BTreeSet<MachineId>>,
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

    /// The rows behind this machine in the order of ids, or the first ones: at most so many.
    pub fn rows_after(&self, machine: Option<MachineId>, count: usize) -> Vec<Arc<Row>> {
        let from = machine.map_or(Bound::Unbounded, Bound::Excluded);
        let order = self.order.read();
        let ids: Vec<MachineId> = order
            .range((from, Bound::Unbounded))
            .take(count)
            .copied()
            .collect();
        drop(order);
        let rows = self.rows.read();
        ids.iter().filter_map(|id| rows.get(id).cloned()).collect()
    }

    /// Puts views into their rows, newer ones in the place of older ones.
    pub fn write(&self) -> TableWriter<'_> {
        TableWriter {
            rows: self.rows.write(),
            order: &self.order,
        }
    }
}

/// The table while its shard writes to it. Readers wait: it is held for few rows at a time.
pub struct TableWriter<'a> {
    rows: RwLockWriteGuard<'a, HashMap<MachineId, Arc<Row>>>,
    order: &'a RwLock<BTreeSet<MachineId>>,
}

impl TableWriter<'_> {
    /// Puts a newer view into its row.
    pub fn put(&mut self, view: &MachineView) -> &Arc<Row> {
        match self.rows.entry(view.id) {
            Entry::Vacant(entry) => {
                self.order.write().insert(view.id);
                entry.insert(Arc::new(Row {
                    topic: format!("machine.{}.state", view.id).into(),
                    json: OnceLock::new(),
                    view: Arc::new(view.clone()),
                }))
            }
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
