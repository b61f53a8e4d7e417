//! Who asks, and what they may do: the one place where that is decided.
//!
//! Begin with [`Caller::decide`]. Grants add up; of a token its own and its owner's must both allow; then policies have their
//! word. What is decided always comes with the rule that decided it.

use std::net::IpAddr;
use std::sync::Arc;

use muster_model::access::{Grant, Permission, PersonName, allowing};
use muster_model::{MachineId, MachineView, Timestamp};
use muster_protocol::api::access::{AuditOutcome, PolicyEffect};
use parking_lot::Mutex;

use super::audit::Object;
use super::policy::{Compiled, Facts};
use super::secret::Hash;
use crate::api::error::ApiError;

/// Objects that an entry of the audit log names; of more it says how many.
const OBJECTS_MAX: usize = 20;

/// A person, as far as deciding goes.
#[derive(Clone, Debug)]
pub struct Person {
    /// Who.
    pub name: PersonName,
    /// The name to be shown; empty: the other one.
    pub display_name: String,
    /// What is granted.
    pub grants: Vec<Grant>,
    /// Whether a code is asked for besides the password.
    pub second_factor: bool,
    /// The version of their document.
    pub version: u64,
}

impl Person {
    /// Somebody with these grants.
    pub fn new(name: PersonName, grants: Vec<Grant>, version: u64) -> Self {
        Self {
            name,
            display_name: String::new(),
            grants,
            second_factor: false,
            version,
        }
    }
}

/// By what somebody proved who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// By nothing.
    Nobody,
    /// Nothing is asked of anybody on this computer.
    Posture,
    /// By a session.
    Session {
        /// What its secret hashes to.
        hash: Hash,
        /// Its public name.
        id: String,
        /// When it ends at the latest.
        expires_at: Timestamp,
    },
    /// By a token.
    Token {
        /// What its secret hashes to.
        hash: Hash,
        /// Its public name.
        id: String,
        /// When it ends.
        expires_at: Timestamp,
    },
}

impl By {
    /// In a word, as the API and the audit log say it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Nobody => "",
            Self::Posture => "posture",
            Self::Session { .. } => "session",
            Self::Token { .. } => "token",
        }
    }

    /// The public name of the session or token.
    pub fn id(&self) -> &str {
        match self {
            Self::Nobody | Self::Posture => "",
            Self::Session { id, .. } | Self::Token { id, .. } => id,
        }
    }

    /// When it ends at the latest.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::Nobody | Self::Posture => None,
            Self::Session { expires_at, .. } | Self::Token { expires_at, .. } => Some(*expires_at),
        }
    }
}

/// What was decided, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Which rule decided, in words.
    pub rule: String,
}

/// What a handler has to say of what it does, for the audit log.
#[derive(Debug, Default)]
pub struct Notes {
    /// To what.
    pub objects: Vec<Object>,
    /// To how many, where not all are named.
    pub objects_in_all: Option<u64>,
    /// Why.
    pub reason: String,
    /// What changed.
    pub detail: String,
    /// The rule that allowed or refused it.
    pub rule: String,
    /// Who it was, where that is known only afterwards: whoever signs in.
    pub person: Option<PersonName>,
    /// Nothing came of it that is worth a line.
    pub quiet: bool,
    /// How it ended, where the status of the answer does not say it: a page is shown in either case.
    pub outcome: Option<AuditOutcome>,
}

/// Who asks. One for each request; cheap to clone.
#[derive(Clone)]
pub struct Caller(Arc<Inner>);

struct Inner {
    person: Person,
    by: By,
    narrowed: Option<Vec<Grant>>,
    from: IpAddr,
    policies: Arc<[Compiled]>,
    notes: Mutex<Notes>,
}

impl Caller {
    /// Somebody who proved who they are.
    pub fn new(
        person: Person,
        by: By,
        narrowed: Option<Vec<Grant>>,
        from: IpAddr,
        policies: Arc<[Compiled]>,
    ) -> Self {
        Self(Arc::new(Inner {
            person,
            by,
            narrowed,
            from,
            policies,
            notes: Mutex::default(),
        }))
    }

    /// Somebody who did not.
    pub fn nobody(from: IpAddr) -> Self {
        let nobody = Person::new(PersonName::local(), Vec::new(), 0);
        Self::new(nobody, By::Nobody, None, from, Arc::default())
    }

    /// Who. Nobody in particular, if [`is_signed_in`](Self::is_signed_in) says no.
    pub fn person(&self) -> &Person {
        &self.0.person
    }

