//! What the calls that tower-sessions makes of its store mean for the session of a request. Plain
//! decisions, without I/O.
//!
//! tower-sessions knows no rotation and no end of a session, but only records. What a handler meant
//! follows from the order of calls and from the ids in them:
//!
//! | a handler's call | arrives as | means here |
//! |---|---|---|
//! | `save` | `save` of what was loaded, and changed | set what differs |
//! | `clear` before anything was loaded | `save` without a `load` | clear, then set |
//! | `cycle_id` | `delete`, then `create` under a new id | rotate, then set what differs |
//! | `flush`, with values set later | `delete`, then `create` under the old id | end, and start anew |
//! | `delete`, `flush` | `delete`, then nothing | end |

use crate::values::Data;

/// The id of a record of tower-sessions.
pub(crate) type RawId = i128;

/// What is known of the calls so far.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// The id under which the handlers know the session of this request.
    id: Option<RawId>,
    /// The others, once it was rotated or started.
    further_ids: Vec<RawId>,
    end: End,
}

/// Whether the session was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    No,
    /// Once: what comes next says whether it was `cycle_id`.
    Deleted,
    /// It can't have been `cycle_id`.
    Ended,
}

/// What becomes of the session before values are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It goes on, or starts if there is none.
    GoOn,
    /// It gets a new token.
    Rotate,
    /// It loses all values.
    Clear,
    /// It ends, and a new one starts.
    Renew,
}

impl Step {
    /// The values over which the new ones are set.
    pub(crate) fn base(self, known: Option<Data>) -> Data {
        match self {
            Self::GoOn | Self::Rotate => known.unwrap_or_default(),
            Self::Clear | Self::Renew => Data::new(),
        }
    }
}

impl Calls {
    /// Notes an id under which the handlers know the session.
    pub(crate) fn know_as(&mut self, id: RawId) {
        if self.id.is_none() {
            self.id = Some(id);
        } else if !self.is_own(id) {
            self.further_ids.push(id);
        }
    }

    fn is_own(&self, id: RawId) -> bool {
        self.id == Some(id) || self.further_ids.contains(&id)
    }

    /// Whether `load` finds the session.
    pub(crate) fn load(&mut self, id: RawId) -> bool {
        if self.end == End::Deleted {
            // `cycle_id` keeps its record, and loads nothing.
            self.end = End::Ended;
        }
        self.end == End::No && self.is_own(id)
    }

    pub(crate) fn delete(&mut self, id: RawId) {
        if self.is_own(id) {
            self.end = match self.end {
                End::No => End::Deleted,
                End::Deleted | End::Ended => End::Ended,
            };
        }
    }

    /// What `save` means, or `None` if it is of another session. `known`: what was loaded or last
    /// saved.
    pub(crate) fn save(&self, id: RawId, known: Option<&Data>) -> Option<Step> {
        let step = match (self.end, known) {
            (End::No, Some(_)) => Step::GoOn,
            (End::No, None) => Step::Clear,
            (End::Deleted | End::Ended, _) => Step::Renew,
        };
        self.is_own(id).then_some(step)
    }

    /// What `create` of a record with these values means.
    pub(crate) fn create(&self, id: RawId, known: Option<&Data>, data: &Data) -> Step {
        match (self.end, known) {
            (End::No, _) => Step::GoOn,
            (End::Deleted, Some(known)) if !self.is_own(id) && stays(known, data) => Step::Rotate,
            (End::Deleted | End::Ended, _) => Step::Renew,
        }
    }

    /// Takes in that a record was stored under this id.
    pub(crate) fn stored(&mut self, id: RawId) {
        self.end = End::No;
        self.know_as(id);
    }

    /// Whether the session is to end now, since nothing was stored after its `delete`.
    pub(crate) fn is_over(&self) -> bool {
        self.end != End::No
    }
}

/// Whether anything of a session goes on. If all its values went, a `cycle_id` before or after was
/// no more than one step of ending it.
fn stays(known: &Data, data: &Data) -> bool {
    known.is_empty() || known.keys().any(|key| data.contains_key(key))
}

/// Who a session belongs to, before and after a change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Users<'a> {
    /// The user in the values that were loaded; `None` if nothing was loaded.
    pub(crate) before: Option<Option<&'a str>>,
    /// The user in the values to store.
    pub(crate) after: Option<&'a str>,
    /// The owner of the session.
    pub(crate) owner: Option<&'a str>,
}

