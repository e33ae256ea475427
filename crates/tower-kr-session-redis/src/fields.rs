//! A record as the fields of a hash. The scripts know the same names.

use std::{borrow::Cow, time::Duration};

use tower_kr_session::{IdleLimit, KeyBuf, Owner, Record, Retired, SecretHash, Timestamp, Values};

/// What the field of a value begins with: no user key can meet a field of the record.
pub(crate) const VALUE_PREFIX: &str = "v:";

const VERSION: &str = "1";

/// The fields of a record without its values.
pub(crate) const NAMES: [&str; 14] = [
    "version",
    "secret",
    "retired",
    "retired_at",
    "owner",
    "created_at",
    "authenticated_at",
    "idle_timeout",
    "touch_interval",
    "absolute_timeout",
    "persistent",
    "idle_deadline",
    "absolute_deadline",
    "size",
];

/// Why a hash is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It was written by a later release.
    Version(u8),
    /// This field is missing or makes no sense.
    Corrupt(&'static str),
}

/// The field of a value.
pub(crate) fn value_field(key: &KeyBuf) -> Vec<u8> {
    [VALUE_PREFIX.as_bytes(), key.as_str().as_bytes()].concat()
}

/// All fields with their values, one after the other.
pub(crate) fn write(record: &Record) -> Vec<Cow<'_, [u8]>> {
    let mut fields: Vec<Cow<'_, [u8]>> =
        Vec::with_capacity(2 * (NAMES.len() + record.values.len()));
    let mut field = |name: &'static str, value: Cow<'static, [u8]>| {
        fields.push(Cow::Borrowed(name.as_bytes()));
        fields.push(value);
    };
    let text = |text: String| Cow::Owned(text.into_bytes());
    field("version", Cow::Borrowed(VERSION.as_bytes()));
    field("secret", text(hash_text(&record.secret)));
    if let Some(retired) = &record.retired {
        field("retired", text(hash_text(&retired.secret)));
        field("retired_at", text(time_text(retired.at)));
    }
    if let Some(owner) = &record.owner {
        field("owner", text(owner.as_str().to_owned()));
    }
    field("created_at", text(time_text(record.created_at)));
    if let Some(time) = record.authenticated_at {
        field("authenticated_at", text(time_text(time)));
    }
    field("idle_timeout", text(duration_text(record.idle.timeout)));
    field(
        "touch_interval",
        text(duration_text(record.idle.touch_interval)),
    );
    field(
        "absolute_timeout",
        text(duration_text(record.absolute_timeout)),
    );
    if record.persistent {
        field("persistent", Cow::Borrowed(b"1"));
    }
    field("idle_deadline", text(time_text(record.idle_deadline)));
    field(
        "absolute_deadline",
        text(time_text(record.absolute_deadline)),
    );
    field("size", text(record.values.size().to_string()));
    for (key, value) in record.values.iter() {
        fields.push(Cow::Owned(
            [VALUE_PREFIX.as_bytes(), key.as_bytes()].concat(),
        ));
        fields.push(Cow::Borrowed(value));
    }
    fields
}

