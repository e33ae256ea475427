//! Renders the page's HTML.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};
use tower_kr_session::{Status, Timestamp};

use super::{
    action::Action,
    answer::Answer,
    document::document,
    notice::Notice,
    snapshot::{Live, Snapshot, User},
};
use crate::about::About;

pub(super) fn page(about: &About, snapshot: &Snapshot, notice: &Notice, answer: &Answer) -> Markup {
    let feedback = Feedback {
        snapshot,
        notice,
        answer,
    };
    document(
        "Sessions",
        &html! {
            header.top {
                h1 { "Sessions" }
                p {
                    "The browser keeps a random token. Everything on this page lives on the server, in the store "
                    strong #store { (about.store) } "."
                }
            }
            main {
                (session_card(snapshot))
                div.actions {
                    (counter_card(snapshot, &feedback))
                    (sign_in_card(snapshot, &feedback))
                    (values_card(snapshot, &feedback))
                }
                @if let Some(user) = &snapshot.user { (sessions_card(user, snapshot.live.as_ref(), &feedback)) }
                (cookie_card(notice))
            }
            footer { p { "The same session answers as JSON: " a href="/session/counter" { "/session/counter" } ", "
                a href="/session/whoami" { "/session/whoami" } "." } }
        },
    )
}

/// Shows the status of the session, and a ring that runs down to its idle timeout.
fn session_card(snapshot: &Snapshot) -> Markup {
    let (name, meaning) = status_text(snapshot.status);
    html! {
        section.card.session aria-labelledby="session" data-session=[snapshot.live.as_ref().map(|live| live.id)] {
            h2 #session { "Your session" }
            (ring(snapshot.live.as_ref()))
            p.status { strong #status .live[snapshot.live.is_some()] { (name) } }
            p.quiet #meaning { (meaning) }
            p #over role="alert" hidden {
                "No request came within the idle timeout. " a href="/" { "Reload" } " to see that the session is gone."
            }
            p #stale role="status" hidden { "Another tab changed this session. " a href="/" { "Reload" } " to see it." }
            @if let Some(live) = &snapshot.live {
                dl {
                    div { dt { "Id" } dd { code #id { (live.id) } } }
                    div { dt { "Began" } dd { (time(live.created_at)) } }
                    div { dt { "Ends at the latest" } dd #deadline { (time(live.ends_at)) } }
                }
                p.quiet { "The id is public: it names the session in lists and logs, and admits nobody." }
            }
        }
    }
}

fn status_text(status: Status) -> (&'static str, &'static str) {
    match status {
        Status::New => ("New", "This request started it."),
        Status::Active => ("Active", "Every request that uses it fills the ring again."),
        Status::Expired => (
            "Over",
            "The cookie names a session that is gone: it ran out, was ended, or the server forgot it.",
        ),
        Status::Superseded => (
            "Superseded",
            "Another request has just changed the token. Reload the page.",
        ),
        Status::Ambiguous => (
            "Conflict",
            "The browser sent cookies of several sessions: none of them counts.",
        ),
        _ => (
            "None",
            "No cookie yet. Whatever is stored first starts a session.",
        ),
    }
}

/// A ring that runs down without a script; the script only adds the seconds.
fn ring(live: Option<&Live>) -> Markup {
    let millis = live.map(|live| live.remaining.as_millis());
    html! {
        div.ring data-idle-ms=[millis] {
            svg viewBox="0 0 120 120" aria-hidden="true" {
                circle.track cx="60" cy="60" r="52" {}
                @if let Some(millis) = millis {
                    circle.left cx="60" cy="60" r="52" pathLength="100" stroke-dasharray="100 100" transform="rotate(-90 60 60)" {
                        animate attributeName="stroke-dashoffset" from="0" to="100" dur=(format!("{millis}ms")) fill="freeze" {}
                    }
                }
            }
            p role="timer" aria-label="Time until the idle timeout" {
                @match live {
                    Some(live) => { span #left { (rough(live.remaining)) } small { "until idle" } }
                    None => { span #left { "–" } small { "no session" } }
                }
            }
        }
    }
}

fn counter_card(snapshot: &Snapshot, feedback: &Feedback<'_>) -> Markup {
    html! {
        section.card aria-labelledby="counting" {
            h2 #counting { "Counter" }
            form.row method="post" action=(Action::Counter.path()) {
                output.count #counter { (snapshot.counter) }
                button.main #count autofocus[feedback.did(Action::Counter)] aria-describedby="counted" { "Count up" }
            }
            (feedback.line("counted", &[Action::Counter], None))
        }
    }
}

fn sign_in_card(snapshot: &Snapshot, feedback: &Feedback<'_>) -> Markup {
    let answer = matches!(feedback.answer, Answer::WhoAmI).then(|| match &snapshot.user {
        Some(user) => format!("You are {}.", user.name.as_str()),
        None => "Nobody is signed in.".to_owned(),
    });
    html! {
        section.card aria-labelledby="signing" {
            h2 #signing { "Sign-in" }
            @match &snapshot.user {
                Some(user) => p { "Signed in as " strong #user { (user.name.as_str()) }
                    @if let Some(since) = user.since { " since " (time(since)) } "." },
                None => form.row method="post" action=(Action::Login.path()) {
                    label { span { "Name" } input #name name="user" required maxlength="64" autocomplete="username"
                        autofocus[feedback.did(Action::Logout)]; }
                    button #login { "Sign in" }
                },
            }
            div.row {
                form method="get" action="/" {
                    button #whoami name="whoami" value="1" autofocus[answer.is_some()] aria-describedby="signed" { "Who am I?" }
                }
                form method="post" action=(Action::Logout.path()) {
                    button #logout autofocus[feedback.did(Action::Login)] aria-describedby="signed" { "Sign out" }
                }
            }
            (feedback.line("signed", &[Action::Login, Action::Logout], answer))
        }
    }
}

fn values_card(snapshot: &Snapshot, feedback: &Feedback<'_>) -> Markup {
    let answer = match feedback.answer {
        Answer::Value(key, Some(value)) => Some(format!("{key} is {value}.")),
        Answer::Value(key, None) => Some(format!("Nothing is stored at {key}.")),
        _ => None,
    };
    html! {
        section.card aria-labelledby="storing" {
            h2 #storing { "Values" }
            form.row method="post" action=(Action::Set.path()) {
                label { span { "Key" } input #set-key name="key" required maxlength="251" autocomplete="off"
                    autofocus[feedback.did(Action::Set)] aria-describedby="stored"; }
                label { span { "Value" } input #set-value name="value" required autocomplete="off"; }
                button #set { "Set" }
            }
            form.row method="get" action="/" {
                label { span { "Key" } input #get-key name="get" required maxlength="251" autocomplete="off"
                    autofocus[answer.is_some()] aria-describedby="stored"; }
                button #get { "Get" }
            }
            (feedback.line("stored", &[Action::Set], answer))
            @if snapshot.values.is_empty() {
                p.quiet #values { "The session holds nothing yet." }
            } @else {
                table #values {
                    caption { "Everything in the session" }
                    thead { tr { th scope="col" { "Key" } th scope="col" { "Value, as it is stored" } } }
                    tbody {
                        @for (key, value) in &snapshot.values {
                            tr { th scope="row" { code { (key) } } td { code { (shortened(value)) } } }
                        }
                    }
                }
            }
        }
    }
}

fn sessions_card(user: &User, this: Option<&Live>, feedback: &Feedback<'_>) -> Markup {
    let is_this = |id| this.is_some_and(|this| this.id == id);
    let others = user
        .sessions
        .iter()
        .filter(|session| !is_this(session.id))
        .count();
    html! {
        section.card.everywhere aria-labelledby="everywhere" {
            h2 #everywhere { "Your sessions" }
            ul.sessions {
                @for session in &user.sessions {
                    li {
                        div {
                            code { (session.id) }
                            @if is_this(session.id) { " " span.badge { "this browser" } }
                            p.quiet { "Began " (time(session.created_at)) ", lives at least until " (time(session.expires_at)) }
                        }
                        form method="post" action=(Action::Revoke.path()) {
                            input type="hidden" name="id" value=(session.id);
                            button.danger aria-label=(format!("Revoke {}", session.id)) { "Revoke" }
                        }
                    }
                }
            }
            form method="post" action=(Action::RevokeOthers.path()) {
                button #revoke-others .danger disabled[others == 0] aria-describedby="revoked" { "Sign out everywhere else" }
            }
            (feedback.line("revoked", &[Action::Revoke, Action::RevokeOthers], None))
        }
    }
}

/// Shows the session cookie that the last action set.
fn cookie_card(notice: &Notice) -> Markup {
    html! {
        section.card.cookie aria-labelledby="kept" {
            h2 #kept { "The cookie" }
            @match (&notice.set_cookie, notice.action) {
                (Some(set_cookie), _) => {
                    p { "The last action answered with" }
                    pre #set-cookie tabindex="0" { code { "Set-Cookie: " (set_cookie) } }
                    ul.attributes { @for attribute in set_cookie.split("; ") { li { (attribute_means(attribute)) } } }
                }
                (None, Some(_)) => p #set-cookie { "The last action set no cookie: the token stayed as it was." },
                (None, None) => p #set-cookie { "Nothing was set: showing this page changes no cookie." },
            }
        }
    }
}

fn attribute_means(attribute: &str) -> Markup {
    let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
    let means = match (name.to_ascii_lowercase().as_str(), value) {
        ("secure", _) => "it travels over HTTPS only",
        ("httponly", _) => "no script reads it",
        ("samesite", "Lax") => "other sites' forms don't send it, links do",
        ("samesite", "Strict") => "no other site makes the browser send it",
        ("samesite", _) => "every site makes the browser send it",
        ("path", "/") => "for the whole site",
        ("path", _) => "for this part of the site",
        ("domain", _) => "for this domain and all below it",
        ("max-age", "0") => "the browser forgets it now",
        ("max-age", _) => "for so many seconds the browser keeps it",
        ("expires", _) => "until then the browser keeps it, if it doesn't know Max-Age",
        ("partitioned", _) => "embedded in another site it is another cookie",
        (_, "") => "the name, and no value any more",
        (_, "…") => "the name, and a token that this page doesn't show",
        _ => "",
    };
    html! { code { (attribute) } " " (means) }
}

/// The line under the form that the user has just used.
struct Feedback<'a> {
    snapshot: &'a Snapshot,
    notice: &'a Notice,
    answer: &'a Answer,
}

impl Feedback<'_> {
    fn did(&self, action: Action) -> bool {
        self.notice.action == Some(action)
    }

    /// Shows the answer to a question, or what one of these actions did. The field that was used
    /// gets the focus again and is described by this line, so that screen readers read it.
    fn line(&self, id: &str, actions: &[Action], answer: Option<String>) -> Markup {
        let done = self.notice.action.filter(|action| actions.contains(action));
        let text = answer.or_else(|| done.map(|action| self.outcome(action)));
        html! { p.told id=(id) role="status" { (text.unwrap_or_default()) } }
    }

    fn outcome(&self, action: Action) -> String {
        match (action, &self.snapshot.user) {
            (Action::Counter, _) => format!("Counted: {}.", self.snapshot.counter),
            (Action::Login, Some(_)) => {
                "Signed in. The token changed, the values stayed.".to_owned()
            }
            (Action::Login, None) => "Signed in, and signed out again elsewhere.".to_owned(),
            (Action::Logout, _) => "Signed out. The session and its cookie are gone.".to_owned(),
            (Action::Set, _) => "Stored.".to_owned(),
            (Action::Revoke, _) => "That session has ended.".to_owned(),
            (Action::RevokeOthers, _) => "Only this session is left.".to_owned(),
        }
    }
}

fn time(at: Timestamp) -> Markup {
    let millis = u64::try_from(at.as_unix_millis()).unwrap_or_default();
    let text =
        humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
            .to_string();
    html! { time datetime=(text) { (text.replace('T', " ").replace('Z', " UTC")) } }
}

/// Writes at most two units: 11h 59m, 1m 5s, 20s.
fn rough(time: Duration) -> String {
    let text =
        humantime::format_duration(Duration::from_secs(time.as_millis().div_ceil(1000) as u64))
            .to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn shortened(value: &str) -> String {
    const MOST: usize = 200;
    match value.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}… ({} bytes)", &value[..end], value.len()),
        None => value.to_owned(),
    }
}
