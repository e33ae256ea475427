//! Rules: overlapping requests through two connections.

use std::{collections::BTreeSet, future::Future, sync::Arc};

use tokio::task::JoinSet;

use super::{
    ABSOLUTE, ApplyOutcome, Connections, CreateOutcome, Delta, IDLE, Instants, Record, SessionId,
    SessionStore, Subject, compare_and_set, increment, now, owner, receipt, rotate, rule_list,
    secret, set, sign_in,
};
use crate::store::RemoveOutcome;

rule_list![
    parallel_creates_of_one_id_store_one,
    parallel_writers_of_different_keys_keep_each_other,
    parallel_increments_are_all_counted,
    parallel_updates_lose_nothing,
    a_value_is_taken_once,
    parallel_writers_do_not_outgrow_the_size_limit,
    of_parallel_rotations_one_wins,
    nothing_revives_a_session_that_is_removed_meanwhile,
    no_sign_in_escapes_a_revocation_at_the_same_time,
];

pub(super) const TASKS: usize = 16;

/// Runs a task for each number, alternating between the connections.
pub(super) async fn in_parallel<S, F, T>(
    connections: &Connections<S>,
    session: &Subject<S>,
    task: impl Fn(usize, Subject<S>) -> F,
) -> Vec<T>
where
    S: SessionStore,
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let stores = [&connections.first, &connections.second];
    let mut tasks = JoinSet::new();
    for number in 0..TASKS {
        tasks.spawn(task(number, session.through(stores[number % 2])));
    }
    tasks.join_all().await
}

async fn parallel_creates_of_one_id_store_one<S: SessionStore>(connections: Connections<S>) {
    let session = connections.session(&[]).await;
    let id = SessionId::generate(now());
    let created = in_parallel(&connections, &session, |_, session| async move {
        let secret = secret();
        let record = Record::new(secret, session.start, IDLE, ABSOLUTE);
        (
            secret,
            session
                .store
                .create(id, record, session.start)
                .await
                .expect("create"),
        )
    })
    .await;
    let winners: Vec<_> = created
        .iter()
        .filter(|(_, created)| *created == CreateOutcome::Created)
        .collect();
    assert_eq!(winners.len(), 1);
    let stored = connections
        .first
        .load(id, session.start)
        .await
        .expect("load");
    assert_eq!(stored.expect("stored").secret, winners[0].0);
}

async fn parallel_writers_of_different_keys_keep_each_other<S: SessionStore>(
    connections: Connections<S>,
) {
    let session = connections.session(&[("old", "x")]).await;
    in_parallel(&connections, &session, |number, session| async move {
        for step in 0..4 {
            receipt(
                session
                    .apply(set(&format!("key {number} {step}"), number.to_string()))
                    .await,
            );
        }
    })
    .await;
    let values = session.record().await.values;
    assert_eq!(values.len(), 1 + TASKS * 4);
    for number in 0..TASKS {
        let value = values.get(&format!("key {number} 3"));
        assert_eq!(value, Some(number.to_string().as_bytes()));
    }
}

async fn parallel_increments_are_all_counted<S: SessionStore>(connections: Connections<S>) {
    const EACH: usize = 25;
    let session = connections.session(&[]).await;
    let seen = in_parallel(&connections, &session, |_, session| async move {
        let mut seen = Vec::new();
        for _ in 0..EACH {
            seen.push(receipt(session.apply(increment("n", 1)).await).incremented);
        }
        seen
    })
    .await;
    let total = (TASKS * EACH) as i64;
    let seen: BTreeSet<i64> = seen.into_iter().flatten().flatten().collect();
    assert!(
        seen.into_iter().eq(1..=total),
        "each number is handed out once"
    );
    assert_eq!(
        session.value("n").await,
        Some(total.to_string().into_bytes())
    );
}

async fn parallel_updates_lose_nothing<S: SessionStore>(connections: Connections<S>) {
    const EACH: usize = 5;
    let session = connections.session(&[("list", "")]).await;
    in_parallel(&connections, &session, |number, session| async move {
        for _ in 0..EACH {
            loop {
                let old = session.value("list").await.expect("the value is there");
                let mut new = old.clone();
                new.push(number as u8);
                match session
                    .apply(compare_and_set("list", Some(&old), Some(&new)))
                    .await
                {
                    ApplyOutcome::Conflict => {}
                    done => {
                        receipt(done);
                        break;
                    }
                }
            }
        }
    })
    .await;
    let list = session.value("list").await.expect("the value is there");
    for number in 0..TASKS {
        let count = list
            .iter()
            .filter(|entry| usize::from(**entry) == number)
            .count();
        assert_eq!(count, EACH);
    }
}

