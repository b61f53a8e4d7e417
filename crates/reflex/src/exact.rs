//! Writes a number so that it is read as the same one: JSON has no word for what is no number, and a broken sensor does.

use serde::{Deserialize, Deserializer, Serializer};

#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Number(f64),
    /// The bits of what is not finite.
    Bits(String),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() {
        serializer.serialize_f64(*value)
    } else {
        serializer.collect_str(&format_args!("{:016x}", value.to_bits()))
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    match Form::deserialize(deserializer)? {
        Form::Number(value) => Ok(value),
        Form::Bits(text) => u64::from_str_radix(&text, 16)
            .map(f64::from_bits)
            .map_err(serde::de::Error::custom),
    }
}
