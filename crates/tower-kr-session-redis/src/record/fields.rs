//! Writes a record as the fields of a hash, and reads it back. `record.lua` describes each field.

use std::borrow::Cow;

use tower_kr_session::{
    Label, Owner, Timestamp,
    key::KeyBuf,
    store::{DecodeError, Record, Retired, SecretHash, Values},
};

use super::{
    life::{self, Life},
    numbers::{self, NUMBER},
};

/// Prefix of a value's field, so that no key of the application meets a field of the record.
pub(crate) const VALUE_PREFIX: &str = "v:";

/// The version that is written.
const VERSION: u8 = 3;

/// A version that is still read. It doesn't say when the owner's index was last asked.
const BEFORE: u8 = 2;

/// The fields of a record without its values.
pub(crate) const NAMES: [&str; 6] = ["head", "life", "owner", "label", "retired", "device"];

/// Why a hash can't be read as a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A later release wrote it.
    Version(u8),
    /// This field is missing or makes no sense.
    Corrupt(&'static str),
}

/// Returns the field of a value.
pub(crate) fn value_field(key: &str) -> Vec<u8> {
    [VALUE_PREFIX.as_bytes(), key.as_bytes()].concat()
}

/// Writes all fields, names and values in turn. `asked_at` is when the owner's index was asked.
pub(crate) fn write(record: &Record, asked_at: Timestamp) -> Vec<Cow<'_, [u8]>> {
    let mut fields: Vec<Cow<'_, [u8]>> =
        Vec::with_capacity(2 * (NAMES.len() + record.values.len()));
    let mut head = Vec::with_capacity(1 + HASH + 3 * NUMBER);
    head.push(VERSION);
    head.extend(record.secret.as_bytes());
    head.extend(numbers::time(record.created_at));
    if record.owner.is_some() || record.authenticated_at.is_some() {
        head.extend(numbers::known_time(record.authenticated_at));
        head.extend(numbers::time(asked_at));
    }
    fields.extend([Cow::from(&b"head"[..]), Cow::from(head)]);
    fields.extend([Cow::from(&b"life"[..]), Cow::from(life::write(record))]);
    if let Some(owner) = &record.owner {
        fields.extend([&b"owner"[..], owner.as_str().as_bytes()].map(Cow::from));
    }
    if let Some(label) = &record.label {
        fields.extend([&b"label"[..], label.as_str().as_bytes()].map(Cow::from));
    }
    if let Some(retired) = &record.retired {
        let retired = [&retired.secret.as_bytes()[..], &numbers::time(retired.at)].concat();
        fields.extend([Cow::from(&b"retired"[..]), Cow::from(retired)]);
    }
    if let Some(device) = record.device() {
        fields.extend([&b"device"[..], device].map(Cow::from));
    }
    for (key, value) in record.values.iter() {
        fields.extend([Cow::from(value_field(key)), Cow::from(value)]);
    }
    fields
}

/// Reads a record from its fields, in any order.
pub(crate) fn read<'a>(
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<Record, Unreadable> {
    let mut known: [Option<&[u8]>; NAMES.len()] = [None; NAMES.len()];
    let mut values: Vec<(&str, &[u8])> = Vec::new();
    for (field, value) in fields {
        if let Some(key) = field.strip_prefix(VALUE_PREFIX.as_bytes()) {
            let key = str::from_utf8(key)
                .ok()
                .filter(|key| KeyBuf::new(key).is_ok());
            values.push((key.ok_or(Unreadable::Corrupt("a key"))?, value));
        } else if let Some(index) = NAMES.iter().position(|name| name.as_bytes() == field) {
            known[index] = Some(value);
        }
    }
    let [head, life, owner, label, retired, device] = known;
    let head = head.ok_or(Unreadable::Corrupt("head"))?;
    match head.first() {
        Some(&(VERSION | BEFORE)) => {}
        Some(&version) => return Err(Unreadable::Version(version)),
        None => return Err(Unreadable::Corrupt("head")),
    }
    let head = Head::read(head).ok_or(Unreadable::Corrupt("head"))?;
    let life = life.and_then(Life::read);
    let life = life.ok_or(Unreadable::Corrupt("life"))?;
    let mut record = Record::new(
        head.secret,
        head.created_at,
        life.idle,
        life.absolute_timeout,
    );
    record.authenticated_at = head.authenticated_at;
    record.idle_deadline = life.idle_deadline;
    record.absolute_deadline = life.absolute_deadline;
    record.persistent = life.persistent;
    if let Some(owner) = owner {
        let owner = str::from_utf8(owner).ok();
        let owner = owner.and_then(|owner| Owner::new(owner).ok());
        record.owner = Some(owner.ok_or(Unreadable::Corrupt("owner"))?);
    }
    if let Some(label) = label {
        let label = str::from_utf8(label).ok();
        let label = label.and_then(|label| Label::new(label).ok());
        record.label = Some(Box::new(label.ok_or(Unreadable::Corrupt("label"))?));
    }
    if let Some(retired) = retired {
        let retired = read_retired(retired).ok_or(Unreadable::Corrupt("retired"))?;
        record.retired = Some(Box::new(retired));
    }
    if let Some(device) = device {
        record.set_device(device).map_err(|error| match error {
            DecodeError::UnknownVersion { version } => Unreadable::Version(version),
            _ => Unreadable::Corrupt("device"),
        })?;
    }
    record.values = values.into_iter().collect::<Values>();
    Ok(record)
}

