//! Sign-ins, revocations and whatever else meets them, step by step in every order, with a
//! connection that breaks at every step.
//!
//! In the end no session that was signed in before a revocation answered may be alive, and whatever
//! is alive is in its user's list.

use std::{
    cell::Cell,
    fmt::Display,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tower_kr_session::{
    Owner, SessionId, SessionStore, StoreError, Timestamp,
    store::{
        ApplyOutcome, CreateOutcome, Delta, IdleLimit, Instants, Operation, Record, RemoveOutcome,
        SecretHash, SignIn, StoreKey, Versioned,
    },
};

use crate::{
    faults::{Connection, FATES, Fate},
    map_store::MapStore,
    schedule::{Actor, Order, in_every_order},
};

const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);
const SECRET: SecretHash = SecretHash::from_bytes([1; 32]);

type Handle = Versioned<Arc<Connection>>;

fn user() -> Owner {
    Owner::new("user").unwrap()
}

fn id(number: u8) -> SessionId {
    SessionId::from_bytes([number; 16])
}

fn at(seconds: u64) -> Instants {
    Instants::at(NOW.saturating_add(Duration::from_secs(seconds)))
}

fn record(owner: Option<Owner>) -> Record {
    let idle = IdleLimit::new(Duration::from_secs(600));
    let mut record = Record::new(SECRET, NOW, idle, Duration::from_secs(3_600));
    record.authenticated_at = owner.as_ref().map(|_| NOW);
    record.owner = owner;
    record
}

fn delta() -> Delta {
    Delta::new(u64::MAX)
}

fn sign_in(owner: &Owner) -> Delta {
    let mut delta = delta();
    delta.sign_in = Some(SignIn::new(owner.clone(), NOW));
    delta
}

fn increment() -> Delta {
    let mut delta = delta();
    let key = "n".parse().unwrap();
    delta.operation = Some((key, Operation::Increment(1)));
    delta
}

fn longer() -> Delta {
    let mut delta = delta();
    delta.limits.absolute_timeout = Some(Duration::from_secs(7_200));
    delta
}

/// Runs a call that has no reason to wait.
fn now<T>(call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(answer) = call.as_mut().poll(&mut context) {
            return answer;
        }
    }
}

/// A database with one anonymous session, and an intact way to it.
struct Stage {
    store: Arc<MapStore>,
    direct: Versioned<Arc<MapStore>>,
}

impl Stage {
    fn new(may_evict: bool) -> Self {
        let store = Arc::new(MapStore {
            may_evict,
            ..MapStore::default()
        });
        let direct = Versioned::new(Arc::clone(&store));
        now(direct.create(id(1), record(None), NOW)).unwrap();
        Self { store, direct }
    }

    fn sign_in(&self) {
        let applied = now(self.direct.apply(id(1), &SECRET, &sign_in(&user()), at(0)));
        assert!(matches!(applied, Ok(ApplyOutcome::Applied(_))));
    }

    fn connect(&self, fate: Option<(usize, Fate)>) -> (Arc<Connection>, Handle) {
        let connection = Connection::new(&self.store, fate);
        let handle = Versioned::new(Arc::clone(&connection));
        (connection, handle)
    }

    /// Whether a session of the user can be had.
    fn lives(&self, id: SessionId) -> bool {
        let record = now(self.direct.load(id, NOW)).unwrap();
        record.is_some_and(|record| record.owner == Some(user()))
    }

    fn list(&self, owner: &Owner) -> Vec<SessionId> {
        let list = now(self.direct.list(owner, NOW)).unwrap();
        list.iter().map(|session| session.id).collect()
    }

    fn revoke(&self) -> u64 {
        now(self.direct.remove_owned(&user(), None, NOW)).unwrap()
    }

    /// Whatever is alive must be in the list, and nothing survives one more revocation.
    fn check_the_end(&self, ids: &[SessionId], case: &dyn Display) {
        let listed = self.list(&user());
        for id in ids {
            assert_eq!(listed.contains(id), self.lives(*id), "{case}");
        }
        assert_eq!(self.revoke(), listed.len() as u64, "{case}");
        for id in ids {
            assert!(!self.lives(*id), "{case}");
        }
        assert_eq!(self.list(&user()), [], "{case}");
    }
}

