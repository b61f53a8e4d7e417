//! Who asks, and what they may do: the one place where that is decided.
//!
//! Begin with [`Caller::decide`]. Grants add up; of a token its own and its owner's must both allow; then policies have their
//! word. What is decided always comes with the rule that decided it.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

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
/// Longest id and name of an object in the audit log, in characters. What somebody tried is noted before it is checked.
const OBJECT_MAX_CHARS: usize = 200;
/// Longest reason in the audit log, in characters.
const REASON_MAX_CHARS: usize = 1_000;

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
    /// By either, when they proposed what is now done with a second person.
    Proposal {
        /// Its public name.
        id: String,
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
            Self::Proposal { .. } => "proposal",
        }
    }

    /// The public name of the session, token or proposal.
    pub fn id(&self) -> &str {
        match self {
            Self::Nobody | Self::Posture => "",
            Self::Session { id, .. } | Self::Token { id, .. } | Self::Proposal { id } => id,
        }
    }

    /// When it ends at the latest.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::Nobody | Self::Posture | Self::Proposal { .. } => None,
            Self::Session { expires_at, .. } | Self::Token { expires_at, .. } => Some(*expires_at),
        }
    }
}

/// What somebody is about to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Act<'a> {
    /// What it is called in the audit log; empty where that is not known.
    pub action: &'a str,
    /// Whether it changes anything: nobody waits for a second person to read.
    pub changes: bool,
}

impl Act<'static> {
    /// Some change, to say beforehand what would become of it.
    pub const SOME_CHANGE: Self = Self {
        action: "",
        changes: true,
    };
}

/// What was decided, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed, now and by this person.
    pub allowed: bool,
    /// Which rule decided, in words.
    pub rule: String,
    /// The policy that lets wait for a second person what would be allowed else.
    pub second_person: Option<PolicyNamed>,
}

impl Decision {
    fn yes(rule: String) -> Self {
        Self {
            allowed: true,
            rule,
            second_person: None,
        }
    }

    fn no(rule: String) -> Self {
        Self {
            allowed: false,
            rule,
            second_person: None,
        }
    }

    /// What is said of a machine that may not be seen, or is not there.
    pub fn unseen() -> Self {
        Self::no("there is no such machine, or you may not see it".to_owned())
    }

    /// Whether it is allowed, if need be with a second person.
    pub fn could(&self) -> bool {
        self.allowed || self.second_person.is_some()
    }
}

/// A policy, as far as it is told to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyNamed {
    /// Its name.
    pub name: Arc<str>,
    /// What it is for.
    pub description: Arc<str>,
}

