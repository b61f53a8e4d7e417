//! What the machines lived through, on disk: one file, replaced as a whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use muster_metal::simulated::{SharedMachine, SimulatedSnapshot};
use muster_model::MachineId;

use super::FleetError;

/// The name of the file in the fleet's data directory.
const FILE: &str = "physics.json";

/// Lives, by machine.
pub(super) struct Kept {
    path: PathBuf,
    lives: BTreeMap<MachineId, SimulatedSnapshot>,
}

impl Kept {
    /// What was written down last; nothing at the first start. A file that cannot be read is set aside, not lost.
    pub(super) fn load(data: &Path) -> Result<Self, FleetError> {
        let path = data.join(FILE);
        let lives = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => {
                return Err(FleetError::Kept {
                    path,
                    doing: "read",
                    source,
                });
            }
            Ok(file) => match serde_json::from_reader(BufReader::new(file)) {
                Ok(lives) => lives,
                Err(error) => {
                    let aside = path.with_extension("json.unreadable");
                    tracing::warn!(file = %path.display(), %error, "the machines begin anew; the file is set aside");
                    fs::rename(&path, aside).map_err(|source| FleetError::Kept {
                        path: path.clone(),
                        doing: "set aside",
                        source,
                    })?;
                    BTreeMap::new()
                }
            },
        };
        Ok(Self { path, lives })
    }

    /// What one machine lived through.
    pub(super) fn take(&mut self, id: MachineId) -> Option<SimulatedSnapshot> {
        self.lives.get(&id).cloned()
    }

    /// Writes down how the machines stand. Those that are not running this time are kept as they were.
    pub(super) fn save(&mut self, metals: &[(MachineId, SharedMachine)]) -> Result<(), FleetError> {
        self.lives
            .extend(metals.iter().map(|(id, metal)| (*id, metal.snapshot())));
        let new = self.path.with_extension("json.new");
        let failed = |source| FleetError::Kept {
            path: self.path.clone(),
            doing: "written",
            source,
        };
        let mut writer = BufWriter::new(File::create(&new).map_err(failed)?);
        serde_json::to_writer(&mut writer, &self.lives).map_err(|error| failed(error.into()))?;
        writer.flush().map_err(failed)?;
        fs::rename(&new, &self.path).map_err(failed)
    }
}