/// The intact connection, and each fate at each of the first `calls` calls.
fn fates(calls: usize) -> impl Iterator<Item = Option<(usize, Fate)>> {
    let broken = (0..calls).flat_map(|call| FATES.map(|fate| Some((call, fate))));
    [None].into_iter().chain(broken)
}

/// The most calls that a sign-in or a revocation of one session makes while nobody interferes.
const STEPS: usize = 6;

#[test]
fn a_sign_in_and_a_revocation_make_six_calls_each() {
    let stage = Stage::new(false);
    let (connection, handle) = stage.connect(None);
    now(handle.apply(id(1), &SECRET, &sign_in(&user()), at(0))).unwrap();
    assert_eq!(connection.calls(), STEPS);
    let (connection, handle) = stage.connect(None);
    assert_eq!(now(handle.remove_owned(&user(), None, NOW)).unwrap(), 1);
    assert_eq!(connection.calls(), STEPS);
}

/// A session that is signed in, or not yet, and a revocation of all of the user's.
fn meet_a_revocation(
    may_evict: bool,
    prepare: impl Fn(&Stage),
    change: impl Fn() -> Delta,
    allowed: impl Fn(&ApplyOutcome) -> bool,
) {
    for broken in [0, 1] {
        for fate in fates(if may_evict { 0 } else { STEPS }) {
            if broken == 1 && fate.is_none() {
                continue;
            }
            let games = in_every_order(|order| {
                let stage = Stage::new(may_evict);
                prepare(&stage);
                let (ours, changing) = stage.connect(fate.filter(|_| broken == 0));
                let (theirs, revoking) = stage.connect(fate.filter(|_| broken == 1));
                let applied: Cell<Option<Result<ApplyOutcome, StoreError>>> = Cell::new(None);
                let revoked = Cell::new(false);
                order.run(vec![
                    Actor::new(&ours, async {
                        applied.set(Some(changing.apply(id(1), &SECRET, &change(), at(0)).await));
                    }),
                    Actor::new(&theirs, async {
                        let removed = revoking.remove_owned(&user(), None, NOW).await;
                        revoked.set(removed.is_ok());
                    }),
                ]);
                now(ours.deliver());
                now(theirs.deliver());
                let case = &format_args!("{broken} {fate:?} {order:?}");
                if revoked.get() {
                    assert!(!stage.lives(id(1)), "{case}");
                    assert_eq!(stage.list(&user()), [], "{case}");
                }
                if fate.is_none() {
                    assert!(revoked.get());
                    let applied = applied.take().unwrap().unwrap();
                    assert!(allowed(&applied), "{case}: {applied:?}");
                }
                stage.check_the_end(&[id(1)], case);
            });
            assert!(games > 1);
        }
    }
}

fn applied_or_revoked(outcome: &ApplyOutcome) -> bool {
    matches!(
        outcome,
        ApplyOutcome::Applied(_) | ApplyOutcome::Revoked | ApplyOutcome::Missing
    )
}

#[test]
fn a_change_makes_two_calls_also_of_a_users_session() {
    let stage = Stage::new(false);
    stage.sign_in();
    let mut same = delta();
    same.limits.absolute_timeout = Some(Duration::from_secs(3_600));
    for delta in [increment(), same] {
        let (connection, handle) = stage.connect(None);
        let applied = now(handle.apply(id(1), &SECRET, &delta, at(0)));
        assert!(matches!(applied, Ok(ApplyOutcome::Applied(_))));
        assert_eq!(connection.calls(), 2);
    }
}

/// A revocation that refuses sign-ins and marks the sessions, and then breaks off.
#[test]
fn a_sign_in_that_meets_a_mark_is_revoked_and_never_missing() {
    let revoked = Cell::new(0);
    in_every_order(|order| {
        let stage = Stage::new(false);
        let (ours, changing) = stage.connect(None);
        let (theirs, revoking) = stage.connect(Some((2, Fate::FailBefore)));
        let applied = Cell::new(None);
        order.run(vec![
            Actor::new(&ours, async {
                let delta = sign_in(&user());
                applied.set(Some(changing.apply(id(1), &SECRET, &delta, at(0)).await));
            }),
            Actor::new(&theirs, async {
                drop(revoking.remove_owned(&user(), None, NOW).await);
            }),
        ]);
        match applied.take().unwrap().unwrap() {
            ApplyOutcome::Applied(_) => {}
            ApplyOutcome::Revoked => revoked.set(revoked.get() + 1),
            other => panic!("{order:?}: {other:?}"),
        }
    });
    assert!(revoked.get() > 1, "{revoked:?}");
}

