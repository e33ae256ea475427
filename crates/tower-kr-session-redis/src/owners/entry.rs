//! Decides what is to be done about an entry of an owner's index, once its record is known.

use std::time::Duration;

use tower_kr_session::{Owner, Timestamp, store::Record};

use crate::record::Whose;

/// A sign-in that was announced this long ago isn't on its way any more: several I/O timeouts.
pub(super) const ON_ITS_WAY: Duration = Duration::from_secs(60);

/// What the index says of one session. `index.lua` describes the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The number of revocations when it was written.
    revocations: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The record carries the owner, until this absolute deadline.
    Until(Timestamp),
    /// Somebody who holds the record's secret has been signing in since then.
    SigningIn(Timestamp),
    /// A new record has been on its way since then.
    Creating(Timestamp),
}

/// The revocations of all sessions of an owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Revocations {
    pub(super) count: u64,
    pub(super) last: Option<Timestamp>,
}

/// What is to be done about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    /// The entry says what isn't so, and never will be.
    Drop,
    /// The record carries the owner until this deadline: the entry is to say so.
    Complete(Timestamp),
    /// The session is revoked: its record is to be removed, and then the entry.
    End(Whose),
}

impl Entry {
    /// Reads the text of an entry; `None` if this release can't.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let revocations = parts.next()?.parse().ok()?;
        let state = match parts.next()? {
            "until" => State::Until,
            "sign_in" => State::SigningIn,
            "creation" => State::Creating,
            _ => return None,
        };
        let time = parts.next()?.parse().ok()?;
        Some(Self {
            revocations,
            state: state(Timestamp::from_unix_millis(time)),
        })
    }

    /// Writes that the record carries the owner until this deadline.
    pub(super) fn until(deadline: Timestamp, revocations: Revocations) -> String {
        format!("{}:until:{}", revocations.count, deadline.as_unix_millis())
    }

    /// Whether the record may be about to get the owner, or to be created.
    pub(super) fn is_on_its_way(self, now: Timestamp) -> bool {
        match self.state {
            State::Until(_) => false,
            State::SigningIn(since) | State::Creating(since) => {
                now.saturating_duration_since(since) < ON_ITS_WAY
            }
        }
    }

    /// Whose record a revocation removes: nobody's only if a holder of its secret is about to give
    /// it the owner.
    pub(super) fn whose(self, now: Timestamp) -> Whose {
        match self.state {
            State::SigningIn(_) if self.is_on_its_way(now) => Whose::OwnersOrNobodys,
            _ => Whose::Owners,
        }
    }
}

impl Revocations {
    /// Whether this session is revoked. Its entry says so. If there is none (it was lost, or
    /// written by an earlier release), the time of the sign-in does.
    pub(super) fn include(&self, entry: Option<Entry>, authenticated_at: Timestamp) -> bool {
        match entry {
            Some(entry) => entry.revocations < self.count,
            None => self.last.is_some_and(|last| authenticated_at <= last),
        }
    }
}

/// Decides about an entry (`None`: one that can't be read) by the record that it is about.
pub(super) fn judge(
    entry: Option<Entry>,
    record: Option<&Record>,
    owner: &Owner,
    revocations: Revocations,
    now: Timestamp,
) -> Verdict {
    let on_its_way = entry.is_some_and(|entry| entry.is_on_its_way(now));
    let Some(record) = record else {
        return if on_its_way {
            Verdict::Keep
        } else {
            Verdict::Drop
        };
    };
    let authenticated_at = record.authenticated_at.unwrap_or(record.created_at);
    let revoked = revocations.include(entry, authenticated_at);
    let whose = entry.map_or(Whose::Owners, |entry| entry.whose(now));
    match &record.owner {
        Some(held) if held != owner => Verdict::Drop,
        Some(_) if revoked => Verdict::End(whose),
        Some(_) if on_its_way => Verdict::Keep,
        Some(_) => match entry.map(|entry| entry.state) {
            Some(State::Until(deadline)) if deadline >= record.absolute_deadline => Verdict::Keep,
            _ => Verdict::Complete(record.absolute_deadline),
        },
        None if !on_its_way => Verdict::Drop,
        None if revoked && whose == Whose::OwnersOrNobodys => Verdict::End(whose),
        None => Verdict::Keep,
    }
}

