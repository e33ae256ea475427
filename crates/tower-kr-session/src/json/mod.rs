//! Values as JSON.

mod error;
mod finite;
mod nesting;

use std::any::type_name;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Serializer;

pub use self::error::ValueError;
use self::{error::Problem, nesting::Nesting};

/// The JSON of a value that says that there is none.
const NULL: &[u8] = b"null";

/// Reads a value; `null` is none.
pub(crate) fn decode<T: DeserializeOwned>(value: Option<&[u8]>) -> Result<Option<T>, ValueError> {
    let value = value.filter(|value| *value != NULL);
    let decoded = value.map(serde_json::from_slice).transpose();
    decoded.map_err(|error| ValueError::new(type_name::<T>(), Problem::reading(&error)))
}

/// Writes a value, or returns `None` for one that is `null`.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Option<Bytes>, ValueError> {
    let encoded = write(value).map(|json| (json != NULL).then(|| Bytes::from(json)));
    encoded.map_err(|problem| ValueError::new(type_name::<T>(), problem))
}

/// Writes only what can be read back.
fn write<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Problem> {
    let mut json = Vec::with_capacity(128);
    let mut nesting = Nesting::default();
    let mut serializer = Serializer::with_formatter(&mut json, nesting.watch());
    let written = value.serialize(&mut serializer);
    written.map_err(|error| Problem::writing(&error))?;
    // serde_json writes a number that isn't finite as `null`. Few values have one.
    if nesting.wrote_null && !finite::is_finite(value) {
        return Err(Problem::NotFinite);
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Lists within lists, or maps within maps.
    struct Nested {
        depth: usize,
        maps: bool,
    }

    impl Serialize for Nested {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let inner = (self.depth > 1).then_some(Self {
                depth: self.depth - 1,
                ..*self
            });
            let inner = inner.into_iter();
            match self.maps {
                false => serializer.collect_seq(inner),
                true => serializer.collect_map(inner.map(|inner| ("a", inner))),
            }
        }
    }

    fn json<T: Serialize + ?Sized>(value: &T) -> String {
        let json = encode(value).unwrap().unwrap();
        String::from_utf8(json.into()).unwrap()
    }

    #[test]
    fn what_is_as_deep_as_can_be_read_is_written_and_nothing_deeper() {
        for maps in [false, true] {
            let deepest = json(&Nested { depth: 127, maps });
            let read = decode::<serde_json::Value>(Some(deepest.as_bytes()));
            assert!(read.unwrap().is_some());
            let deeper = encode(&Nested { depth: 128, maps }).unwrap_err();
            assert!(deeper.to_string().contains("127 levels"), "{deeper}");
        }
    }

    #[test]
    fn what_lies_side_by_side_is_not_deep() {
        assert_eq!(json(&vec![[1]; 200]).len(), 801);
        let maps = vec![BTreeMap::from([("a", 1)]); 200];
        assert_eq!(json(&maps).len(), 1_601);
    }

    #[test]
    fn a_null_within_a_value_is_written_and_a_number_that_is_not_finite_is_refused() {
        #[derive(Serialize)]
        struct Width(f64);

        assert_eq!(json(&(None::<i64>, Width(1.5))), "[null,1.5]");
        let refused = encode(&[Width(f64::NAN)]).unwrap_err();
        assert!(refused.to_string().ends_with("is NaN or infinite"));
        assert_eq!(format!("{refused:?}"), format!("ValueError({refused})"));
    }
}
