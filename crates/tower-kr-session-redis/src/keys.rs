//! Names the keys in Redis.

use std::{fmt::Display, io::Write};

use tower_kr_session::{Owner, SessionId};

/// Names keys with the store's prefix.
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    pub(crate) fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// Names the hash of a session.
    pub(crate) fn session(&self, id: SessionId) -> Vec<u8> {
        self.name("session:", id)
    }

    /// Returns a pattern that the names of all sessions match.
    pub(crate) fn sessions(&self) -> String {
        let mut pattern = String::with_capacity(self.prefix.len() + 9);
        for character in self.prefix.chars() {
            if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^') {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern + "session:*"
    }

    /// Returns the session of this name.
    pub(crate) fn session_id(&self, name: &[u8]) -> Option<SessionId> {
        let id = name.strip_prefix(self.prefix.as_bytes())?;
        let id = str::from_utf8(id.strip_prefix(b"session:")?).ok()?;
        id.parse().ok()
    }

    /// Names the index of an owner's sessions.
    ///
    /// The last colon of a key's name comes before the id or the owner, so stores with different
    /// prefixes never share a key, not even `app:` and `app:owner:`.
    pub(crate) fn owner(&self, owner: &Owner) -> Vec<u8> {
        match owner.as_str() {
            owner if owner.contains([':', '%']) => {
                self.name("owner:", owner.replace('%', "%25").replace(':', "%3A"))
            }
            owner => self.name("owner:", owner),
        }
    }

    fn name(&self, kind: &str, what: impl Display) -> Vec<u8> {
        /// The length of a session id.
        const USUAL: usize = 36;
        let mut name = Vec::with_capacity(self.prefix.len() + kind.len() + USUAL);
        name.extend(self.prefix.as_bytes());
        name.extend(kind.as_bytes());
        write!(name, "{what}").expect("a vector takes any text");
        name
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tower_kr_session::Timestamp;

    use super::*;

    #[test]
    fn a_session_is_read_from_its_name() {
        let id = SessionId::generate(Timestamp::from_unix_millis(0));
        let keys = Keys::new("a*[b]:".to_owned());
        assert_eq!(keys.session_id(&keys.session(id)), Some(id));
        assert_eq!(keys.sessions(), r"a\*\[b\]:session:*");
        let other = Keys::new("a:".to_owned());
        assert_eq!(keys.session_id(&other.session(id)), None);
        assert_eq!(keys.session_id(b"a*[b]:session:x"), None);
    }

    #[test]
    fn names_are_readable() {
        let keys = Keys::new("kr:".to_owned());
        let owner = |name| keys.owner(&Owner::new(name).expect("a valid owner"));
        assert_eq!(owner("max@example.com"), b"kr:owner:max@example.com");
        assert_eq!(owner("team:max 100%"), b"kr:owner:team%3Amax 100%25");
    }

    #[test]
    fn no_two_prefixes_share_a_key() {
        let id = SessionId::generate(Timestamp::from_unix_millis(0));
        let mut owners: Vec<String> = ["max", "", "%", "%25", "%3A", ":", "owner:", "owner:max"]
            .iter()
            .map(|owner| format!("x{owner}"))
            .collect();
        owners.extend([
            format!("session:{id}"),
            format!("{id}"),
            "owner:max".to_owned(),
        ]);
        let prefixes = [
            "",
            "app:",
            "app:owner:",
            "app:session:",
            "app:owner:owner:",
            "owner:",
        ];
        let mut names = HashMap::new();
        for prefix in prefixes {
            let keys = Keys::new(prefix.to_owned());
            let mut add = |name: Vec<u8>, what: String| {
                let what = format!("{what} of {prefix:?}");
                if let Some(other) = names.insert(name.clone(), what.clone()) {
                    panic!("{other} and {what}: {:?}", String::from_utf8_lossy(&name));
                }
            };
            add(keys.session(id), "a session".to_owned());
            for owner in &owners {
                let name = keys.owner(&Owner::new(owner).expect("a valid owner"));
                add(name, format!("the owner {owner:?}"));
            }
        }
    }
}
