//! What machines can be commanded: the kinds, and what each takes as arguments.
//!
//! Who may give which, for how long and what is said again is decided by the fleet (`muster_brain::shard`).

use muster_model::entry::JsonText;
use muster_model::simulation::SimulatedFault;
use serde::{Deserialize, Serialize};

use super::Priority;

/// Longest arguments of a command, as text.
pub const ARGUMENTS_MAX_BYTES: usize = 4_096;

/// What a command asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum CommandKind {
    /// Remote stop.
    #[serde(rename = "stop")]
    Stop,
    /// Take on a mission.
    #[serde(rename = "mission.assign")]
    MissionAssign,
    /// Pause the mission.
    #[serde(rename = "mission.pause")]
    MissionPause,
    /// Go on with the mission.
    #[serde(rename = "mission.resume")]
    MissionResume,
    /// End the mission.
    #[serde(rename = "mission.cancel")]
    MissionCancel,
    /// Change the mode.
    #[serde(rename = "mode.set")]
    ModeSet,
    /// Let an operator take control.
    #[serde(rename = "teleop.grant")]
    TeleopGrant,
    /// Take control from an operator.
    #[serde(rename = "teleop.revoke")]
    TeleopRevoke,
    /// Make itself known to a person beside it.
    #[serde(rename = "identify")]
    Identify,
    /// Start the operating system again.
    #[serde(rename = "reboot")]
    Reboot,
    /// Send log lines as they are written.
    #[serde(rename = "logs.tail")]
    LogsTail,
    /// Examine itself.
    #[serde(rename = "diagnostics.run")]
    DiagnosticsRun,
    /// Begin to record.
    #[serde(rename = "record.start")]
    RecordStart,
    /// End the recording.
    #[serde(rename = "record.stop")]
    RecordStop,
    /// Keep what is recorded around now.
    #[serde(rename = "record.mark")]
    RecordMark,
    /// Bring a recording to the server.
    #[serde(rename = "record.upload")]
    RecordUpload,
    /// Put a fault into a simulated machine, or take it out. No real machine does that.
    #[serde(rename = "fault")]
    Fault,
}

impl CommandKind {
    /// Every kind, in the order of the words above.
    pub const ALL: &'static [Self] = &[
        Self::Stop,
        Self::MissionAssign,
        Self::MissionPause,
        Self::MissionResume,
        Self::MissionCancel,
        Self::ModeSet,
        Self::TeleopGrant,
        Self::TeleopRevoke,
        Self::Identify,
        Self::Reboot,
        Self::LogsTail,
        Self::DiagnosticsRun,
        Self::RecordStart,
        Self::RecordStop,
        Self::RecordMark,
        Self::RecordUpload,
        Self::Fault,
    ];

    /// The word on the wire, in the log and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::MissionAssign => "mission.assign",
            Self::MissionPause => "mission.pause",
            Self::MissionResume => "mission.resume",
            Self::MissionCancel => "mission.cancel",
            Self::ModeSet => "mode.set",
            Self::TeleopGrant => "teleop.grant",
            Self::TeleopRevoke => "teleop.revoke",
            Self::Identify => "identify",
            Self::Reboot => "reboot",
            Self::LogsTail => "logs.tail",
            Self::DiagnosticsRun => "diagnostics.run",
            Self::RecordStart => "record.start",
            Self::RecordStop => "record.stop",
            Self::RecordMark => "record.mark",
            Self::RecordUpload => "record.upload",
            Self::Fault => "fault",
        }
    }

    /// The kind of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }

    /// How much a command of this kind presses.
    pub const fn priority(self) -> Priority {
        match self {
            Self::Stop => Priority::Critical,
            Self::MissionPause
            | Self::MissionCancel
            | Self::TeleopGrant
            | Self::TeleopRevoke
            | Self::ModeSet => Priority::High,
            Self::MissionAssign
            | Self::MissionResume
            | Self::Identify
            | Self::Reboot
            | Self::RecordMark
            | Self::Fault => Priority::Normal,
            Self::LogsTail
            | Self::DiagnosticsRun
            | Self::RecordStart
            | Self::RecordStop
            | Self::RecordUpload => Priority::Low,
        }
    }

    /// Says what is wrong with arguments for a command of this kind.
    pub fn check(self, arguments: Option<&JsonText>) -> Result<(), ArgumentsError> {
        if let Some(text) = arguments.map(|arguments| arguments.0.get())
            && text.len() > ARGUMENTS_MAX_BYTES
        {
            return Err(ArgumentsError::TooLong(text.len()));
        }
        match self {
            Self::Stop | Self::Identify | Self::RecordMark => match arguments {
                None => Ok(()),
                Some(_) => Err(ArgumentsError::Unwanted),
            },
            Self::Fault => FaultArguments::read(arguments).map(|_| ()),
            Self::RecordUpload => UploadArguments::read(arguments).map(|_| ()),
            // Nobody gives these yet: what they take comes with them.
            Self::MissionAssign
            | Self::MissionPause
            | Self::MissionResume
            | Self::MissionCancel
            | Self::ModeSet
            | Self::TeleopGrant
            | Self::TeleopRevoke
            | Self::Reboot
            | Self::LogsTail
            | Self::DiagnosticsRun
            | Self::RecordStart
            | Self::RecordStop => Ok(()),
        }
    }
}