#[test]
fn no_sign_in_escapes_a_revocation() {
    for may_evict in [false, true] {
        meet_a_revocation(may_evict, |_| {}, || sign_in(&user()), applied_or_revoked);
    }
}

#[test]
fn no_second_sign_in_of_a_session_escapes_a_revocation() {
    meet_a_revocation(
        false,
        Stage::sign_in,
        || sign_in(&user()),
        applied_or_revoked,
    );
}

#[test]
fn no_session_whose_deadline_moves_escapes_a_revocation() {
    meet_a_revocation(false, Stage::sign_in, longer, |outcome| {
        matches!(outcome, ApplyOutcome::Applied(_) | ApplyOutcome::Missing)
    });
}

#[test]
fn no_new_session_escapes_a_revocation_once_somebody_looks() {
    for may_evict in [false, true] {
        for broken in [0, 1] {
            for fate in fates(if may_evict { 0 } else { STEPS }) {
                in_every_order(|order| {
                    let stage = Stage::new(may_evict);
                    let (ours, creating) = stage.connect(fate.filter(|_| broken == 0));
                    let (theirs, revoking) = stage.connect(fate.filter(|_| broken == 1));
                    let created = Cell::new(None);
                    let revoked = Cell::new(false);
                    order.run(vec![
                        Actor::new(&ours, async {
                            let done = creating.create(id(2), record(Some(user())), NOW).await;
                            created.set(done.ok());
                        }),
                        Actor::new(&theirs, async {
                            let removed = revoking.remove_owned(&user(), None, NOW).await;
                            revoked.set(removed.is_ok());
                        }),
                    ]);
                    now(ours.deliver());
                    now(theirs.deliver());
                    let case = &format_args!("{broken} {fate:?} {order:?}");
                    if revoked.get() {
                        // Without an answer nobody holds the token.
                        if created.get().is_some() || may_evict {
                            assert!(!stage.lives(id(2)), "{case}");
                        }
                        assert_eq!(stage.list(&user()), [], "{case}");
                        assert!(!stage.lives(id(2)), "{case}");
                    }
                    if fate.is_none() {
                        let created = created.get().unwrap();
                        assert!(
                            matches!(created, CreateOutcome::Created | CreateOutcome::Revoked),
                            "{case}: {created:?}"
                        );
                    }
                    stage.check_the_end(&[id(2)], case);
                });
            }
        }
    }
}

#[test]
fn a_revocation_that_breaks_off_is_finished_by_whoever_comes_next() {
    for fate in fates(10).flatten() {
        for by_list in [true, false] {
            let stage = Stage::new(false);
            stage.sign_in();
            for number in 2..4 {
                let created = now(stage.direct.create(id(number), record(Some(user())), NOW));
                assert_eq!(created.unwrap(), CreateOutcome::Created);
            }
            let (connection, handle) = stage.connect(Some(fate));
            let answered = Cell::new(false);
            Order::default().run(vec![Actor::new(&connection, async {
                let removed = handle.remove_owned(&user(), None, NOW).await;
                answered.set(removed.is_ok());
            })]);
            let marked =
                fate.0 > 1 || matches!(fate.1, Fate::FailAfter | Fate::HangAfter) && fate.0 == 1;
            let left = |stage: &Stage| (1..4).filter(|number| stage.lives(id(*number))).count();
            if answered.get() {
                assert_eq!(left(&stage), 0, "{fate:?}");
            }
            if by_list {
                let listed = stage.list(&user()).len();
                assert_eq!(listed, if marked { 0 } else { 3 }, "{fate:?}");
                assert_eq!(left(&stage), listed, "{fate:?}");
            }
            stage.revoke();
            now(connection.deliver());
            assert_eq!(left(&stage), 0, "{fate:?}");
            assert_eq!(stage.list(&user()), []);
        }
    }
}

