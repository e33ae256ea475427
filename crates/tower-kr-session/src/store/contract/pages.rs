//! Rules: all sessions can be walked through and counted, or the store says that it can't.

use std::collections::HashMap;

use super::{
    ABSOLUTE, Connections, IDLE, SessionId, SessionStore, Timestamp, millis, owner, rule_list,
};
use crate::store::{Cursor, SessionSummary, StoreError};

rule_list![
    a_walk_finds_every_live_session_and_no_other,
    the_cursor_of_another_store_is_refused,
];

/// Few, so that the sessions of this rule alone take several pages.
const MOST: usize = 3;

/// Returns all live sessions, or `None` if the store can't go through them.
async fn walk<S: SessionStore>(
    store: &S,
    now: Timestamp,
) -> Option<HashMap<SessionId, SessionSummary>> {
    let (mut found, mut cursor) = (HashMap::new(), None);
    loop {
        let page = match store.page(cursor.as_ref(), MOST, now).await {
            Err(StoreError::Unsupported(_)) if cursor.is_none() => return None,
            page => page.expect("page"),
        };
        found.extend(
            page.sessions
                .into_iter()
                .map(|session| (session.id, session)),
        );
        let next = page.next;
        assert!(next.is_none() || next != cursor, "the walk must go on");
        cursor = next;
        if cursor.is_none() {
            return Some(found);
        }
    }
}

async fn a_walk_finds_every_live_session_and_no_other<S: SessionStore>(
    connections: Connections<S>,
) {
    let user = owner("walked");
    let mut sessions = Vec::new();
    for number in 0..5 * MOST {
        let session = connections.session_with(|record| {
            record.values = [("a", "1")].into_iter().collect();
            if number % 2 == 0 {
                record.owner = Some(user.clone());
                record.authenticated_at = Some(record.created_at);
            }
        });
        sessions.push(session.await);
    }
    let long = connections.session_with(|record| {
        record.idle.timeout = ABSOLUTE;
        record.idle_deadline = record
            .created_at
            .saturating_add(ABSOLUTE + IDLE.touch_interval);
    });
    let long = long.await;
    let start = sessions[0].start;
    let Some(found) = walk(&*connections.second, start).await else {
        assert_eq!(connections.second.count(start).await.expect("count"), None);
        return;
    };
    for (number, session) in sessions.iter().enumerate() {
        let summary = found.get(&session.id).expect("every live session");
        let expected = (number % 2 == 0).then(|| user.clone());
        assert_eq!(summary.owner, expected);
        assert_eq!(summary.created_at, session.start);
    }
    // Most are expired by then, though the store still has them.
    let later = start.saturating_add(IDLE.timeout + IDLE.touch_interval + millis(1_000));
    let found = walk(&*connections.first, later).await.expect("as before");
    assert!(found.contains_key(&long.id));
    assert!(
        sessions
            .iter()
            .all(|session| !found.contains_key(&session.id))
    );
    if let Some(count) = connections.first.count(start).await.expect("count") {
        assert!(count > 5 * MOST as u64, "{count}");
    }
}

async fn the_cursor_of_another_store_is_refused<S: SessionStore>(connections: Connections<S>) {
    for text in ["", "\u{1f98a}", "0:1:2:3", "'; DROP TABLE kr_sessions"] {
        let cursor = Cursor::new(text);
        let page = connections
            .first
            .page(Some(&cursor), MOST, super::now())
            .await;
        let refused = matches!(
            page,
            Err(StoreError::InvalidCursor | StoreError::Unsupported(_))
        );
        assert!(refused, "{text:?}: {page:?}");
    }
}