/// What a second person has to say yes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    /// The policy that asks for them.
    pub policy: PolicyNamed,
    /// What is needed.
    pub permission: Permission,
    /// For which machine, with its name; none: for the fleet.
    pub machine: Option<(MachineId, String)>,
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
    /// What was not done because it takes a second person.
    pub waits: Option<Waits>,
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
    act: OnceLock<Act<'static>>,
    second: Option<Caller>,
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
            act: OnceLock::new(),
            second: None,
            notes: Mutex::default(),
        }))
    }

    /// Somebody who proposed something, and whoever says yes to it.
    pub fn seconded(
        person: Person,
        id: String,
        narrowed: Option<Vec<Grant>>,
        from: IpAddr,
        second: Self,
    ) -> Self {
        Self(Arc::new(Inner {
            person,
            by: By::Proposal { id },
            narrowed,
            from,
            policies: second.0.policies.clone(),
            act: OnceLock::new(),
            second: Some(second),
            notes: Mutex::default(),
        }))
    }

    /// Says what they are about to do. Counts once.
    pub fn begin(&self, action: &'static str, changes: bool) {
        let _ = self.0.act.set(Act { action, changes });
    }

    /// Whoever said yes to what they proposed.
    pub fn second(&self) -> Option<&Self> {
        self.0.second.as_ref()
    }

    /// Whether there is a policy that lets anything wait for a second person.
    pub fn may_have_to_wait(&self) -> bool {
        let mut policies = self.0.policies.iter();
        let alone = self.0.second.is_some() || matches!(self.0.by, By::Nobody | By::Posture);
        !alone && policies.any(|policy| policy.effect == PolicyEffect::SecondPerson)
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
        let mut act = self.0.act.get().copied().unwrap_or_default();
        // Where everybody on this computer is one person, there is no second one.
        act.changes &= self.0.by != By::Posture;
        let decision = if self.0.by == By::Posture && permission == Permission::Administer {
            // The way back for whoever locked themselves out by a policy: it takes the server's computer.
            decide(&self.0.person, None, &[], permission, machine, act, now)
        } else {
            self.decide_act(permission, machine, act, now)
        };
        let (Some(policy), Some(second)) = (&decision.second_person, &self.0.second) else {
            return decision;
        };
        let theirs = second.decide_act(permission, machine, act, now);
        let name = second.name();
        if theirs.could() {
            let rule = format!(
                "{}; {name} says yes to it, as the policy {} asks: {}",
                decision.rule, policy.name, theirs.rule
            );
            return Decision::yes(rule);
        }
        Decision::no(format!("{name} cannot be the second person: {}", theirs.rule))
    }

    /// As [`decide`](Self::decide), for an act that they are not about to do, and without whoever stands beside them.
    pub fn decide_act(
        &self,
        permission: Permission,
        machine: Option<&MachineView>,
        act: Act<'_>,
        now: Timestamp,
    ) -> Decision {
        decide(
            &self.0.person,
            self.narrowed(),
            &self.0.policies,
            permission,
            machine,
            act,
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
        self.require(permission, Some(machine), now)
    }

    /// As [`may`](Self::may), for the fleet as such.
    ///
    /// # Errors
    ///
    /// It may not be done.
    pub fn may_everywhere(&self, permission: Permission, now: Timestamp) -> Result<(), ApiError> {
        self.require(permission, None, now)
    }

    /// Whether machines may be given identities that people announce so, before they come. What the announcement lacks is said.
    ///
    /// # Errors
    ///
    /// It may not be done.
    pub fn may_announce(&self, machine: &MachineView, now: Timestamp) -> Result<(), ApiError> {
        let mut decision = self.decide(Permission::Enrol, Some(machine), now);
        if !decision.allowed
            && let Some(lacking) = self.lacking(Permission::Enrol, machine)
        {
            decision.rule = format!("{}; it lacks {lacking}", decision.rule);
        }
        // It is not in the fleet yet: whoever is the second person for it, enrols everywhere.
        self.conclude(decision, Permission::Enrol, None)
    }

    /// What a machine lacks to be within the reach of grants that hold this; nothing, if there are none, or it is within.
    fn lacking(&self, permission: Permission, machine: &MachineView) -> Option<String> {
        let of = |grants: &[Grant]| {
            let grants = grants.iter().filter(|grant| grant.role.holds(permission));
            let lacking: Vec<String> = grants
                .map(|grant| grant.scope.lacking(machine).join(" and "))
                .collect();
            let is_reached = lacking.iter().any(String::is_empty);
            (!is_reached && !lacking.is_empty()).then(|| lacking.join(", or "))
        };
        of(&self.0.person.grants).or_else(|| of(self.narrowed()?))
    }

    fn require(
        &self,
        permission: Permission,
        machine: Option<&MachineView>,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        self.conclude(self.decide(permission, machine, now), permission, machine)
    }

    fn conclude(
        &self,
        decision: Decision,
        permission: Permission,
        machine: Option<&MachineView>,
    ) -> Result<(), ApiError> {
        let mut notes = self.0.notes.lock();
        notes.rule.clone_from(&decision.rule);
        let Some(policy) = decision.second_person else {
            return if decision.allowed {
                Ok(())
            } else {
                Err(ApiError::not_allowed(decision.rule))
            };
        };
        notes.rule = format!(
            "{}; the policy {} asks for a second person: {}",
            decision.rule, policy.name, policy.description
        );
        let error = ApiError::takes_a_second_person(&policy);
        notes.waits = Some(Waits {
            policy,
            permission,
            machine: machine.map(|view| (view.id, view.name())),
        });
        Err(error)
    }

    /// Whether something was not done because it takes a second person.
    pub fn waits(&self) -> bool {
        self.0.notes.lock().waits.is_some()
    }

    /// What was not done because it takes a second person.
    pub fn take_waits(&self) -> Option<Waits> {
        self.0.notes.lock().waits.take()
    }

    /// Whether something may be done to at least one machine there could be.
    pub fn may_anywhere(&self, permission: Permission) -> bool {
        let holds = |grants: &[Grant]| grants.iter().any(|grant| grant.role.holds(permission));
        let permits =
            |policy: &Compiled| policy.effect == PolicyEffect::Permit && policy.is_about(permission);
        self.narrowed().is_none_or(holds)
            && (holds(&self.0.person.grants) || self.0.policies.iter().any(permits))
    }

    /// As [`may_anywhere`](Self::may_anywhere), as an answer to a request.
    ///
    /// # Errors
    ///
    /// It may be done to none.
    pub fn may_somewhere(&self, permission: Permission) -> Result<(), ApiError> {
        if self.may_anywhere(permission) {
            return Ok(());
        }
        let holds = |grants: &[Grant]| grants.iter().any(|grant| grant.role.holds(permission));
        let rule = match self.narrowed() {
            Some(narrowed) if !holds(narrowed) => format!(
                "to do this to any machine needs {permission}; the token is narrowed to {}",
                in_words(narrowed)
            ),
            _ => format!(
                "to do this to any machine needs {permission}, which {} may; {} is {}",
                permission.held_by(),
                self.0.person.name,
                in_words(&self.0.person.grants)
            ),
        };
        self.0.notes.lock().rule.clone_from(&rule);
        Err(ApiError::not_allowed(rule))
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
        self.0.notes.lock().rule.clone_from(&rule);
        Err(ApiError::not_allowed(rule))
    }

    /// What they may see, to be taken along.
    pub fn eyes(&self) -> Eyes {
        self.eyes_for(Permission::Read)
    }

    /// The machines to which they may do this, to be taken along: by grants alone, as what may be seen.
    pub fn eyes_for(&self, permission: Permission) -> Eyes {
        let holding = |grants: &[Grant]| -> Vec<Grant> {
            let grants = grants.iter().filter(|grant| grant.role.holds(permission));
            grants.cloned().collect()
        };
        let granted = holding(&self.0.person.grants);
        let narrowed = self.narrowed().map(holding);
        let everything = |grants: &[Grant]| grants.iter().any(|grant| grant.scope.is_everything());
        Eyes {
            permission,
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
        self.0.notes.lock().reason = cut(reason, REASON_MAX_CHARS);
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
                id: cut(&id.into(), OBJECT_MAX_CHARS),
                name: cut(&name.into(), OBJECT_MAX_CHARS),
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

fn cut(text: &str, max_chars: usize) -> String {
    text.chars().take(max_chars).collect()
}

/// What somebody may see, apart from who they are.
#[derive(Clone, Debug)]
pub struct Eyes {
    permission: Permission,
    all: bool,
    grants: Arc<(Vec<Grant>, Option<Vec<Grant>>)>,
}

impl Eyes {
    /// Eyes that see everything: of the server itself.
    pub fn of_server() -> Self {
        Self {
            permission: Permission::Read,
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
        self.all
            || allowing(&self.grants.0, self.permission, machine).is_some()
                && self
                    .grants
                    .1
                    .as_ref()
                    .is_none_or(|grants| allowing(grants, self.permission, machine).is_some())
    }
}

/// Decides: grants, then policies that forbid, then policies that permit, then those that ask for a second person.
pub fn decide(
    person: &Person,
    narrowed: Option<&[Grant]>,
    policies: &[Compiled],
    permission: Permission,
    machine: Option<&MachineView>,
    act: Act<'_>,
    now: Timestamp,
) -> Decision {
    let find = |grants: &[Grant]| match machine {
        Some(machine) => allowing(grants, permission, machine).map(ToString::to_string),
        None => {
            let everywhere = grants.iter().find(|grant| grant.allows_everywhere(permission));
            everywhere.map(ToString::to_string)
        }
    };
    let granted = find(&person.grants);
    if let Some(narrowed) = narrowed
        && find(narrowed).is_none()
    {
        return Decision::no(format!(
            "{} needs {permission}; the token is narrowed to {}",
            whereto(machine),
            in_words(narrowed)
        ));
    }
    let facts = Facts {
        person,
        permission,
        machine,
        action: act.action,
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
        return Decision::no(format!(
            "the policy {} forbids it: {}",
            policy.name, policy.description
        ));
    }
    let name = &person.name;
    let rule = match granted {
        Some(grant) => format!("{name} is {grant}"),
        None => match holding(PolicyEffect::Permit) {
            Some(policy) => format!("the policy {} permits it", policy.name),
            None => {
                return Decision::no(format!(
                    "{} needs {permission}, which {} may; {name} is {}",
                    whereto(machine),
                    permission.held_by(),
                    in_words(&person.grants)
                ));
            }
        },
    };
    let waits = act.changes.then(|| holding(PolicyEffect::SecondPerson)).flatten();
    Decision {
        allowed: waits.is_none(),
        rule,
        second_person: waits.map(|policy| PolicyNamed {
            name: policy.name.clone(),
            description: policy.description.clone(),
        }),
    }
}

fn whereto(machine: Option<&MachineView>) -> String {
    match machine {
        Some(machine) if machine.has_no_id_yet() => "to do this to such a machine".to_owned(),
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