/// Two calls that are no revocation, in every order, with every breakage of the first: what is
/// alive stays in the list.
fn meet<A: Future<Output = ()>, B: Future<Output = ()>>(
    prepare: impl Fn(&Stage),
    first: impl Fn(Handle) -> A,
    second: impl Fn(Handle) -> B,
    check: impl Fn(&Stage, bool, &dyn Display),
) {
    for fate in fates(STEPS) {
        in_every_order(|order| {
            let stage = Stage::new(false);
            prepare(&stage);
            let (ours, one) = stage.connect(fate);
            let (theirs, other) = stage.connect(None);
            order.run(vec![
                Actor::new(&ours, first(one)),
                Actor::new(&theirs, second(other)),
            ]);
            now(ours.deliver());
            let case = &format_args!("{fate:?} {order:?}");
            check(&stage, fate.is_none(), case);
            stage.check_the_end(&[id(1), id(2), id(3)], case);
        });
    }
}

async fn signs_in(handle: Handle) {
    drop(handle.apply(id(1), &SECRET, &sign_in(&user()), at(0)).await);
}

async fn starts(handle: Handle, number: u8) {
    let created = handle.create(id(number), record(Some(user())), NOW).await;
    drop(created);
}

#[test]
fn a_list_takes_no_sign_in_out_of_the_index() {
    let look = |handle: Handle| async move { drop(handle.list(&user(), NOW).await) };
    meet(
        |_| {},
        signs_in,
        look,
        |stage, intact, case| {
            assert!(!intact || stage.lives(id(1)), "{case}");
        },
    );
    let start = |handle| starts(handle, 2);
    meet(
        |_| {},
        start,
        look,
        |stage, intact, case| {
            assert!(!intact || stage.lives(id(2)), "{case}");
        },
    );
}

#[test]
fn sessions_that_begin_at_once_are_all_in_the_list() {
    meet(
        |_| {},
        |handle| starts(handle, 2),
        |handle| starts(handle, 3),
        |stage, intact, case| {
            assert!(stage.lives(id(3)), "{case}");
            assert!(!intact || stage.lives(id(2)), "{case}");
        },
    );
}

#[test]
fn a_session_that_is_removed_while_its_user_signs_in_stays_dead() {
    let removed = Cell::new(None);
    let log_out = |handle: Handle| {
        let removed = &removed;
        async move {
            let outcome = handle.remove(id(1), Some(&SECRET), at(0)).await.unwrap();
            removed.set(Some(outcome));
        }
    };
    for prepare in [|_: &Stage| {}, Stage::sign_in] {
        meet(prepare, signs_in, log_out, |stage, _, case| {
            assert_eq!(removed.take(), Some(RemoveOutcome::Removed), "{case}");
            assert!(!stage.lives(id(1)), "{case}");
        });
    }
}

#[test]
fn a_sign_in_and_a_change_both_happen() {
    let change = |handle: Handle| async move {
        let applied = handle.apply(id(1), &SECRET, &increment(), at(0)).await;
        assert!(matches!(applied, Ok(ApplyOutcome::Applied(_))));
    };
    meet(
        |_| {},
        signs_in,
        change,
        |stage, intact, case| {
            let record = now(stage.direct.load(id(1), NOW)).unwrap().unwrap();
            assert_eq!(record.values.get("n"), Some(&b"1"[..]), "{case}");
            assert!(!intact || record.owner.is_some(), "{case}");
        },
    );
}

#[test]
fn a_session_gets_one_of_two_users() {
    let other = Owner::new("other").unwrap();
    let second = |handle: Handle| {
        let other = other.clone();
        async move { drop(handle.apply(id(1), &SECRET, &sign_in(&other), at(0)).await) }
    };
    meet(
        |_| {},
        signs_in,
        second,
        |stage, _, case| {
            let held = now(stage.direct.load(id(1), NOW)).unwrap().unwrap().owner;
            let held = held.unwrap();
            for owner in [user(), other.clone()] {
                let listed = stage.list(&owner);
                assert_eq!(listed.contains(&id(1)), owner == held, "{case}");
            }
            if held == other {
                // The revocation of the one user leaves the other's session alone.
                stage.revoke();
                assert_eq!(stage.list(&other), [id(1)], "{case}");
            }
        },
    );
}