/// Reads a record from all its fields, in any order.
pub(crate) fn read<'a>(
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<Record, Unreadable> {
    let mut head: [Option<&[u8]>; NAMES.len()] = [None; NAMES.len()];
    let mut values: Vec<(&str, &[u8])> = Vec::new();
    for (field, value) in fields {
        if let Some(key) = field.strip_prefix(VALUE_PREFIX.as_bytes()) {
            let key = str::from_utf8(key)
                .ok()
                .filter(|key| KeyBuf::new(key).is_ok());
            values.push((key.ok_or(Unreadable::Corrupt("a key"))?, value));
        } else if let Some(index) = NAMES.iter().position(|name| name.as_bytes() == field) {
            head[index] = Some(value);
        }
    }
    let head = Head(head);
    head.check_version()?;
    let idle = IdleLimit {
        timeout: head.duration("idle_timeout")?,
        touch_interval: head.duration("touch_interval")?,
    };
    let mut record = Record::new(
        head.hash("secret")?.ok_or(Unreadable::Corrupt("secret"))?,
        head.required_time("created_at")?,
        idle,
        head.duration("absolute_timeout")?,
    );
    record.retired = match (head.hash("retired")?, head.time("retired_at")?) {
        (Some(secret), Some(at)) => Some(Retired { secret, at }),
        (None, None) => None,
        _ => return Err(Unreadable::Corrupt("retired")),
    };
    record.owner = match head.get("owner") {
        Some(owner) => {
            let owner = str::from_utf8(owner)
                .ok()
                .and_then(|owner| Owner::new(owner).ok());
            Some(owner.ok_or(Unreadable::Corrupt("owner"))?)
        }
        None => None,
    };
    record.authenticated_at = head.time("authenticated_at")?;
    record.persistent = match head.get("persistent") {
        Some(b"1") => true,
        None => false,
        Some(_) => return Err(Unreadable::Corrupt("persistent")),
    };
    record.idle_deadline = head.required_time("idle_deadline")?;
    record.absolute_deadline = head.required_time("absolute_deadline")?;
    head.duration("size")?;
    record.values = values.into_iter().collect::<Values>();
    Ok(record)
}

struct Head<'a>([Option<&'a [u8]>; NAMES.len()]);

impl<'a> Head<'a> {
    fn get(&self, name: &str) -> Option<&'a [u8]> {
        let index = NAMES.iter().position(|known| *known == name)?;
        self.0[index]
    }

    fn check_version(&self) -> Result<(), Unreadable> {
        let version = self.get("version").unwrap_or_default();
        if version == VERSION.as_bytes() {
            return Ok(());
        }
        let number = parse_integer(version).and_then(|number| u8::try_from(number).ok());
        Err(number.map_or(Unreadable::Corrupt("version"), Unreadable::Version))
    }

    fn integer(&self, name: &'static str) -> Result<Option<i64>, Unreadable> {
        let parse = |text| parse_integer(text).ok_or(Unreadable::Corrupt(name));
        self.get(name).map(parse).transpose()
    }

    fn time(&self, name: &'static str) -> Result<Option<Timestamp>, Unreadable> {
        Ok(self.integer(name)?.map(Timestamp::from_unix_millis))
    }

    fn required_time(&self, name: &'static str) -> Result<Timestamp, Unreadable> {
        self.time(name)?.ok_or(Unreadable::Corrupt(name))
    }

    fn duration(&self, name: &'static str) -> Result<Duration, Unreadable> {
        let millis = self
            .integer(name)?
            .and_then(|millis| u64::try_from(millis).ok());
        millis
            .map(Duration::from_millis)
            .ok_or(Unreadable::Corrupt(name))
    }

    fn hash(&self, name: &'static str) -> Result<Option<SecretHash>, Unreadable> {
        let parse = |text| parse_hash(text).ok_or(Unreadable::Corrupt(name));
        self.get(name).map(parse).transpose()
    }
}

pub(crate) fn time_text(time: Timestamp) -> String {
    time.as_unix_millis().to_string()
}

/// Whole milliseconds, at most what a timestamp can be.
pub(crate) fn duration_text(duration: Duration) -> String {
    i64::try_from(duration.as_millis())
        .unwrap_or(i64::MAX)
        .to_string()
}

pub(crate) fn hash_text(hash: &SecretHash) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    hash.as_bytes()
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn parse_hash(text: &[u8]) -> Option<SecretHash> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = nibble(digits[0])? << 4 | nibble(digits[1])?;
    }
    Some(SecretHash::from_bytes(bytes))
}

