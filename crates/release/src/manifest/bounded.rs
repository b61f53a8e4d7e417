//! Lists that end in time, and versions that are versions, while they are read.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// A list of at most `MAX` items; the one beyond is not even looked at.
pub(super) fn list<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Items<T, const MAX: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Items<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX}")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while list.len() < MAX {
                match items.next_element()? {
                    Some(item) => list.push(item),
                    None => return Ok(list),
                }
            }
            match items.next_element::<Refused>()? {
                None => Ok(list),
                Some(_) => Err(A::Error::invalid_length(MAX + 1, &self)),
            }
        }
    }

    /// There is one more, whatever it is: it is not read.
    struct Refused;

    impl<'de> Deserialize<'de> for Refused {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Err(D::Error::custom("the list has more items than are accepted"))
        }
    }

    deserializer.deserialize_seq(Items::<T, MAX>(PhantomData))
}

/// Semantic versions as text.
pub(super) mod version {
    use semver::Version;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::manifest::VERSION_MAX_CHARS;

    pub(in crate::manifest) fn serialize<S: Serializer>(version: &Version, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(version)
    }

    pub(in crate::manifest) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Version, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        if text.len() > VERSION_MAX_CHARS {
            return Err(D::Error::custom(format_args!(
                "a version of {} characters: up to {VERSION_MAX_CHARS} are accepted",
                text.len()
            )));
        }
        Version::parse(&text).map_err(|error| {
            D::Error::custom(format_args!(
                "{text:?} is no semantic version ({error}); accepted: three numbers, such as 1.4.0 or 1.4.0-rc.1"
            ))
        })
    }
}