/// What a change of the user in the values adds to a step: the session of one user never becomes
/// that of another one, or of nobody. Returns also whether the user signs in.
pub(crate) fn follow_user(step: Step, users: Users<'_>) -> (Step, bool) {
    let Users {
        before,
        after,
        owner,
    } = users;
    let owner = owner.filter(|_| step != Step::Renew);
    match (after, owner) {
        (Some(after), Some(owner)) if after == owner => (step, false),
        (Some(_), Some(_)) => (Step::Renew, true),
        (Some(_), None) => (step, true),
        // A user who never was in the values signed in elsewhere, and stays.
        (None, Some(_)) if before == Some(None) => (step, false),
        (None, Some(_)) => (Step::Renew, false),
        (None, None) => (step, false),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OWN: RawId = 1;
    const NEW: RawId = 2;

    fn calls() -> Calls {
        let mut calls = Calls::default();
        calls.know_as(OWN);
        calls
    }

    fn data(keys: &[&str]) -> Data {
        let pairs = keys.iter().map(|key| ((*key).to_owned(), json!(1)));
        pairs.collect()
    }

    #[test]
    fn a_save_sets_what_differs_and_one_without_a_load_clears_first() {
        let known = data(&["a"]);
        assert_eq!(calls().save(OWN, Some(&known)), Some(Step::GoOn));
        assert_eq!(calls().save(OWN, None), Some(Step::Clear));
        assert_eq!(calls().save(NEW, Some(&known)), None);
        assert_eq!(Step::GoOn.base(Some(known.clone())), known);
        assert_eq!(Step::Clear.base(Some(known)), Data::new());
    }

    #[test]
    fn a_create_where_nothing_was_deleted_starts_a_session() {
        assert_eq!(calls().create(NEW, None, &data(&["a"])), Step::GoOn);
        let known = Data::new();
        assert_eq!(calls().create(NEW, Some(&known), &data(&["a"])), Step::GoOn);
    }

    #[test]
    fn delete_and_a_create_under_a_new_id_are_a_rotation() {
        let mut calls = calls();
        calls.delete(OWN);
        let known = data(&["a", "b"]);
        assert_eq!(
            calls.create(NEW, Some(&known), &data(&["b", "c"])),
            Step::Rotate
        );
        // A sign-in on an empty session.
        assert_eq!(
            calls.create(NEW, Some(&Data::new()), &data(&["user"])),
            Step::Rotate
        );
        calls.stored(NEW);
        assert!(!calls.is_over());
        assert!(calls.save(NEW, Some(&known)).is_some() && calls.load(NEW) && calls.load(OWN));
    }

    #[test]
    fn two_rotations_in_a_row_are_one() {
        let mut calls = calls();
        calls.delete(OWN);
        calls.delete(NEW);
        let known = data(&["a"]);
        assert_eq!(calls.create(3, Some(&known), &known), Step::Rotate);
    }

    #[test]
    fn a_session_that_ends_keeps_nothing_for_what_comes_after() {
        let known = data(&["user"]);
        let flash = data(&["flash"]);
        // `flush`, then a value.
        let mut flushed = calls();
        flushed.delete(OWN);
        assert!(flushed.is_over());
        assert_eq!(flushed.create(OWN, Some(&known), &flash), Step::Renew);
        // `delete`, then a value.
        assert_eq!(flushed.save(OWN, Some(&known)), Some(Step::Renew));
        // `cycle_id`, then `flush`, which deletes nothing more.
        assert_eq!(flushed.create(NEW, Some(&known), &flash), Step::Renew);
        // `flush` without a load, then `cycle_id`.
        assert_eq!(flushed.create(NEW, None, &flash), Step::Renew);
        // `flush`, then `cycle_id`, also if a value of the same name is there.
        flushed.delete(OWN);
        assert_eq!(flushed.create(NEW, Some(&known), &known), Step::Renew);
        // `delete`, then a load.
        let mut deleted = calls();
        deleted.delete(OWN);
        assert!(!deleted.load(OWN));
        assert_eq!(deleted.create(NEW, Some(&known), &known), Step::Renew);
    }

    #[test]
    fn the_record_of_another_session_is_left_alone() {
        let mut calls = calls();
        calls.delete(NEW);
        assert!(!calls.is_over());
        assert!(!calls.load(NEW));
        assert!(calls.load(OWN));
    }

    fn follow(
        step: Step,
        before: Option<Option<&str>>,
        after: Option<&str>,
        owner: Option<&str>,
    ) -> (Step, bool) {
        let users = Users {
            before,
            after,
            owner,
        };
        follow_user(step, users)
    }

    #[test]
    fn a_user_in_the_values_signs_in_and_none_ends_their_session() {
        let (max, eva) = (Some("max"), Some("eva"));
        let anonymous = Some(None);
        for step in [Step::GoOn, Step::Rotate] {
            assert_eq!(follow(step, anonymous, None, None), (step, false));
            assert_eq!(follow(step, anonymous, max, None), (step, true));
            assert_eq!(follow(step, Some(max), max, max), (step, false));
            // They signed in before anybody read the user from the values.
            assert_eq!(follow(step, Some(max), max, None), (step, true));
            assert_eq!(follow(step, Some(max), eva, max), (Step::Renew, true));
            assert_eq!(follow(step, Some(max), None, max), (Step::Renew, false));
            // A native sign-in, of which the values know nothing.
            assert_eq!(follow(step, anonymous, None, max), (step, false));
        }
        assert_eq!(follow(Step::Clear, None, None, max), (Step::Renew, false));
        assert_eq!(follow(Step::Clear, None, None, None), (Step::Clear, false));
        assert_eq!(follow(Step::Clear, None, max, max), (Step::Clear, false));
        // What ends has no owner any more.
        assert_eq!(
            follow(Step::Renew, Some(max), None, max),
            (Step::Renew, false)
        );
        assert_eq!(
            follow(Step::Renew, Some(max), max, max),
            (Step::Renew, true)
        );
    }
}