async fn a_value_is_taken_once<S: SessionStore>(connections: Connections<S>) {
    let session = connections.session(&[("flash", "hello")]).await;
    let taken = in_parallel(&connections, &session, |_, session| async move {
        session
            .apply(compare_and_set("flash", Some(b"hello"), None))
            .await
    })
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = taken
        .into_iter()
        .partition(|applied| matches!(applied, ApplyOutcome::Applied(_)));
    assert_eq!(won.len(), 1);
    assert!(
        lost.iter()
            .all(|applied| *applied == ApplyOutcome::Conflict),
        "{lost:?}"
    );
}

async fn parallel_writers_do_not_outgrow_the_size_limit<S: SessionStore>(
    connections: Connections<S>,
) {
    const LIMIT: u64 = 1_000;
    let session = connections.session(&[]).await;
    let applied = in_parallel(&connections, &session, |number, session| async move {
        let mut delta = set(&format!("{number:010}"), [b'x'; 190]);
        delta.max_bytes = LIMIT;
        session.apply(delta).await
    })
    .await;
    let stored = applied
        .iter()
        .filter(|applied| matches!(applied, ApplyOutcome::Applied(_)))
        .count();
    assert_eq!(stored, 5);
    assert_eq!(session.record().await.values.size(), LIMIT);
}

async fn of_parallel_rotations_one_wins<S: SessionStore>(connections: Connections<S>) {
    let session = connections.session(&[("a", "1")]).await;
    let rotated = in_parallel(&connections, &session, |_, session| async move {
        let new = secret();
        (new, session.apply(rotate(new)).await)
    })
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = rotated
        .into_iter()
        .partition(|(_, applied)| matches!(applied, ApplyOutcome::Applied(_)));
    assert_eq!(won.len(), 1);
    assert!(
        lost.iter()
            .all(|(_, applied)| *applied == ApplyOutcome::Superseded),
        "{lost:?}"
    );
    let record = session.record().await;
    assert_eq!(record.secret, won[0].0);
    assert_eq!(
        record.retired.map(|retired| retired.secret),
        Some(session.secret)
    );
}

async fn nothing_revives_a_session_that_is_removed_meanwhile<S: SessionStore>(
    connections: Connections<S>,
) {
    for round in 0..8 {
        let user = owner("leaving");
        let session = connections.session(&[]).await;
        let large = vec![b'x'; 3_000];
        let work = in_parallel(&connections, &session, |number, session| {
            let (user, large) = (user.clone(), large.clone());
            async move {
                if number == round {
                    let at = Instants::at(session.start);
                    let removed = session
                        .store
                        .remove(session.id, Some(&session.secret), at)
                        .await;
                    assert_eq!(removed.expect("remove"), RemoveOutcome::Removed);
                    return;
                }
                // Growing values and a new owner may make a store move the record.
                let deltas: [Delta; 4] = [
                    set(&format!("{number}"), &large),
                    sign_in(&user, session.start),
                    increment("n", 1),
                    super::delta(),
                ];
                for delta in deltas {
                    session.apply(delta).await;
                }
            }
        });
        work.await;
        for store in [&connections.first, &connections.second] {
            let session = session.through(store);
            assert_eq!(session.load().await, None);
            assert_eq!(session.apply(super::delta()).await, ApplyOutcome::Missing);
            assert_eq!(
                session
                    .store
                    .list(&user, session.start)
                    .await
                    .expect("list"),
                []
            );
        }
    }
}

async fn no_sign_in_escapes_a_revocation_at_the_same_time<S: SessionStore>(
    connections: Connections<S>,
) {
    for _ in 0..8 {
        let user = owner("revoked");
        let mut sessions = Vec::new();
        for _ in 0..4 {
            sessions.push(connections.session(&[]).await);
        }
        let at = sessions[3].start;
        let mut tasks = JoinSet::new();
        for (number, session) in sessions.iter().enumerate() {
            let stores = [&connections.first, &connections.second];
            let session = session.through(stores[number % 2]);
            let user = user.clone();
            tasks.spawn(async move {
                session.apply(sign_in(&user, at)).await;
                let mut record = Record::new(secret(), at, IDLE, ABSOLUTE);
                record.owner = Some(user);
                record.authenticated_at = Some(at);
                session
                    .store
                    .create(SessionId::generate(at), record, at)
                    .await
                    .expect("create");
            });
        }
        let revoking = Arc::clone(&connections.second);
        let revoked_user = user.clone();
        tasks.spawn(async move {
            revoking
                .remove_owned(&revoked_user, None, at)
                .await
                .expect("remove_owned");
        });
        tasks.join_all().await;
        let left = connections.first.list(&user, at).await.expect("list");
        assert_eq!(left, [], "every sign-in was checked before the revocation");
        for session in &sessions {
            let owner = session.load().await.and_then(|record| record.owner);
            assert_eq!(owner, None);
        }
    }
}
