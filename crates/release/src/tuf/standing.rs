//! Who signed a document, and who is still missing.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU64;

use serde::Serialize;
use tough::schema::{Role as Document, RoleKeys, Root, Signed};

use super::{Role, hex, short};

/// How far a document has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Whose document it is.
    pub role: Role,
    /// The version of the root that says who may sign.
    pub root: u64,
    /// So many signatures are needed.
    pub threshold: u64,
    /// The ids of the keys whose signatures are good.
    pub signed: Vec<String>,
    /// The ids of the keys that may sign and have not.
    pub missing: Vec<String>,
}

impl Standing {
    /// How a document stands by a root.
    pub(crate) fn of<T: Document + Clone>(root: &Root, document: &Signed<T>, role: Role) -> Self {
        let nobody = RoleKeys {
            keyids: Vec::new(),
            threshold: NonZeroU64::MIN,
            _extra: HashMap::new(),
        };
        let keys = root.roles.get(&role.in_tough()).unwrap_or(&nobody);
        let (mut signed, mut missing) = (Vec::new(), Vec::new());
        for id in &keys.keyids {
            // tough tells only about a whole role: a root of one key asks about that key.
            let mut alone = root.clone();
            alone.roles.insert(
                T::TYPE,
                RoleKeys {
                    keyids: vec![id.clone()],
                    threshold: NonZeroU64::MIN,
                    _extra: HashMap::new(),
                },
            );
            let list = match alone.verify_role(document) {
                Ok(()) => &mut signed,
                Err(_) => &mut missing,
            };
            let id = hex(id);
            if !list.contains(&id) {
                list.push(id);
            }
        }
        signed.sort();
        missing.sort();
        Self {
            role,
            root: root.version.get(),
            threshold: keys.threshold.get(),
            signed,
            missing,
        }
    }

    /// Enough of those who may have signed.
    pub fn is_complete(&self) -> bool {
        self.signed.len() as u64 >= self.threshold
    }

    /// So many signatures are missing.
    pub fn lacking(&self) -> u64 {
        self.threshold.saturating_sub(self.signed.len() as u64)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |ids: &[String]| ids.iter().map(|id| short(id)).collect::<Vec<_>>().join(", ");
        write!(
            f,
            "{} of {} signatures of {} that root version {} asks for",
            self.signed.len(),
            self.threshold,
            self.role,
            self.root
        )?;
        if !self.signed.is_empty() {
            write!(f, ", by {}", list(&self.signed))?;
        }
        if !self.is_complete() {
            write!(f, "; {} missing, of {}", self.lacking(), list(&self.missing))?;
        }
        Ok(())
    }
}
