//! Properties of the two encodings of the core: the values of a session, and a whole record.

use std::{sync::LazyLock, time::Duration};

use tower_kr_session::{
    Label, Owner, Timestamp,
    key::KeyBuf,
    store::{
        ApplyOutcome, Delta, IdleLimit, Instants, Record, Retired, SecretHash, TokenState, Values,
    },
};

use crate::damage::Damage;

const LAST: Timestamp = Timestamp::from_unix_millis(i64::MAX);

/// Returns a record with everything that a record can have.
pub(crate) static FULL: LazyLock<Record> = LazyLock::new(|| {
    let time = Timestamp::from_unix_millis(1_800_000_000_000);
    let idle = IdleLimit::new(Duration::from_secs(1_200));
    let mut record = Record::new(
        SecretHash::from_bytes([7; 32]),
        time,
        idle,
        Duration::from_secs(43_200),
    );
    record.retired = Some(Box::new(Retired {
        secret: SecretHash::from_bytes([8; 32]),
        at: time,
    }));
    record.owner = Owner::new("max").ok();
    record.label = Label::new("Firefox").ok().map(Box::new);
    record.set_device(&[9; 60]).expect("a few bytes");
    record.authenticated_at = Some(time);
    record.persistent = true;
    // With short keys, one changed byte makes two of them equal, or puts them out of order.
    record.values = [("a", &b"\"purple\""[..]), ("b", b"41"), ("c", b"")]
        .into_iter()
        .collect();
    record
});

/// Bytes that decode as values are encoded as they were, hold valid keys in order, and find each of
/// them. Other bytes are refused.
pub fn values(data: &[u8]) {
    for bytes in [data.to_vec(), Damage(data).to(FULL.values.as_bytes())] {
        let Ok(values) = Values::decode(&bytes) else {
            continue;
        };
        assert_eq!(values.as_bytes(), bytes);
        check_values(&values);
    }
}

fn check_values(values: &Values) {
    let entries: Vec<(&str, &[u8])> = values.iter().collect();
    assert_eq!(entries.len(), values.len());
    assert!(entries.is_sorted_by(|(a, _), (b, _)| a < b));
    let size: usize = entries
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    assert_eq!(size as u64, values.size());
    for (key, value) in &entries {
        assert!(KeyBuf::new(key).is_ok());
        assert_eq!(values.get(key), Some(*value));
    }
    assert_eq!(values.get("no such key \0"), None);
    assert_eq!(&entries.into_iter().collect::<Values>(), values);
}

/// Bytes that decode as a record decode to the same one after it was encoded, and it can be used,
/// whatever its numbers are.
pub fn record(data: &[u8]) {
    for bytes in [data.to_vec(), Damage(data).to(&FULL.encode())] {
        if let Ok(record) = Record::decode(&bytes) {
            check_record(record);
        }
    }
}

/// Checks that no content of a record makes the code panic that uses it.
pub(crate) fn check_record(mut record: Record) {
    assert_eq!(Record::decode(&record.encode()).as_ref(), Ok(&record));
    check_values(&record.values);
    for now in [i64::MIN, -1, 0, 1_800_000_000_000, i64::MAX] {
        let at = Instants::at(Timestamp::from_unix_millis(now));
        let secret = record.secret;
        let alive = !record.is_expired(at);
        let wrong = SecretHash::from_bytes([9; 32]);
        assert_eq!(
            record.token_state(&secret, at) == TokenState::Current,
            alive
        );
        assert_ne!(record.token_state(&wrong, at), TokenState::Current);
        assert!(record.expires_at(at.now) <= record.absolute_deadline);
        assert!(
            record.reclaim_at() > record.idle_deadline.min(record.absolute_deadline)
                || record.reclaim_at() == LAST
        );
        let _ = record.touch_is_due(at.now);
        let applied = record.apply(&secret, &Delta::new(u64::MAX), at);
        assert_eq!(matches!(applied, ApplyOutcome::Applied(_)), alive);
        // After a change no deadline is further away than the record's own limits allow.
        if alive {
            let latest = at.now.saturating_add(record.absolute_timeout);
            assert!(record.absolute_deadline <= latest);
            let latest = at.now.saturating_add(record.idle.timeout);
            let latest = latest.saturating_add(record.idle.touch_interval);
            assert_eq!(record.idle_deadline, latest);
        }
    }
}
