//! What is said of keys and signatures.

use std::path::PathBuf;

use muster_model::Timestamp;
use muster_release::tuf::online::Refreshed as Done;
use muster_release::tuf::repository::Progress;
use muster_release::tuf::root::holders;
use muster_release::tuf::{PublicKey, Role, RootDocument, Standing, short};
use serde::Serialize;

/// A root or a list that was signed.
#[derive(Debug, Serialize)]
pub(in crate::release) struct Signed {
    role: Role,
    version: u64,
    expires: Timestamp,
    /// Enough have signed.
    is_complete: bool,
    changes: Vec<String>,
    standings: Vec<Standing>,
    file: String,
}

impl Signed {
    pub(in crate::release) fn new(progress: &Progress) -> Self {
        Self {
            role: progress.role,
            version: progress.version,
            expires: progress.expires,
            is_complete: progress.is_complete(),
            changes: progress.changes.clone(),
            standings: progress.standings.clone(),
            file: progress.path.display().to_string(),
        }
    }

    pub(in crate::release) fn words(&self) -> String {
        let mut lines = vec![
            format!(
                "{:<12}version {}, good until {}",
                self.role.as_str(),
                self.version,
                self.expires
            ),
            format!("file        {}", self.file),
        ];
        lines.extend(self.changes.iter().map(|change| format!("  {change}")));
        lines.extend(self.standings.iter().map(|it| format!("signed      {it}")));
        lines.push(match self.is_complete {
            true => "result      complete".to_owned(),
            false => {
                "result      NOT YET: give the file to those who are missing (`muster release keys sign`)"
                    .to_owned()
            }
        });
        lines.join("\n") + "\n"
    }
}

/// Who may sign what.
#[derive(Debug, Serialize)]
pub(in crate::release) struct Root {
    version: u64,
    expires: String,
    roles: Vec<Holders>,
}

#[derive(Debug, Serialize)]
struct Holders {
    role: Role,
    threshold: u64,
    keys: Vec<Holder>,
}

#[derive(Debug, Serialize)]
struct Holder {
    id: String,
    /// Where its private half lies, if it is here.
    private: Option<String>,
}

impl Root {
    pub(in crate::release) fn new(root: &RootDocument, own: &[(String, PathBuf)]) -> Self {
        let holder = |key: &PublicKey| {
            let id = key.id();
            let found = own.iter().find(|(one, _)| *one == id);
            Holder {
                private: found.map(|(_, path)| path.display().to_string()),
                id,
            }
        };
        Self {
            version: root.version.get(),
            expires: root.expires.to_string(),
            roles: holders(root)
                .into_iter()
                .map(|(role, held)| Holders {
                    role,
                    threshold: held.threshold,
                    keys: held.keys.iter().map(holder).collect(),
                })
                .collect(),
        }
    }

    pub(in crate::release) fn words(&self) -> String {
        let mut lines = vec![format!(
            "root        version {}, good until {}",
            self.version, self.expires
        )];
        for held in &self.roles {
            lines.push(format!(
                "{:<12}{} of {} must sign",
                held.role.as_str(),
                held.threshold,
                held.keys.len()
            ));
            for key in &held.keys {
                let place = key
                    .private
                    .as_ref()
                    .map_or(String::new(), |path| format!("  {path}"));
                lines.push(format!("  {}{place}", short(&key.id)));
            }
        }
        lines.join("\n") + "\n"
    }
}

/// Keys that were made.
#[derive(Debug, Serialize)]
pub(in crate::release) struct Made {
    keys: Vec<MadeKey>,
}

#[derive(Debug, Serialize)]
struct MadeKey {
    name: &'static str,
    id: String,
    public: String,
}

impl Made {
    pub(in crate::release) fn new(keys: &[(&'static str, &PublicKey, PathBuf)]) -> Self {
        let key = |(name, key, path): &(&'static str, &PublicKey, PathBuf)| MadeKey {
            name,
            id: key.id(),
            public: path.display().to_string(),
        };
        Self {
            keys: keys.iter().map(key).collect(),
        }
    }

    pub(in crate::release) fn words(&self) -> String {
        let line = |key: &MadeKey| format!("{:<12}{}  {}\n", key.name, short(&key.id), key.public);
        self.keys.iter().map(line).collect()
    }
}

/// Roots that were put into a folder.
#[derive(Debug, Serialize)]
pub(in crate::release) struct Published {
    pub(in crate::release) new_roots: Vec<u64>,
}

impl Published {
    pub(in crate::release) fn words(&self) -> String {
        let versions: Vec<String> = self.new_roots.iter().map(u64::to_string).collect();
        match versions.is_empty() {
            true => "new here    nothing\n".to_owned(),
            false => format!("new here    root {}\n", versions.join(", ")),
        }
    }
}

/// What the server's part is now.
#[derive(Debug, Serialize)]
pub(in crate::release) struct Refreshed {
    root: u64,
    targets: u64,
    snapshot: u64,
    timestamp: u64,
    is_new: bool,
    again_at: Timestamp,
    offline_until: Timestamp,
}

impl Refreshed {
    pub(in crate::release) fn new(done: &Done) -> Self {
        Self {
            root: done.root,
            targets: done.targets,
            snapshot: done.snapshot,
            timestamp: done.timestamp,
            is_new: done.is_new,
            again_at: done.again_at,
            offline_until: done.offline_until,
        }
    }

    pub(in crate::release) fn words(&self) -> String {
        format!(
            "versions    root {}, targets {}, snapshot {}, timestamp {}\nsigned      {}\nagain       by {}\npeople      have to sign \
             again before {}\n",
            self.root,
            self.targets,
            self.snapshot,
            self.timestamp,
            if self.is_new {
                "anew"
            } else {
                "nothing: all is fresh"
            },
            self.again_at,
            self.offline_until
        )
    }
}

/// Who vouches for what is in a folder.
#[derive(Debug, Serialize)]
pub(in crate::release) struct Vouching {
    /// The version of the list.
    pub(in crate::release) list: u64,
    pub(in crate::release) until: String,
    /// By the newest root in the folder, which `show` has no reason to believe.
    pub(in crate::release) standing: Standing,
}

impl Vouching {
    pub(in crate::release) fn words(this: Option<&Self>) -> String {
        match this {
            None => "nobody".to_owned(),
            Some(it) => {
                let ids: Vec<&str> = it.standing.signed.iter().map(|id| short(id)).collect();
                format!(
                    "by {} ({} of {} needed), until {}, by list {} and root {} of this folder",
                    ids.join(", "),
                    it.standing.signed.len(),
                    it.standing.threshold,
                    it.until,
                    it.list,
                    it.standing.root
                )
            }
        }
    }
}