/// Longest time that a fault is put in for, in seconds.
pub const FAULT_MAX_S: u32 = 3_600;

/// What the command `fault` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultArguments {
    /// Which fault. Absent with `clear`: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<SimulatedFault>,
    /// Whether it is taken out instead of put in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clear: bool,
    /// For how long, in seconds: 1 to 3,600. Absent: until it is cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u32>,
}

impl FaultArguments {
    /// Reads and checks them.
    pub fn read(arguments: Option<&JsonText>) -> Result<Self, ArgumentsError> {
        let wrong = |why: &str| ArgumentsError::Wrong(why.to_owned());
        let text =
            arguments.ok_or_else(|| wrong("say which: {\"fault\": \"runaway_motor\", \"for_s\": 30}"))?;
        let read: Self = serde_json::from_str(text.0.get()).map_err(|error| wrong(&error.to_string()))?;
        if read.fault.is_none() && !read.clear {
            return Err(wrong("fault: say which one, or clear"));
        }
        match read.for_s {
            Some(_) if read.clear => Err(wrong("for_s: what is taken out has no time")),
            Some(seconds) if !(1..=FAULT_MAX_S).contains(&seconds) => Err(wrong(&format!(
                "for_s: {seconds}: 1 to {FAULT_MAX_S} are accepted"
            ))),
            Some(_) | None => Ok(read),
        }
    }
}

/// What the command `record.upload` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadArguments {
    /// The recording's file, as the machine says it.
    pub file: String,
}

impl UploadArguments {
    /// Reads and checks them.
    pub fn read(arguments: Option<&JsonText>) -> Result<Self, ArgumentsError> {
        let wrong = |why: String| ArgumentsError::Wrong(why);
        let text = arguments.ok_or_else(|| {
            wrong(
                "say which: {\"file\": \"kept-20261121T070000.000Z-20261121T070230.000Z-estop.mcap\"}".into(),
            )
        })?;
        let read: Self = serde_json::from_str(text.0.get()).map_err(|error| wrong(error.to_string()))?;
        if muster_model::recording::Name::of(&read.file).is_none() {
            let file: String = read.file.chars().take(100).collect();
            return Err(wrong(format!(
                "file: {file:?} is no recording's name: kept-FROM-TO-WHY.mcap, pinned-… and rolling-FROM-TO.mcap are"
            )));
        }
        Ok(read)
    }
}

impl std::fmt::Display for CommandKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is wrong with the arguments of a command.
#[derive(Debug, thiserror::Error)]
pub enum ArgumentsError {
    /// There are some, and the kind takes none.
    #[error("commands of this kind take none")]
    Unwanted,
    /// They are not what the kind takes.
    #[error("{0}")]
    Wrong(String),
    /// There is no room for so many.
    #[error("{0} bytes long: at most {ARGUMENTS_MAX_BYTES} are accepted")]
    TooLong(usize),
}

#[cfg(test)]
mod tests;