    /// By which name what they do is known.
    pub fn name(&self) -> &str {
        if self.is_signed_in() {
            self.0.person.name.as_str()
        } else {
            ""
        }
    }

    /// By what they proved it.
    pub fn by(&self) -> &By {
        &self.0.by
    }

    /// From where.
    pub fn from(&self) -> IpAddr {
        self.0.from
    }

    /// Whether they proved who they are.
    pub fn is_signed_in(&self) -> bool {
        self.0.by != By::Nobody
    }

    /// Whether it is somebody with a session: not a program, and not everybody.
    pub fn is_person(&self) -> bool {
        matches!(self.0.by, By::Session { .. })
    }

    /// What a token is narrowed to.
    pub fn narrowed(&self) -> Option<&[Grant]> {
        self.0.narrowed.as_deref()
    }

    /// Whether something may be done to a machine, or to the fleet as such, and by which rule.
    pub fn decide(&self, permission: Permission, machine: Option<&MachineView>, now: Timestamp) -> Decision {
        decide(
            &self.0.person,
            self.narrowed(),
            &self.0.policies,
            permission,
            machine,
            now,
        )
    }

    /// As [`decide`](Self::decide), as an answer to a request. What may not even be seen is not there.
    ///
    /// # Errors
    ///
    /// It may not be done.
    pub fn may(&self, permission: Permission, machine: &MachineView, now: Timestamp) -> Result<(), ApiError> {
        if !self.sees(machine) {
            return Err(ApiError::no_such_machine(machine.id));
        }
        self.require(self.decide(permission, Some(machine), now))
    }

    /// As [`may`](Self::may), for the fleet as such.
    ///
    /// # Errors
    ///
    /// It may not be done.
    pub fn may_everywhere(&self, permission: Permission, now: Timestamp) -> Result<(), ApiError> {
        self.require(self.decide(permission, None, now))
    }

    fn require(&self, decision: Decision) -> Result<(), ApiError> {
        let mut notes = self.0.notes.lock();
        notes.rule.clone_from(&decision.rule);
        if decision.allowed {
            Ok(())
        } else {
            Err(ApiError::not_allowed(decision.rule))
        }
    }

    /// Whether something may be done to at least one machine there could be.
    pub fn may_anywhere(&self, permission: Permission) -> bool {
        let holds = |grants: &[Grant]| grants.iter().any(|grant| grant.role.holds(permission));
        let permits =
            |policy: &Compiled| policy.effect == PolicyEffect::Permit && policy.is_about(permission);
        self.narrowed().is_none_or(holds)
            && (holds(&self.0.person.grants) || self.0.policies.iter().any(permits))
    }

    /// Refuses a token that is narrowed: whoever found one must not get further by it.
    ///
    /// # Errors
    ///
    /// It is one.
    pub fn must_not_be_narrowed(&self) -> Result<(), ApiError> {
        let Some(narrowed) = self.narrowed() else {
            return Ok(());
        };
        let rule = format!(
            "a token that is narrowed, here to {}, neither makes nor ends sessions and tokens",
            in_words(narrowed)
        );
        self.require(Decision { allowed: false, rule })
    }

    /// What they may see, to be taken along.
    pub fn eyes(&self) -> Eyes {
        let reads = |grants: &[Grant]| -> Vec<Grant> {
            let grants = grants.iter().filter(|grant| grant.role.holds(Permission::Read));
            grants.cloned().collect()
        };
        let granted = reads(&self.0.person.grants);
        let narrowed = self.narrowed().map(reads);
        let everything = |grants: &[Grant]| grants.iter().any(|grant| grant.scope.is_everything());
        Eyes {
            all: everything(&granted) && narrowed.as_deref().is_none_or(everything),
            grants: Arc::new((granted, narrowed)),
        }
    }

    /// Whether they may see a machine.
    pub fn sees(&self, machine: &MachineView) -> bool {
        let read = Permission::Read;
        allowing(&self.0.person.grants, read, machine).is_some()
            && self
                .narrowed()
                .is_none_or(|grants| allowing(grants, read, machine).is_some())
    }

    /// Says why it is done.
    pub fn note_reason(&self, reason: &str) {
        self.0.notes.lock().reason = reason.to_owned();
    }

    /// Says what changed.
    pub fn note_detail(&self, detail: impl Into<String>) {
        self.0.notes.lock().detail = detail.into();
    }

    /// Says that nothing came of it that is worth a line.
    pub fn note_nothing(&self) {
        self.0.notes.lock().quiet = true;
    }

