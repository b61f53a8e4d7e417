//! Rules of one's own: expressions in CEL that forbid, permit, or ask for a second person.
//!
//! Small on purpose: no loops (`all`, `exists`, `map`, `filter`), so that how long one takes is bounded by how long it is; and little
//! nesting, so that none can exhaust the stack. What somebody may *see* is decided by grants alone: a rule is not evaluated
//! for each of ten thousand machines of a list.
//!
//! Source: the Common Expression Language, <https://cel.dev>.

use std::sync::{Arc, OnceLock};

use cel::common::ast::Expr;
use cel::{Context, Env, IdedExpr, Program, Value};
use muster_model::access::Permission;
use muster_model::{MachineView, Timestamp};
use muster_protocol::api::access::{POLICY_MAX_CHARS, PolicyEffect};
use serde::Serialize;

use super::caller::Person;
use super::records::PolicyRecord;

/// Deepest nesting.
const DEPTH_MAX: usize = 40;
/// Stack for reading one: the parser calls itself for each level, also of what is refused afterwards.
const STACK_BYTES: usize = 64 << 20;
/// What an expression can speak of.
const VARIABLES: &[&str] = &["person", "machine", "permission", "action", "now"];

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Too long.
    #[error("{given} characters: at most {POLICY_MAX_CHARS} are accepted")]
    TooLong {
        /// How long it is.
        given: usize,
    },
    /// Nested too deeply.
    #[error("it is nested more than {DEPTH_MAX} levels deep")]
    TooDeep,
    /// Not CEL.
    #[error("{0}")]
    Syntax(String),
    /// A loop.
    #[error("loops (all, exists, map, filter) are not accepted: say it with in, has(…) and labels by name")]
    Loop,
    /// A word that means nothing here.
    #[error("{name} is not known here: an expression speaks of {}", VARIABLES.join(", "))]
    Unknown {
        /// The word.
        name: String,
    },
    /// What may be seen is not for rules.
    #[error("read is decided by grants alone: a rule can forbid or permit what is done, not what is seen")]
    Read,
    /// A stop does not wait for anybody.
    #[error("a stop never waits for a second person")]
    Stop,
    /// It cannot be computed, or is neither true nor false.
    #[error("tried on a person and a machine it does not come out as true or false: {0}")]
    NotBool(String),
}

/// A rule that can be evaluated.
pub struct Compiled {
    /// Its name.
    pub name: Arc<str>,
    /// What it does where it holds.
    pub effect: PolicyEffect,
    /// What it is for.
    pub description: Arc<str>,
    permissions: Vec<Permission>,
    program: Program,
}

/// What a rule is evaluated over.
pub struct Facts<'a> {
    /// Who asks.
    pub person: &'a Person,
    /// For what.
    pub permission: Permission,
    /// To which machine; none: to the fleet as such.
    pub machine: Option<&'a MachineView>,
    /// What it is called in the audit log; empty where that is not known.
    pub action: &'a str,
    /// When.
    pub now: Timestamp,
}

#[derive(Serialize)]
struct PersonFacts<'a> {
    name: &'a str,
    roles: Vec<&'static str>,
    second_factor: bool,
}

#[derive(Serialize)]
struct MachineFacts<'a> {
    id: String,
    name: String,
    kind: &'a str,
    labels: &'a std::collections::BTreeMap<String, String>,
    presence: &'static str,
}

#[derive(Serialize)]
struct NowFacts {
    /// 0 to 23, UTC.
    hour: i64,
    /// 1 is Monday, 7 Sunday, UTC.
    weekday: i64,
    unix_s: i64,
}