/// Only what an integer is written with: the scripts are as strict.
pub(crate) fn parse_integer(text: &[u8]) -> Option<i64> {
    let number: i64 = str::from_utf8(text).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    fn records() -> impl Strategy<Value = Record> {
        let values = vec(("[a-z\u{1f36a}:]{1,4}", vec(any::<u8>(), 0..20)), 0..6);
        let times = (any::<i64>(), any::<i64>(), any::<i64>());
        let retired = option::of((any::<[u8; 32]>(), any::<i64>()));
        let limits = (0..i64::MAX as u64, 0..i64::MAX as u64, 0..i64::MAX as u64);
        let owner = option::of("[^a]{1,20}");
        let more = (option::of(any::<i64>()), any::<bool>());
        (
            any::<[u8; 32]>(),
            times,
            retired,
            limits,
            owner,
            more,
            values,
        )
            .prop_map(|(secret, times, retired, limits, owner, more, values)| {
                let idle = IdleLimit {
                    timeout: Duration::from_millis(limits.0),
                    touch_interval: Duration::from_millis(limits.1),
                };
                let mut record = Record::new(
                    SecretHash::from_bytes(secret),
                    Timestamp::from_unix_millis(times.0),
                    idle,
                    Duration::from_millis(limits.2),
                );
                record.idle_deadline = Timestamp::from_unix_millis(times.1);
                record.absolute_deadline = Timestamp::from_unix_millis(times.2);
                record.retired = retired.map(|(secret, at)| Retired {
                    secret: SecretHash::from_bytes(secret),
                    at: Timestamp::from_unix_millis(at),
                });
                record.owner = owner.map(|owner| Owner::new(&owner).expect("a valid owner"));
                record.authenticated_at = more.0.map(Timestamp::from_unix_millis);
                record.persistent = more.1;
                record.values = values.into_iter().collect();
                record
            })
    }

    fn pairs(fields: &[Cow<'_, [u8]>]) -> Vec<(Vec<u8>, Vec<u8>)> {
        fields
            .chunks_exact(2)
            .map(|pair| (pair[0].to_vec(), pair[1].to_vec()))
            .collect()
    }

    fn read_pairs(pairs: &[(Vec<u8>, Vec<u8>)]) -> Result<Record, Unreadable> {
        read(pairs.iter().map(|(field, value)| (&field[..], &value[..])))
    }

    proptest! {
        #[test]
        fn a_record_round_trips_in_any_order(record in records(), seed in any::<u64>()) {
            let mut pairs = pairs(&write(&record));
            let length = pairs.len() as u64;
            pairs.rotate_left((seed % length) as usize);
            prop_assert_eq!(read_pairs(&pairs), Ok(record));
        }

        #[test]
        fn damage_never_panics(
            record in records(),
            at in any::<prop::sample::Index>(),
            damage in vec(any::<u8>(), 0..5),
        ) {
            let mut pairs = pairs(&write(&record));
            let index = at.index(pairs.len());
            pairs[index].1 = damage;
            let _ = read_pairs(&pairs);
            pairs.remove(index);
            let _ = read_pairs(&pairs);
        }
    }

    #[test]
    fn every_field_but_the_optional_ones_is_needed() {
        let idle = IdleLimit {
            timeout: Duration::from_secs(20),
            touch_interval: Duration::from_secs(1),
        };
        let record = Record::new(
            SecretHash::from_bytes([1; 32]),
            Timestamp::from_unix_millis(1_000),
            idle,
            Duration::from_secs(60),
        );
        let whole = pairs(&write(&record));
        for index in 0..whole.len() {
            let mut fields = whole.clone();
            let (name, _) = fields.remove(index);
            let found = read_pairs(&fields);
            match found {
                Err(Unreadable::Corrupt(field)) => assert_eq!(field.as_bytes(), name),
                other => panic!("{other:?} without {name:?}"),
            }
        }
        let mut later = whole;
        later[0].1 = b"7".to_vec();
        assert_eq!(read_pairs(&later), Err(Unreadable::Version(7)));
    }
}
