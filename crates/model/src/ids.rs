//! Typed ids: a number of one kind cannot be passed where another is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(#[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "uuid")))] Uuid);

        impl $name {
            /// Wraps an id that was made elsewhere; this crate makes none, because it has no randomness.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The id as a plain UUID.
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }

            /// The id as 16 bytes, most significant first.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_id! {
    /// Names one machine for its whole life. A UUID, version 7 when the machine makes it at its first start.
    MachineId
}

uuid_id! {
    /// Names one boot of one machine: changes at every restart of the runtime's host.
    BootId
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// Before the first one: nothing is numbered zero.
            pub const ZERO: Self = Self(0);

            /// The number after this one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number! {
    /// One connection of one machine, chosen by the server: larger than every earlier one of that machine.
    SessionNumber
}

number! {
    /// One message in one direction of one session: the first is 1, each next one +1.
    SequenceNumber
}

number! {
    /// One durable message of one machine, for ever: the first is 1, each next one +1, kept across restarts.
    RecordNumber
}

number! {
    /// One version of a machine's reported state: grows by one with every report.
    StateVersion
}

number! {
    /// Where an entry stands in the fleet's one event log: the first is 1, without holes.
    LogPosition
}

number! {
    /// Where an entry stands in its own stream: the first is 1, without holes.
    StreamVersion
}

number! {
    /// One version of what people want a machine to become: grows with every change.
    DesiredVersion
}