    /// Says who it was, where that is known only afterwards.
    pub fn note_person(&self, name: &PersonName) {
        self.0.notes.lock().person = Some(name.clone());
    }

    /// Says how it ended, where the status of the answer does not.
    pub fn note_outcome(&self, outcome: AuditOutcome) {
        self.0.notes.lock().outcome = Some(outcome);
    }

    /// Says to what it is done.
    pub fn note_object(&self, kind: &'static str, id: impl Into<String>, name: impl Into<String>) {
        let mut notes = self.0.notes.lock();
        let in_all = notes.objects_in_all.unwrap_or(notes.objects.len() as u64) + 1;
        if notes.objects.len() < OBJECTS_MAX {
            notes.objects.push(Object {
                kind: kind.to_owned(),
                id: id.into(),
                name: name.into(),
            });
        } else {
            notes.objects_in_all = Some(in_all);
        }
    }

    /// Says to which machine it is done.
    pub fn note_machine(&self, id: MachineId, name: impl Into<String>) {
        self.note_object("machine", id.to_string(), name);
    }

    /// What was said of it.
    pub fn take_notes(&self) -> Notes {
        std::mem::take(&mut self.0.notes.lock())
    }
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} by {:?} from {}",
            self.name(),
            self.by().as_str(),
            self.from()
        )
    }
}

/// What somebody may see, apart from who they are.
#[derive(Clone, Debug)]
pub struct Eyes {
    all: bool,
    grants: Arc<(Vec<Grant>, Option<Vec<Grant>>)>,
}

impl Eyes {
    /// Eyes that see everything: of the server itself.
    pub fn of_server() -> Self {
        Self {
            all: true,
            grants: Arc::default(),
        }
    }

    /// Whether they see everything there is.
    pub fn see_all(&self) -> bool {
        self.all
    }

    /// Whether they see a machine.
    pub fn see(&self, machine: &MachineView) -> bool {
        let read = Permission::Read;
        self.all
            || allowing(&self.grants.0, read, machine).is_some()
                && self
                    .grants
                    .1
                    .as_ref()
                    .is_none_or(|grants| allowing(grants, read, machine).is_some())
    }
}

/// Decides: grants, then policies that forbid, then policies that permit.
pub fn decide(
    person: &Person,
    narrowed: Option<&[Grant]>,
    policies: &[Compiled],
    permission: Permission,
    machine: Option<&MachineView>,
    now: Timestamp,
) -> Decision {
    let find = |grants: &[Grant]| match machine {
        Some(machine) => allowing(grants, permission, machine).map(ToString::to_string),
        None => {
            let everywhere = grants.iter().find(|grant| grant.allows_everywhere(permission));
            everywhere.map(ToString::to_string)
        }
    };
    let no = |rule: String| Decision { allowed: false, rule };
    let granted = find(&person.grants);
    if let Some(narrowed) = narrowed
        && find(narrowed).is_none()
    {
        return no(format!(
            "{} needs {permission}; the token is narrowed to {}",
            whereto(machine),
            in_words(narrowed)
        ));
    }
    let facts = Facts {
        person,
        permission,
        machine,
        now,
    };
    let holding = |effect| {
        policies
            .iter()
            .find(|policy| policy.effect == effect && policy.is_about(permission) && policy.holds(&facts))
    };
    if policies.is_empty() {
        // What nearly every request meets.
    } else if let Some(policy) = holding(PolicyEffect::Forbid) {
        return no(format!(
            "the policy {} forbids it: {}",
            policy.name, policy.description
        ));
    }
    let name = &person.name;
    match granted {
        Some(grant) => Decision {
            allowed: true,
            rule: format!("{name} is {grant}"),
        },
        None => match holding(PolicyEffect::Permit) {
            Some(policy) => Decision {
                allowed: true,
                rule: format!("the policy {} permits it", policy.name),
            },
            None => no(format!(
                "{} needs {permission}, which {} may; {name} is {}",
                whereto(machine),
                permission.held_by(),
                in_words(&person.grants)
            )),
        },
    }
}

fn whereto(machine: Option<&MachineView>) -> String {
    match machine {
        Some(machine) => format!("to do this to {}", machine.name()),
        None => "to do this for the whole fleet".to_owned(),
    }
}

/// Grants in words.
pub fn in_words(grants: &[Grant]) -> String {
    if grants.is_empty() {
        return "nothing".to_owned();
    }
    let words: Vec<String> = grants.iter().map(ToString::to_string).collect();
    words.join(", ")
}
