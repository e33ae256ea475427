//! axum-login on our store: sign in, permissions, a wrong password with a flash message, and
//! signing out everywhere. Users and sessions are in SQLite.
//!
//! `cargo run -p tower-kr-session-compat --features tower-sessions-0_14 --example axum_login`, then
//! open <http://localhost:3000> and sign in as `max` or `eva`, with `correct horse` as the
//! password.
//!
//! What differs from an application on tower-sessions is marked with `CHANGED` and `NEW`.

use std::collections::HashSet;

use argon2::{
    Argon2, PasswordHash, PasswordHasher, PasswordVerifier,
    password_hash::{SaltString, rand_core::OsRng},
};
use axum::{
    Form, Router,
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use axum_login::{AuthManager, AuthUser, AuthnBackend, AuthzBackend, UserId, permission_required};
use axum_messages::{Messages, MessagesManagerLayer};
use serde::Deserialize;
use sqlx::{FromRow, Row, SqlitePool, sqlite::SqliteRow};
use tower::layer::layer_fn;
// NEW
use tower_kr_session::{Owner, SessionError, Sessions};
// CHANGED: was `tower_sessions::{Expiry, SessionManagerLayer}`
use tower_kr_session_compat::{
    axum_login_user,
    tower_sessions_0_14::{Expiry, SessionManagerLayer},
};
// CHANGED: was `tower_sessions_sqlx_store::SqliteStore`
use tower_kr_session_sqlx::{Cleanup, SqliteStore};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type AuthSession = axum_login::AuthSession<Users>;

#[derive(Clone, Debug)]
struct User {
    id: i64,
    name: String,
    password: String,
}

impl FromRow<'_, SqliteRow> for User {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            password: row.try_get("password")?,
        })
    }
}

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    /// A changed password ends the sessions that began with the old one.
    fn session_auth_hash(&self) -> &[u8] {
        self.password.as_bytes()
    }
}

/// The users, in tables of the application's own.
#[derive(Clone)]
struct Users(SqlitePool);

#[derive(Clone, Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

impl AuthnBackend for Users {
    type User = User;
    type Credentials = Credentials;
    type Error = sqlx::Error;

    async fn authenticate(&self, given: Credentials) -> Result<Option<User>, sqlx::Error> {
        let user: Option<User> = sqlx::query_as("SELECT * FROM users WHERE name = ?")
            .bind(&given.name)
            .fetch_optional(&self.0)
            .await?;
        // On a thread that may be busy for a while.
        let verified = tokio::task::spawn_blocking(move || {
            user.filter(|user| {
                let hash = PasswordHash::new(&user.password);
                hash.is_ok_and(|hash| {
                    let password = given.password.as_bytes();
                    Argon2::default().verify_password(password, &hash).is_ok()
                })
            })
        });
        verified
            .await
            .map_err(|error| sqlx::Error::Io(error.into()))
    }

    async fn get_user(&self, id: &UserId<Self>) -> Result<Option<User>, sqlx::Error> {
        let user = sqlx::query_as("SELECT * FROM users WHERE id = ?").bind(id);
        user.fetch_optional(&self.0).await
    }
}

impl AuthzBackend for Users {
    type Permission = String;

    async fn get_user_permissions(&self, user: &User) -> Result<HashSet<String>, sqlx::Error> {
        let permissions = sqlx::query_scalar("SELECT name FROM permissions WHERE user = ?");
        let all: Vec<String> = permissions.bind(user.id).fetch_all(&self.0).await?;
        Ok(all.into_iter().collect())
    }
}

impl Users {
    /// Creates the tables and two users, of whom one may see the reports.
    async fn migrate(&self) -> Result<(), Failure> {
        sqlx::raw_sql(
            "CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT UNIQUE, password TEXT NOT NULL);
             CREATE TABLE IF NOT EXISTS permissions (user INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (user, name));
             INSERT OR IGNORE INTO permissions VALUES (2, 'reports.read');",
        )
        .execute(&self.0)
        .await?;
        let salt = SaltString::generate(&mut OsRng);
        let hash = Argon2::default().hash_password(b"correct horse", &salt);
        let hash = hash.map_err(|error| error.to_string())?.to_string();
        for (id, name) in [(1, "max"), (2, "eva")] {
            sqlx::query("INSERT OR IGNORE INTO users VALUES (?, ?, ?)")
                .bind(id)
                .bind(name)
                .bind(&hash)
                .execute(&self.0)
                .await?;
        }
        Ok(())
    }
}

async fn page(auth: AuthSession, messages: Messages) -> Html<String> {
    let messages: Vec<String> = messages.map(|message| message.to_string()).collect();
    let messages = messages.join(" ");
    Html(match auth.user {
        Some(user) => format!(
            "<p role=status>{messages}</p><p>Hello {}!</p>
             <form action=/logout method=post><button>Sign out</button></form>
             <form action=/logout/everywhere method=post><button>Sign out everywhere</button></form>",
            user.name
        ),
        None => format!(
            "<p role=status>{messages}</p>
             <form action=/login method=post><input name=name><input name=password type=password>
             <button>Sign in</button></form>"
        ),
    })
}

