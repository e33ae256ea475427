//! What each call costs, as the guide says.

use std::sync::Arc;

use tower_kr_session::{
    Owner, SessionId, SessionStore,
    store::{ApplyOutcome, Delta, Instants, Record, SignIn},
};
use tower_kr_session_sqlx::{Dialect, SqlStore};

use super::{ABSOLUTE, Holder, IDLE, delta, increment, now, secret, set, until};

/// Makes each call, on the only connection of a store, and compares what it costs with this column
/// of the guide. `spent` returns what all calls cost so far, once the connection is back.
pub(crate) async fn are_in_the_guide<D: Dialect>(
    store: &SqlStore<D>,
    column: usize,
    spent: impl Fn() -> usize,
) {
    let owner = Owner::new("max").unwrap();
    let mut counted = Vec::new();
    // Statements are prepared in the first round.
    for _ in 0..2 {
        counted.clear();
        let at = Instants::at(now());
        let holder = Holder::new(store).await;
        let mut count = Count::new(store, &spent, &mut counted).await;
        count.of("a new session", Holder::new(store)).await;
        let seen = count.of("a read", holder.record(store)).await;
        let blind = apply(store, holder, increment(), None);
        count
            .of("an increment, or a write of what wasn't read", blind)
            .await;
        let late = apply(store, holder, set("a", b"1"), Some(seen));
        count
            .of(
                "a write after a read, if another request wrote meanwhile",
                late,
            )
            .await;
        let seen = count.of("", holder.record(store)).await;
        let write = apply(store, holder, set("a", b"2"), Some(seen));
        count.of("a write after a read", write).await;
        let seen = count.of("", holder.record(store)).await;
        count
            .of("a touch", apply(store, holder, delta(), Some(seen)))
            .await;
        let seen = count.of("", holder.record(store)).await;
        let next = secret();
        let mut rotation = delta();
        rotation.rotate = Some(next);
        let rotate = apply(store, holder, rotation, Some(seen));
        count.of("a rotation after a read", rotate).await;
        let holder = Holder {
            secret: next,
            ..holder
        };
        let mut sign_in = delta();
        sign_in.sign_in = Some(SignIn::new(owner.clone(), now()));
        let sign_in = apply(store, holder, sign_in, None);
        count.of("a sign-in to a session", sign_in).await;
        let mut record = Record::new(secret(), now(), IDLE, ABSOLUTE);
        record.owner = Some(owner.clone());
        let id = SessionId::generate(now());
        count
            .of(
                "a sign-in with a new session",
                store.create(id, record, now()),
            )
            .await
            .unwrap();
        count
            .of("a list of a user's sessions", store.list(&owner, now()))
            .await
            .unwrap();
        let revocation = store.remove(id, None, at);
        count
            .of("an administrator's revocation of a session", revocation)
            .await
            .unwrap();
        let sign_out = store.remove(holder.id, Some(&holder.secret), at);
        count.of("a sign-out", sign_out).await.unwrap();
        let revocation = store.remove_owned(&owner, None, now());
        count
            .of("a revocation of all sessions of a user", revocation)
            .await
            .unwrap();
    }
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/sql.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let (_, guide) = guide.split_once("## Round trips").unwrap();
    for (what, cost) in counted.into_iter().filter(|(what, _)| !what.is_empty()) {
        let row = guide
            .lines()
            .find(|line| line.starts_with(&format!("| {what} | ")))
            .unwrap_or_else(|| panic!("the guide lacks: {what}"));
        let told = row.split('|').nth(column).unwrap().trim();
        assert_eq!(told, cost.to_string(), "{what}");
    }
}

struct Count<'a, D: Dialect, F> {
    store: &'a SqlStore<D>,
    spent: &'a F,
    before: usize,
    counted: &'a mut Vec<(&'static str, usize)>,
}

impl<'a, D: Dialect, F: Fn() -> usize> Count<'a, D, F> {
    async fn new(
        store: &'a SqlStore<D>,
        spent: &'a F,
        counted: &'a mut Vec<(&'static str, usize)>,
    ) -> Self {
        let mut count = Self {
            store,
            spent,
            before: 0,
            counted,
        };
        count.before = count.until_idle().await;
        count
    }

    async fn of<T>(&mut self, what: &'static str, call: impl Future<Output = T>) -> T {
        // In a box: the stack of a test is small.
        let answer = Box::pin(call).await;
        let spent = self.until_idle().await;
        self.counted.push((what, spent - self.before));
        self.before = spent;
        answer
    }

    async fn until_idle(&self) -> usize {
        until("the connection is back", || async {
            self.store.pool().num_idle() == 1
        })
        .await;
        (self.spent)()
    }
}

async fn apply(store: &impl SessionStore, holder: Holder, mut delta: Delta, seen: Option<Record>) {
    delta.seen = seen.map(Arc::new);
    let applied = holder.apply(store, delta).await.unwrap();
    assert!(matches!(applied, ApplyOutcome::Applied(_)), "{applied:?}");
}