#[test]
fn the_excepted_session_survives_a_revocation_that_it_meets() {
    in_every_order(|order| {
        let stage = Stage::new(false);
        stage.sign_in();
        now(stage.direct.create(id(2), record(Some(user())), NOW)).unwrap();
        let (ours, changing) = stage.connect(None);
        let (theirs, revoking) = stage.connect(None);
        order.run(vec![
            Actor::new(&ours, async {
                let applied = changing.apply(id(1), &SECRET, &longer(), at(0)).await;
                assert!(matches!(applied, Ok(ApplyOutcome::Applied(_))));
            }),
            Actor::new(&theirs, async {
                let removed = revoking.remove_owned(&user(), Some(id(1)), NOW).await;
                assert_eq!(removed.unwrap(), 1);
            }),
        ]);
        assert_eq!(stage.list(&user()), [id(1)], "{order:?}");
        stage.check_the_end(&[id(1), id(2)], &"");
    });
}

/// Lets the index of the user be evicted at every step of other calls.
fn evict_at_every_step(
    prepare: impl Fn(&Stage),
    with_sign_in: bool,
    with_revocation: bool,
    check: impl Fn(&Stage, &dyn Display),
) {
    in_every_order(|order| {
        let stage = Stage::new(true);
        prepare(&stage);
        let (ours, changing) = stage.connect(None);
        let (theirs, revoking) = stage.connect(None);
        let (evictor, _) = stage.connect(None);
        let mut actors = vec![Actor::new(&evictor, async {
            tokio::task::yield_now().await;
            stage.store.map().remove(&StoreKey::owner(&user()));
        })];
        if with_sign_in {
            actors.push(Actor::new(&ours, signs_in(changing)));
        }
        if with_revocation {
            actors.push(Actor::new(&theirs, async {
                revoking.remove_owned(&user(), None, NOW).await.unwrap();
            }));
        }
        order.run(actors);
        let case = &format_args!("{order:?}");
        check(&stage, case);
        stage.check_the_end(&[id(1)], case);
    });
}

#[test]
fn no_session_outlives_its_index() {
    evict_at_every_step(|_| {}, true, false, |_, _| {});
    evict_at_every_step(Stage::sign_in, false, true, |stage, case| {
        assert!(!stage.lives(id(1)), "{case}");
    });
    // The mark of the revocation may be what is evicted. Then the sign-in may count as a later one,
    // but it is in the list.
    if std::env::var_os("KR_FULL_SIZE").is_some() {
        evict_at_every_step(|_| {}, true, true, |_, _| {});
    }
    let stage = Stage::new(true);
    stage.sign_in();
    stage.store.map().remove(&StoreKey::owner(&user()));
    assert!(!stage.lives(id(1)));
    let applied = now(stage.direct.apply(id(1), &SECRET, &increment(), at(0)));
    assert_eq!(applied.unwrap(), ApplyOutcome::Missing);
}

#[test]
fn a_revocation_leaves_the_session_of_a_user_who_signed_in_first() {
    let other = Owner::new("other").unwrap();
    let mut with_entry = 0;
    for (may_evict, step) in [false, true]
        .into_iter()
        .flat_map(|may| (0..6).map(move |step| (may, step)))
    {
        for fate in FATES {
            // The user's sign-in breaks off, say, after its entry was written.
            let stage = Stage::new(may_evict);
            let (connection, handle) = stage.connect(Some((step, fate)));
            let call = async {
                let delta = sign_in(&user());
                drop(handle.apply(id(1), &SECRET, &delta, at(0)).await);
            };
            Order::default().run(vec![Actor::new(&connection, call)]);
            let applied = now(stage.direct.apply(id(1), &SECRET, &sign_in(&other), at(0)));
            if !matches!(applied, Ok(ApplyOutcome::Applied(_))) {
                continue;
            }
            let key = StoreKey::owner(&user());
            with_entry += usize::from(stage.store.map().contains_key(&key));
            assert_eq!(stage.revoke(), 0, "{step}");
            let record = now(stage.direct.load(id(1), NOW)).unwrap();
            assert_eq!(record.and_then(|record| record.owner), Some(other.clone()));
            assert_eq!(stage.list(&other), [id(1)]);
        }
    }
    assert!(
        with_entry > 0,
        "an entry of a sign-in that broke off was met"
    );
}