async fn login(
    mut auth: AuthSession,
    messages: Messages,
    Form(given): Form<Credentials>,
) -> Result<Redirect, Error> {
    match auth.authenticate(given).await? {
        Some(user) => {
            auth.login(&user).await?;
            messages.success("Welcome.");
        }
        None => drop(messages.error("Wrong name or password.")),
    }
    Ok(Redirect::to("/"))
}

async fn logout(mut auth: AuthSession) -> Result<Redirect, Error> {
    auth.logout().await?;
    Ok(Redirect::to("/"))
}

// NEW: every session of the user, on whatever device.
async fn logout_everywhere(
    auth: AuthSession,
    State(sessions): State<Sessions>,
) -> Result<Redirect, Error> {
    if let Some(user) = &auth.user {
        let owner = Owner::new(&user.id.to_string()).map_err(SessionError::from)?;
        sessions.revoke_all(&owner).await?;
    }
    logout(auth).await
}

async fn app(users: Users, store: SqliteStore) -> Result<Router, Failure> {
    let layer = SessionManagerLayer::new(store)
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(time::Duration::days(1)))
        // NEW: axum-login's users are the owners of their sessions.
        .with_owner(axum_login_user);
    let sessions = layer.sessions()?;
    // CHANGED: was `AuthManagerLayerBuilder::new(users, layer).build()`, with both layers in one.
    let auth = layer_fn(move |inner| AuthManager::new(inner, users.clone(), "axum-login.data"));
    Ok(Router::new()
        .route("/reports", get("All is well."))
        .route_layer(permission_required!(Users, "reports.read"))
        .route("/", get(page))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/logout/everywhere", post(logout_everywhere))
        .layer(MessagesManagerLayer)
        .layer(auth)
        // NEW
        .layer(layer)
        .with_state(sessions))
}

/// What a handler fails with: the session, or the database of users.
struct Error(Response);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.0
    }
}

impl From<SessionError> for Error {
    fn from(error: SessionError) -> Self {
        Self(error.into_response())
    }
}

impl From<axum_login::Error<Users>> for Error {
    fn from(_: axum_login::Error<Users>) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR.into_response())
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let users = Users(SqlitePool::connect("sqlite://axum-login.db?mode=rwc").await?);
    users.migrate().await?;
    let store = SqliteStore::connect("sqlite://axum-login-sessions.db").await?;
    store.migrate().await?;
    // CHANGED: was a task around `continuously_delete_expired`
    let _cleanup = store.spawn_cleanup(Cleanup::new());
    let listener = tokio::net::TcpListener::bind("localhost:3000").await?;
    axum::serve(listener, app(users, store).await?).await?;
    Ok(())
}

#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

#[cfg(test)]
mod tests {
    use super::{support::Browser, *};

    const MAX: &str = "name=max&password=correct+horse";
    const EVA: &str = "name=eva&password=correct+horse";

    async fn start(folder: &test_support::Scratch) -> Browser {
        let url = |name| format!("sqlite://{}?mode=rwc", folder.path().join(name).display());
        let users = Users(SqlitePool::connect(&url("users.db")).await.unwrap());
        users.migrate().await.unwrap();
        let store = SqliteStore::connect(&url("sessions.db")).await.unwrap();
        store.migrate().await.unwrap();
        Browser::new(&app(users, store).await.unwrap())
    }

    #[tokio::test]
    async fn users_sign_in_and_out_and_see_what_they_may() {
        let folder = test_support::Scratch::new();
        let mut browser = start(&folder).await;
        assert_eq!(browser.get("/reports").await.status, 403);
        assert_eq!(browser.post("/login", MAX).await.status, 303);
        assert!(
            browser
                .get("/")
                .await
                .body
                .contains("Welcome.</p><p>Hello max!")
        );
        assert!(!browser.get("/").await.body.contains("Welcome."));
        assert_eq!(browser.get("/reports").await.status, 403);
        let mut copy = browser.clone();
        browser.post("/logout", "").await;
        assert!(browser.jar.is_empty());
        assert!(!copy.get("/").await.body.contains("Hello"));
        browser.post("/login", EVA).await;
        assert_eq!(browser.get("/reports").await.body, "All is well.");
    }

    #[tokio::test]
    async fn a_wrong_password_is_told_once() {
        let folder = test_support::Scratch::new();
        let mut browser = start(&folder).await;
        browser.post("/login", "name=max&password=wrong").await;
        let page = browser.get("/").await.body;
        assert!(page.contains("Wrong name or password.") && !page.contains("Hello"));
        assert!(!browser.get("/").await.body.contains("Wrong"));
    }

    #[tokio::test]
    async fn a_user_signs_out_everywhere() {
        let folder = test_support::Scratch::new();
        let mut laptop = start(&folder).await;
        let mut phone = Browser::new(&laptop.app);
        let mut other = Browser::new(&laptop.app);
        laptop.post("/login", MAX).await;
        phone.post("/login", MAX).await;
        other.post("/login", EVA).await;
        laptop.post("/logout/everywhere", "").await;
        for browser in [&mut laptop, &mut phone] {
            assert!(!browser.get("/").await.body.contains("Hello"));
        }
        assert!(other.get("/").await.body.contains("Hello eva!"));
    }
}