impl Compiled {
    /// Reads a rule. Takes a thread for that: not for where time is short.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn new(name: &str, record: &PolicyRecord) -> Result<Self, PolicyError> {
        let given = record.condition.chars().count();
        if given > POLICY_MAX_CHARS {
            return Err(PolicyError::TooLong { given });
        }
        if record.permissions.contains(&Permission::Read) {
            return Err(PolicyError::Read);
        }
        if record.effect == PolicyEffect::SecondPerson && record.permissions.contains(&Permission::Stop) {
            return Err(PolicyError::Stop);
        }
        let program = parse(&record.condition)?;
        Ok(Self {
            name: name.into(),
            effect: record.effect,
            description: record.description.as_str().into(),
            permissions: record.permissions.clone(),
            program,
        })
    }

    /// As [`new`](Self::new), and tried: it must come out as true or false for a person and a machine.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn tried(name: &str, record: &PolicyRecord, facts: &Facts<'_>) -> Result<Self, PolicyError> {
        let compiled = Self::new(name, record)?;
        compiled.evaluate(facts).map_err(PolicyError::NotBool)?;
        Ok(compiled)
    }

    /// Whether it is about a permission.
    pub fn is_about(&self, permission: Permission) -> bool {
        let never = permission == Permission::Stop && self.effect == PolicyEffect::SecondPerson;
        permission != Permission::Read
            && !never
            && (self.permissions.is_empty() || self.permissions.contains(&permission))
    }

    /// Whether it holds. What cannot be computed forbids, does not permit, and asks for a second person.
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        match self.evaluate(facts) {
            Ok(holds) => holds,
            Err(error) => {
                metrics::counter!("muster_policies_not_computed_total").increment(1);
                tracing::warn!(policy = %self.name, %error, "a policy could not be computed");
                self.effect != PolicyEffect::Permit
            }
        }
    }

    fn evaluate(&self, facts: &Facts<'_>) -> Result<bool, String> {
        let mut context = Context::with_env(env());
        let said = |error: cel::SerializationError| error.to_string();
        let person = PersonFacts {
            name: facts.person.name.as_str(),
            roles: facts
                .person
                .grants
                .iter()
                .map(|grant| grant.role.as_str())
                .collect(),
            second_factor: facts.person.second_factor,
        };
        context.add_variable_from_value("person", cel::to_value(person).map_err(said)?);
        let machine = facts.machine.map(|view| MachineFacts {
            id: view.id.to_string(),
            name: view.name(),
            kind: view.kind(),
            labels: &view.profile.labels,
            presence: view.presence.as_str(),
        });
        context.add_variable_from_value("machine", cel::to_value(machine).map_err(said)?);
        context.add_variable_from_value("permission", Value::from(facts.permission.as_str()));
        context.add_variable_from_value("action", Value::from(facts.action));
        let unix_s = facts.now.as_millis().div_euclid(1_000);
        let now = NowFacts {
            hour: unix_s.div_euclid(3_600).rem_euclid(24),
            // 1970-01-01 was a Thursday.
            weekday: (unix_s.div_euclid(86_400) + 3).rem_euclid(7) + 1,
            unix_s,
        };
        context.add_variable_from_value("now", cel::to_value(now).map_err(said)?);
        match self.program.execute(&context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("it is {other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The functions of the language, once for all.
fn env() -> Arc<Env> {
    static ENV: OnceLock<Arc<Env>> = OnceLock::new();
    ENV.get_or_init(|| Arc::new(Env::stdlib())).clone()
}

fn parse(condition: &str) -> Result<Program, PolicyError> {
    let text = condition.to_owned();
    let read = move || {
        let program = Program::compile(&text).map_err(|errors| PolicyError::Syntax(errors.to_string()))?;
        look_at(program.expression(), 0)?;
        let references = program.references();
        let strange = references
            .variables()
            .into_iter()
            .find(|name| !VARIABLES.contains(name));
        if let Some(name) = strange {
            let name = name.to_owned();
            return Err(PolicyError::Unknown { name });
        }
        Ok(program)
    };
    let thread = std::thread::Builder::new()
        .name("policy".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(read);
    let failed = |what: &str| PolicyError::Syntax(what.to_owned());
    let thread = thread.map_err(|_| failed("the system gives no thread to read it"))?;
    thread.join().map_err(|_| failed("it cannot be read"))?
}

/// Refuses loops and deep nesting.
fn look_at(expression: &IdedExpr, depth: usize) -> Result<(), PolicyError> {
    if depth > DEPTH_MAX {
        return Err(PolicyError::TooDeep);
    }
    let each =
        |mut all: Box<dyn Iterator<Item = &IdedExpr> + '_>| all.try_for_each(|one| look_at(one, depth + 1));
    match &expression.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Ok(()),
        Expr::Comprehension(_) => Err(PolicyError::Loop),
        Expr::Call(call) => each(Box::new(call.target.as_deref().into_iter().chain(&call.args))),
        Expr::List(list) => each(Box::new(list.elements.iter())),
        Expr::Select(select) => look_at(&select.operand, depth + 1),
        // Nothing here needs to be built.
        Expr::Map(_) | Expr::Struct(_) => Err(PolicyError::Syntax(
            "maps and structures are not accepted".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests;
