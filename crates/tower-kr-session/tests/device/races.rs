//! Requests of one session at the same time, and answers that get lost.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::StatusCode;
use tower_kr_session::{
    MemoryStore, Owner, SessionId, SessionLayer, SessionStore, SessionSummary, StoreError,
    Timestamp,
    store::{ApplyOutcome, CreateOutcome, Delta, Instants, Record, RemoveOutcome, SecretHash},
};

use crate::{
    browser::Browser,
    site::{BOUND, NAME, Site, on_each_store},
};

on_each_store!(
    two_refreshes_at_once_lose_nothing,
    two_registrations_at_once_bind_one,
    a_refresh_that_loses_its_answer_is_made_up_for,
    a_sign_in_beside_a_registration_keeps_what_was_first,
);

async fn two_refreshes_at_once_lose_nothing(site: Site) {
    let mut browser = Browser::bound(&site, "max").await;
    let (mut first, mut second) = (browser.thief(), browser.thief());
    browser.begin_refresh().await;
    let proofs = [&first.challenge, &browser.challenge].map(|it| browser.key.refresh(it));
    let (one, two) = tokio::join!(
        first.refresh_with(&proofs[0]),
        second.refresh_with(&proofs[1])
    );
    assert_eq!((one.status, two.status), (StatusCode::OK, StatusCode::OK));
    assert_ne!(first.cookies[BOUND], second.cookies[BOUND]);
    // Both cookies count, and the one from before; and each of the next challenges.
    for cookies in [&mut browser, &mut first, &mut second] {
        assert_eq!(cookies.look().await, "Active max bound none");
    }
    for challenge in [first.challenge, second.challenge] {
        let proof = browser.key.refresh(&challenge);
        assert_eq!(browser.refresh_with(&proof).await.status, StatusCode::OK);
    }
}

async fn two_registrations_at_once_bind_one(site: Site) {
    let mut browser = Browser::new(&site);
    browser.sign_in("max").await;
    let mut other = browser.thief();
    let (one, two) = tokio::join!(browser.register(), other.register());
    let mut statuses = [one.status, two.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::OK, StatusCode::NOT_FOUND]);
    let bound = if one.status == StatusCode::OK {
        &mut browser
    } else {
        &mut other
    };
    assert_eq!(bound.look().await, "Active max bound none");
    assert_eq!(bound.refresh().await.status, StatusCode::OK);
}

async fn a_refresh_that_loses_its_answer_is_made_up_for(site: Site) {
    let mut browser = Browser::bound(&site, "max").await;
    let mut lost = browser.thief();
    let proof = browser.key.refresh(&browser.challenge);
    assert_eq!(lost.refresh_with(&proof).await.status, StatusCode::OK);
    // Nothing of the answer arrived: the old cookie counts until its end.
    site.advance(599);
    assert_eq!(browser.look().await, "Active max bound none");
    assert_eq!(
        browser.refresh_with(&proof).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(browser.refresh().await.status, StatusCode::OK);
    site.advance(599);
    assert_eq!(browser.look().await, "Active max bound none");
}

/// Whoever comes second finds what the first one did.
async fn a_sign_in_beside_a_registration_keeps_what_was_first(site: Site) {
    for _ in 0..10 {
        let mut browser = Browser::new(&site);
        browser.sign_in("max").await;
        let mut step_up = browser.thief();
        let (registered, signed_in) = tokio::join!(browser.register(), step_up.sign_in("max"));
        assert_eq!(signed_in.status, StatusCode::OK);
        let offered = signed_in.header("secure-session-registration").is_some();
        match (registered.status, offered) {
            // It was bound already, and goes on so.
            (StatusCode::OK, false) => {
                browser
                    .cookies
                    .insert(NAME.into(), step_up.cookies[NAME].clone());
                assert_eq!(browser.look().await, "Active max bound none");
            }
            // It was bound already, so a sign-in without a proof has ended it.
            (StatusCode::OK, true) => {
                assert_ne!(browser.session_id(), step_up.session_id());
                assert_eq!(browser.look().await, "Expired nobody unbound none");
                assert_eq!(step_up.register().await.status, StatusCode::OK);
                assert_eq!(step_up.look().await, "Active max bound none");
            }
            // The sign-in came first, and its own offer counts.
            (StatusCode::SERVICE_UNAVAILABLE, true) => {
                assert_eq!(step_up.register().await.status, StatusCode::OK);
                assert_eq!(step_up.look().await, "Active max bound none");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A store whose writes fail on demand.
#[derive(Clone, Default)]
struct Frail {
    memory: MemoryStore,
    fails: Arc<AtomicBool>,
}

impl Frail {
    fn check(&self) -> Result<(), StoreError> {
        match self.fails.load(Ordering::SeqCst) {
            true => Err(StoreError::unavailable("the disk is full")),
            false => Ok(()),
        }
    }
}

impl SessionStore for Frail {
    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.memory.load(id, now).await
    }

    async fn create(
        &self,
        id: SessionId,
        record: Record,
        now: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        self.memory.create(id, record, now).await
    }

    async fn apply(
        &self,
        id: SessionId,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        self.check()?;
        self.memory.apply(id, secret, delta, at).await
    }

    async fn remove(
        &self,
        id: SessionId,
        secret: Option<&SecretHash>,
        at: Instants,
    ) -> Result<RemoveOutcome, StoreError> {
        self.memory.remove(id, secret, at).await
    }

    async fn list(&self, owner: &Owner, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        self.memory.list(owner, now).await
    }

    async fn remove_owned(
        &self,
        owner: &Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.memory.remove_owned(owner, except, now).await
    }
}

#[tokio::test]
async fn while_the_store_is_down_the_browser_keeps_its_session() {
    let store = Frail::default();
    let site = Site::in_memory();
    let site =
        site.with(|_| SessionLayer::new(store.clone()).device_binding(crate::site::binding()));
    let mut browser = Browser::bound(&site, "max").await;
    store.fails.store(true, Ordering::SeqCst);
    for reply in [browser.begin_refresh().await, browser.refresh().await] {
        let expected = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(
            (reply.status, reply.header("retry-after")),
            (expected, Some("5"))
        );
        assert_eq!(reply.cookie(BOUND), None);
    }
    store.fails.store(false, Ordering::SeqCst);
    assert_eq!(browser.refresh().await.status, StatusCode::OK);
}