const HASH: usize = 32;

/// The contents of `head`.
pub(crate) struct Head {
    secret: SecretHash,
    pub(crate) created_at: Timestamp,
    pub(crate) authenticated_at: Option<Timestamp>,
}

impl Head {
    pub(crate) fn read(head: &[u8]) -> Option<Self> {
        let (version, mut rest) = head.split_first()?;
        let mut head = Self {
            secret: take_hash(&mut rest)?,
            created_at: numbers::take_time(&mut rest)?,
            authenticated_at: None,
        };
        if !rest.is_empty() {
            head.authenticated_at = numbers::take_known_time(&mut rest)?;
            if *version == VERSION {
                let _asked_at = rest.split_off(..NUMBER)?;
            }
        }
        rest.is_empty().then_some(head)
    }
}

fn read_retired(mut retired: &[u8]) -> Option<Retired> {
    let secret = take_hash(&mut retired)?;
    let at = numbers::take_time(&mut retired)?;
    retired.is_empty().then_some(Retired { secret, at })
}

fn take_hash(bytes: &mut &[u8]) -> Option<SecretHash> {
    let (hash, rest) = bytes.split_first_chunk::<HASH>()?;
    *bytes = rest;
    Some(SecretHash::from_bytes(*hash))
}

/// Parses an integer in its only form, as strictly as the scripts do.
pub(crate) fn parse_integer(text: &[u8]) -> Option<i64> {
    let number: i64 = str::from_utf8(text).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == text).then_some(number)
}

pub(crate) fn time_text(time: Timestamp) -> String {
    time.as_unix_millis().to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::{collection::vec, option, prelude::*};
    use tower_kr_session::store::IdleLimit;

    use super::*;

    /// Beyond this a float skips integers.
    const EXACT: i64 = 1 << 53;

    fn millis() -> impl Strategy<Value = i64> {
        -EXACT..=EXACT
    }

    fn records() -> impl Strategy<Value = Record> {
        let values = vec(("[a-z\u{1f36a}:]{1,4}", vec(any::<u8>(), 0..20)), 0..6);
        let times = (millis(), millis(), millis());
        let retired = option::of((any::<[u8; 32]>(), millis()));
        let limit = || 0..=EXACT as u64;
        let limits = (limit(), limit(), limit());
        let owner = option::of("[^a]{1,20}");
        let label = option::of("[^a]{1,20}");
        let more = (option::of(millis()), any::<bool>());
        (
            any::<[u8; 32]>(),
            times,
            retired,
            limits,
            (owner, label),
            more,
            values,
        )
            .prop_map(
                |(secret, times, retired, limits, (owner, label), more, values)| {
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
                    record.retired = retired.map(|(secret, at)| {
                        Box::new(Retired {
                            secret: SecretHash::from_bytes(secret),
                            at: Timestamp::from_unix_millis(at),
                        })
                    });
                    record.owner = owner.map(|owner| Owner::new(&owner).expect("a valid owner"));
                    record.label =
                        label.map(|label| Box::new(Label::new(&label).expect("a label")));
                    record.authenticated_at = more.0.map(Timestamp::from_unix_millis);
                    record.persistent = more.1;
                    record.values = values.into_iter().collect();
                    record
                },
            )
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
        fn a_record_round_trips_in_any_order(
            record in records(),
            asked_at in millis(),
            seed in any::<u64>(),
        ) {
            let mut pairs = pairs(&write(&record, Timestamp::from_unix_millis(asked_at)));
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
            let mut pairs = pairs(&write(&record, record.created_at));
            let index = at.index(pairs.len());
            pairs[index].1 = damage;
            let _ = read_pairs(&pairs);
            pairs.remove(index);
            let _ = read_pairs(&pairs);
        }
    }

    proptest! {
        #[test]
        fn what_the_earlier_version_wrote_is_read(mut record in records(), at in option::of(millis())) {
            let at = at.map(Timestamp::from_unix_millis);
            record.authenticated_at = at;
            record.owner = record.owner.filter(|_| at.is_some());
            let mut pairs = pairs(&write(&record, record.created_at));
            let head = &mut pairs[0].1;
            head[0] = BEFORE;
            if at.is_some() {
                head.truncate(head.len() - NUMBER);
            }
            prop_assert_eq!(read_pairs(&pairs), Ok(record));
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
        let whole = pairs(&write(&record, record.created_at));
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
        later[0].1[0] = 7;
        assert_eq!(read_pairs(&later), Err(Unreadable::Version(7)));
    }
}
