//! The values of a session as bytes, which is how we keep them, and as `serde_json::Value`, which
//! is how tower-sessions does.

use std::collections::HashMap;

use serde_json::Value;
use tower_kr_session::store::Values;

/// The values of a record of tower-sessions.
pub(crate) type Data = HashMap<String, Value>;

/// Reads all values. A native handler may keep bytes that are no JSON: these stay out of sight.
pub(crate) fn parse(values: &Values) -> Data {
    let mut data = Data::with_capacity(values.len());
    for (key, bytes) in values.iter() {
        if let Ok(value) = serde_json::from_slice(bytes) {
            data.insert(key.to_owned(), value);
        }
    }
    data
}

/// Writes a value. Writing a `Value` into memory can't fail.
pub(crate) fn write(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// The keys whose values differ, with the new value, or `None` for a key to remove.
pub(crate) fn difference<'a>(
    before: &'a Data,
    after: &'a Data,
) -> impl Iterator<Item = (&'a str, Option<&'a Value>)> {
    let set = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(value))
        .map(|(key, value)| (key.as_str(), Some(value)));
    let removed = before
        .keys()
        .filter(|key| !after.contains_key(*key))
        .map(|key| (key.as_str(), None));
    set.chain(removed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use serde_json::json;
    use tower_kr_session::{
        Timestamp,
        key::KeyBuf,
        store::{Delta, IdleLimit, Instants, Record, SecretHash},
    };

    use super::*;

    fn data(value: Value) -> Data {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn only_what_differs_is_written() {
        let before = data(json!({"same": [1, {"b": 1, "a": 2}], "new": 1, "gone": 1}));
        let after = data(json!({"same": [1, {"a": 2, "b": 1}], "new": 1.0, "more": null}));
        let mut changes: Vec<_> = difference(&before, &after).collect();
        changes.sort_by_key(|(key, _)| *key);
        let expected = [
            ("gone", None),
            ("more", Some(&Value::Null)),
            ("new", Some(&after["new"])),
        ];
        assert_eq!(changes, expected);
        assert_eq!(difference(&after, &after).count(), 0);
    }

    #[test]
    fn bytes_that_are_no_json_are_no_values() {
        let now = Timestamp::from_unix_millis(1_800_000_000_000);
        let hour = Duration::from_secs(60 * 60);
        let secret = SecretHash::from_bytes([1; 32]);
        let mut record = Record::new(secret, now, IdleLimit::new(hour), hour);
        let mut delta = Delta::new(100);
        for (key, value) in [("json", &b"{\"a\": 0.1}"[..]), ("bytes", b"\xff")] {
            delta.change(KeyBuf::new(key).unwrap(), Some(Bytes::from_static(value)));
        }
        record.apply(&secret, &delta, Instants::at(now));
        let parsed = parse(&record.values);
        assert_eq!(parsed, data(json!({"json": {"a": 0.1}})));
        assert_eq!(write(&parsed["json"]), b"{\"a\":0.1}");
    }
}