#[cfg(test)]
mod tests {
    use tower_kr_session::store::{IdleLimit, SecretHash};

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_000_000);

    fn owner(name: &str) -> Owner {
        Owner::new(name).expect("a valid owner")
    }

    fn record(owner: Option<&str>) -> Record {
        let idle = IdleLimit {
            timeout: Duration::from_secs(600),
            touch_interval: Duration::from_secs(60),
        };
        let secret = SecretHash::from_bytes([1; 32]);
        let mut record = Record::new(secret, NOW, idle, Duration::from_secs(3_600));
        record.owner = owner.map(self::owner);
        record.authenticated_at = Some(NOW);
        record
    }

    /// What is done about an entry, after two revocations of which the last was `since`
    /// milliseconds before the sign-in.
    fn verdict(entry: &str, record: Option<&Record>, since: i64) -> Verdict {
        let revocations = Revocations {
            count: 2,
            last: Some(Timestamp::from_unix_millis(NOW.as_unix_millis() - since)),
        };
        judge(Entry::read(entry), record, &owner("max"), revocations, NOW)
    }

    /// The text of an entry of this time.
    fn entry(count: u64, state: &str, seconds_ago: i64) -> String {
        format!(
            "{count}:{state}:{}:nonce",
            NOW.as_unix_millis() - 1_000 * seconds_ago
        )
    }

    #[test]
    fn an_entry_is_dropped_if_its_record_is_gone_or_has_another_owner() {
        let other = record(Some("other"));
        let nobodys = record(None);
        for count in [1, 2] {
            let until = entry(count, "until", -3_600);
            for record in [None, Some(&other), Some(&nobodys)] {
                assert_eq!(verdict(&until, record, 1), Verdict::Drop);
            }
            for state in ["sign_in", "creation"] {
                let given_up = entry(count, state, 60);
                for record in [None, Some(&other), Some(&nobodys)] {
                    assert_eq!(verdict(&given_up, record, 1), Verdict::Drop);
                }
                let on_its_way = entry(count, state, 59);
                assert_eq!(verdict(&on_its_way, None, 1), Verdict::Keep);
                assert_eq!(verdict(&on_its_way, Some(&other), 1), Verdict::Drop);
            }
        }
    }

    #[test]
    fn a_revoked_session_ends_but_nobodys_only_if_its_secret_was_checked() {
        let (own, nobodys) = (record(Some("max")), record(None));
        let owners = Verdict::End(Whose::Owners);
        let or_nobodys = Verdict::End(Whose::OwnersOrNobodys);
        assert_eq!(verdict(&entry(1, "until", -3_600), Some(&own), 1), owners);
        assert_eq!(verdict(&entry(1, "creation", 59), Some(&own), 1), owners);
        assert_eq!(verdict(&entry(1, "sign_in", 60), Some(&own), 1), owners);
        assert_eq!(verdict(&entry(1, "sign_in", 59), Some(&own), 1), or_nobodys);
        let nobodys = Some(&nobodys);
        assert_eq!(verdict(&entry(1, "sign_in", 59), nobodys, 1), or_nobodys);
        for kept in [entry(1, "creation", 59), entry(2, "sign_in", 59)] {
            assert_eq!(verdict(&kept, nobodys, 1), Verdict::Keep);
        }
    }

    #[test]
    fn a_session_that_carries_the_owner_is_kept_until_its_deadline() {
        let own = record(Some("max"));
        let complete = Verdict::Complete(own.absolute_deadline);
        // A clock may be behind, and what is unknown counts by the time of the sign-in alone.
        for (entry, since, expected) in [
            (entry(2, "until", -3_600), 0, Verdict::Keep),
            (entry(2, "until", -3_599), 0, complete),
            (entry(2, "until", 10_000), 0, complete),
            (entry(3, "until", -3_600), 0, Verdict::Keep),
            (entry(2, "sign_in", 59), 0, Verdict::Keep),
            (entry(2, "sign_in", 60), 0, complete),
            (entry(2, "creation", 60), 0, complete),
            ("until:99".to_owned(), 1, complete),
            ("until:99".to_owned(), 0, Verdict::End(Whose::Owners)),
            ("revoked:99".to_owned(), 0, Verdict::End(Whose::Owners)),
        ] {
            let found = verdict(&entry, Some(&own), since);
            assert_eq!(found, expected, "{entry}");
        }
    }

    #[test]
    fn what_is_no_entry_is_not_read() {
        for text in [
            "",
            "1",
            "1:until",
            "1:until:x",
            "x:until:1",
            "1:until:",
            "-1:until:1",
            "1:x:1",
        ] {
            assert_eq!(Entry::read(text), None, "{text}");
        }
        let revocations = Revocations {
            count: 7,
            last: None,
        };
        let until = Entry::until(Timestamp::from_unix_millis(-5), revocations);
        assert_eq!(until, "7:until:-5");
        assert!(Entry::read(&until).is_some());
    }
}
