//! Which cookies are sent, and which are believed.

use std::time::Duration;

use http::{StatusCode, header};
use kr_cookie::{CookieBuilder, SecurePolicy};
use tower_kr_session::{Clock, Https, SiteData, Status};

use crate::support::{
    ABSOLUTE, App, Behaviour, IDLE, NAME, ok, on_each_store, owner, with_wrong_secret,
};

on_each_store!(
    a_client_without_a_session_that_writes_nothing_gets_no_cookie_and_no_record,
    the_cookie_is_set_once,
    what_is_no_token_of_ours_is_as_if_it_were_not_there,
    a_valid_token_among_garbage_works_in_any_order,
    two_live_sessions_or_too_many_cookies_are_a_conflict,
    signing_in_or_out_ends_all_sessions_of_one_name_and_the_conflict,
    signing_in_or_out_leaves_a_session_of_the_clients_other_cookies_nothing,
    a_sign_in_that_is_refused_leaves_the_sessions_in_conflict,
    a_persistent_session_tells_the_browser_until_when,
    a_logout_clears_what_the_browser_keeps_if_the_layer_says_so,
    no_cache_of_any_kind_keeps_a_token,
    no_browser_keeps_what_a_user_saw,
    a_response_that_may_use_the_session_later_is_kept_apart_by_caches,
    a_persistent_session_whose_deadline_is_moved_into_the_past_loses_its_cookie,
);

async fn a_client_without_a_session_that_writes_nothing_gets_no_cookie_and_no_record(app: App) {
    let untouched = app.with(None, |_| async { Ok(ok("")) }).await;
    untouched.assert_plain();
    assert_eq!(untouched.headers.get(header::VARY), None);
    assert_eq!(untouched.headers.get(header::CACHE_CONTROL), None);
    let read = app
        .with(None, |session| async move {
            assert_eq!(session.get::<i64>("a").await?, None);
            assert_eq!(session.take::<i64>("a").await?, None);
            assert!(!session.contains_key("a").await?);
            assert_eq!(session.keys().await?, Vec::<String>::new());
            assert_eq!(session.status().await?, Status::Absent);
            assert_eq!(session.id().await?, None);
            assert_eq!(session.owner().await?, None);
            assert_eq!(session.expires_at().await?, None);
            session.insert("a", &1)?;
            session.remove("a")?;
            Ok(ok(""))
        })
        .await;
    read.assert_plain();
    assert_eq!(read.headers[header::VARY], "Cookie");
    assert_eq!(read.headers[header::CACHE_CONTROL], "private, no-cache");
    assert_eq!(app.records(), 0);
}

async fn the_cookie_is_set_once(app: App) {
    let first = app
        .with(None, |session| async move {
            session.insert("a", &1)?;
            let mut response = ok("");
            let headers = response.headers_mut();
            headers.insert(header::CACHE_CONTROL, "public, max-age=60".parse().unwrap());
            Ok(response)
        })
        .await;
    let token = first.token();
    let expected = format!("{NAME}={token}; Secure; Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(first.set_cookie(), Some(expected.as_str()));
    assert_eq!(first.headers[header::CACHE_CONTROL], "no-store");
    assert!(first.headers[header::SET_COOKIE].is_sensitive());
    let write = app
        .with(Some(&token), |session| async move {
            session.insert("a", &2)?;
            session.increment("n", 1).await?;
            Ok(ok(""))
        })
        .await;
    write.assert_plain();
    let mut cached = app
        .with(Some(&token), |session| async move {
            session.get::<i64>("a").await?;
            let mut response = ok("");
            let headers = response.headers_mut();
            headers.insert(header::CACHE_CONTROL, "no-store".parse().unwrap());
            headers.insert(header::VARY, "accept, cookie".parse().unwrap());
            Ok(response)
        })
        .await;
    cached.assert_plain();
    assert_eq!(
        cached.headers.remove(header::CACHE_CONTROL).unwrap(),
        "no-store"
    );
    assert_eq!(cached.headers.get_all(header::VARY).iter().count(), 1);
}

async fn what_is_no_token_of_ours_is_as_if_it_were_not_there(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let flipped = |at: usize| {
        let mut text = token.clone().into_bytes();
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(text).unwrap()
    };
    let swapped: String = token
        .chars()
        .map(|c| {
            if c.is_lowercase() {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect();
    for value in [
        String::new(),
        "x".into(),
        "A".repeat(64),
        "_".repeat(64),
        flipped(0),
        flipped(63),
        flipped(30),
        swapped,
        token[..63].to_owned(),
        format!("{token}A"),
        "A".repeat(4_096),
        format!("\"{token}\""),
        format!("{}\u{e9}", &token[..62]),
        format!("{}%", &token[..63]),
    ] {
        let cookie = format!("{NAME}={value}");
        let reply = app
            .raw(&[cookie], |session| async move {
                assert_eq!(session.get::<i64>("a").await?, None);
                Ok(ok(""))
            })
            .await;
        reply.assert_plain();
        let adopted = app
            .raw(&[format!("{NAME}={value}")], |session| async move {
                session.insert("a", &2)?;
                Ok(ok(""))
            })
            .await;
        assert_ne!(adopted.token()[..22], *value.get(..22).unwrap_or_default());
        assert_eq!(app.read(&token, "a").await, Some(1));
    }
}

async fn a_valid_token_among_garbage_works_in_any_order(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let valid = format!("{NAME}={token}");
    let forged = |fill: &str| format!("{NAME}={}", fill.repeat(64));
    let (x, y, z) = (forged("x"), forged("y"), forged("z"));
    for cookies in [
        vec![valid.clone(), x.clone()],
        vec![x.clone(), valid.clone()],
        vec![format!("{x}; {valid}; {y}")],
        vec![format!(
            "junk; =; {NAME}=; {valid}; {NAME}=\"{token}\"; a=b"
        )],
        vec![x, y, z, valid.clone()],
        vec![valid.clone(), valid.clone(), format!("{valid}; {valid}")],
    ] {
        let reply = app
            .raw(&cookies, |session| async move {
                session.insert("b", &2)?;
                session.increment("n", 1).await?;
                Ok(ok(format!("{:?}", session.get::<i64>("a").await?)))
            })
            .await;
        reply.assert_plain();
        assert_eq!(reply.body, "Some(1)", "{cookies:?}");
    }
    assert_eq!(app.read(&token, "n").await, Some(6));
    assert_eq!(app.records(), 1);
}

async fn assert_conflict(app: &App, cookies: &[String]) {
    let records = app.records();
    let read = app
        .raw(cookies, |session| async move {
            assert_eq!(session.status().await?, Status::Ambiguous);
            assert_eq!(session.get::<i64>("a").await?, None);
            Ok(ok(""))
        })
        .await;
    read.assert_plain();
    for change in ["insert", "rotate"] {
        let reply = app
            .raw(cookies, move |session| async move {
                match change {
                    "insert" => session.insert("a", &2)?,
                    _ => session.rotate()?,
                }
                Ok(ok(""))
            })
            .await;
        reply.assert_refused(StatusCode::BAD_REQUEST);
    }
    let at_once = app
        .raw(cookies, |session| async move {
            session.increment("a", 1).await?;
            Ok(ok(""))
        })
        .await;
    assert_eq!(at_once.status, StatusCode::BAD_REQUEST);
    assert_eq!(at_once.set_cookie(), None);
    assert_eq!(app.records(), records);
}

async fn two_live_sessions_or_too_many_cookies_are_a_conflict(app: App) {
    let first = format!("{NAME}={}", app.start(&[("a", 1)]).await);
    let second = format!("{NAME}={}", app.start(&[("a", 2)]).await);
    assert_conflict(&app, &[first.clone(), second.clone()]).await;
    assert_conflict(&app, &[format!("{second}; {first}")]).await;
    let forged = |fill: char| format!("{NAME}={}", fill.to_string().repeat(64));
    assert_conflict(&app, &[first.clone(), forged('x'), second]).await;
    let many: Vec<String> = "vwxyz".chars().map(forged).collect();
    assert_conflict(&app, &many).await;
    let mut many = many[..4].to_vec();
    many.push(first);
    assert_conflict(&app, &many).await;
    for signs_in in [true, false] {
        let reply = app
            .raw(&many, move |session| async move {
                match signs_in {
                    true => session.sign_in("max")?,
                    false => session.destroy()?,
                }
                Ok(ok(""))
            })
            .await;
        reply.assert_refused(StatusCode::BAD_REQUEST);
    }
}

async fn signing_in_or_out_ends_all_sessions_of_one_name_and_the_conflict(app: App) {
    for signs_in in [true, false] {
        let first = app.start(&[("a", 1)]).await;
        let second = app.start(&[("a", 2)]).await;
        let stranger = app.start(&[("a", 3)]).await;
        let guessed = with_wrong_secret(&stranger, &first);
        let cookie = |token: &str| format!("{NAME}={token}");
        let cookies = [&first, &guessed, &second].map(|token| cookie(token));
        let reply = app
            .raw(&cookies, move |session| async move {
                assert_eq!(session.status().await?, Status::Ambiguous);
                match signs_in {
                    true => session.sign_in("max")?,
                    false => session.destroy()?,
                }
                let expected = if signs_in {
                    Status::New
                } else {
                    Status::Absent
                };
                assert_eq!(session.status().await?, expected);
                assert_eq!(session.id().await?, None);
                assert_eq!(session.get::<i64>("a").await?, None);
                if signs_in {
                    assert_eq!(session.increment("n", 1).await?, 1);
                }
                Ok(ok(""))
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        for token in [&first, &second] {
            assert_eq!(app.id(token).await, None);
        }
        assert_eq!(app.read(&stranger, "a").await, Some(3));
        if signs_in {
            // The browser keeps a cookie under another path, whose session is over.
            let both = [cookie(&first), cookie(&reply.token()), cookie(&second)];
            let next = app
                .raw(&both, |session| async move {
                    assert_eq!(session.owner().await?, Some(owner("max")));
                    session.insert("a", &1)?;
                    Ok(ok(session.get::<i64>("n").await?.unwrap_or_default()))
                })
                .await;
            next.assert_plain();
            assert_eq!(next.body, "1");
        } else {
            assert!(reply.removes_cookie());
        }
    }
}

async fn signing_in_or_out_leaves_a_session_of_the_clients_other_cookies_nothing(app: App) {
    // One cookie of a live session, and one of a session that a clock ahead shows as expired.
    let old = app.start(&[("a", 1)]).await;
    app.advance(IDLE);
    for signs_in in [true, false] {
        let right = app.clock.now();
        let expired = app.start(&[("a", 1)]).await;
        app.advance(2 * IDLE);
        let live = app.start(&[("a", 1)]).await;
        let cookies = [&old, &expired, &live].map(|token| format!("{NAME}={token}"));
        let reply = app
            .raw(&cookies, move |session| async move {
                match signs_in {
                    true => session.sign_in("max")?,
                    false => session.destroy()?,
                }
                Ok(ok(""))
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        app.clock.set(right);
        assert_eq!(app.id(&live).await, None);
        assert_eq!(app.id(&expired).await, None);
    }
}

/// A sign-in without consent starts nothing, so it ends nothing.
async fn a_sign_in_that_is_refused_leaves_the_sessions_in_conflict(app: App) {
    let first = app.start(&[("a", 1)]).await;
    let second = app.start(&[("a", 2)]).await;
    let mut refusing = app.clone();
    refusing.layer = app
        .layer
        .clone()
        .cookie(CookieBuilder::new(NAME).essential(false))
        .consent_when(|_| false);
    let cookies = [&first, &second].map(|token| format!("{NAME}={token}"));
    let reply = refusing
        .raw(&cookies, |session| async move {
            session.sign_in("max")?;
            Ok(ok(""))
        })
        .await;
    reply.assert_refused(StatusCode::FORBIDDEN);
    assert_eq!(app.read(&first, "a").await, Some(1));
    assert_eq!(app.read(&second, "a").await, Some(2));
}

async fn a_persistent_session_tells_the_browser_until_when(app: App) {
    let remembered = app
        .with(None, |session| async move {
            session.sign_in("max")?;
            session.set_idle_timeout(Duration::from_secs(3_600))?;
            session.set_absolute_timeout(Duration::from_secs(86_400))?;
            session.set_persistent(true)?;
            Ok(ok(""))
        })
        .await;
    let token = remembered.token();
    let cookie = remembered.set_cookie().unwrap();
    assert!(cookie.contains("; Max-Age=86400;"), "{cookie}");
    app.advance(Duration::from_secs(3_599));
    assert!(app.id(&token).await.is_some(), "its own idle timeout holds");
    app.advance(Duration::from_secs(1));
    let rotated = app
        .with(Some(&token), |session| async move {
            assert_eq!(session.is_persistent().await?, Some(true));
            session.rotate()?;
            Ok(ok(""))
        })
        .await;
    let cookie = rotated.set_cookie().unwrap();
    assert!(cookie.contains("; Max-Age=82800;"), "{cookie}");
    let forgotten = app
        .with(Some(&rotated.token()), |session| async move {
            session.set_persistent(false)?;
            Ok(ok(""))
        })
        .await;
    assert!(!forgotten.set_cookie().unwrap().contains("Max-Age"));
    app.with(Some(&forgotten.token()), |session| async move {
        assert_eq!(session.is_persistent().await?, Some(false));
        Ok(ok(""))
    })
    .await
    .assert_plain();
    let ordinary = app.start(&[("a", 1)]).await;
    app.advance(ABSOLUTE);
    assert_eq!(app.id(&ordinary).await, None);
}

#[tokio::test]
async fn same_as_request_asks_how_the_request_came() {
    use http::Request;
    use tower::{Layer, ServiceExt, service_fn};
    use tower_kr_session::Session;

    let cookie = CookieBuilder::new(NAME).secure_policy(SecurePolicy::SameAsRequest);
    let layer = App::in_memory().layer.cookie(cookie);
    let behind_proxy = layer.clone().https_when(|parts| {
        parts
            .headers
            .get("x-forwarded-proto")
            .is_some_and(|proto| proto == "https")
    });
    let get = || Request::get("/");
    let cases = [
        (&layer, get().body(()).unwrap(), false),
        (
            &layer,
            Request::get("https://example.org/").body(()).unwrap(),
            true,
        ),
        (
            &layer,
            Request::get("http://example.org/").body(()).unwrap(),
            false,
        ),
        (&layer, get().extension(Https).body(()).unwrap(), true),
        (
            &layer,
            get().header("x-forwarded-proto", "https").body(()).unwrap(),
            false,
        ),
        (
            &behind_proxy,
            get().header("x-forwarded-proto", "https").body(()).unwrap(),
            true,
        ),
        (
            &behind_proxy,
            get().extension(Https).body(()).unwrap(),
            false,
        ),
    ];
    for (layer, request, secure) in cases {
        let service = layer.layer(service_fn(async |request: Request<()>| {
            let session = request.extensions().get::<Session>().unwrap();
            session.insert("a", &1).unwrap();
            Ok::<_, std::convert::Infallible>(ok(""))
        }));
        let response = service.oneshot(request).await.unwrap();
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
        assert_eq!(cookie.contains("; Secure"), secure, "{cookie}");
    }
}

async fn a_logout_clears_what_the_browser_keeps_if_the_layer_says_so(plain: App) {
    const HEADER: &str = "clear-site-data";
    let mut app = plain.clone();
    app.layer = app
        .layer
        .clear_site_data([SiteData::Storage, SiteData::Cache]);
    let logout = async |app: &App, token: Option<&str>| {
        app.with(token, |session| async move {
            session.sign_out()?;
            let mut response = ok("");
            let headers = response.headers_mut();
            headers.insert(HEADER, "\"executionContexts\"".parse().unwrap());
            Ok(response)
        })
        .await
    };
    // Also if the session is gone already: its traces may be there.
    let token = app.start(&[("a", 1)]).await;
    for token in [Some(token.as_str()), Some(&token), None] {
        let reply = logout(&app, token).await;
        assert!(reply.removes_cookie());
        let all: Vec<_> = reply.headers.get_all(HEADER).iter().collect();
        assert_eq!(all, ["\"executionContexts\"", "\"cache\", \"storage\""]);
    }

    let token = app.start(&[("a", 1)]).await;
    let read = app
        .with(Some(&token), |session| async move {
            session.get::<i64>("a").await?;
            session.insert("b", &1)?;
            Ok(ok(""))
        })
        .await;
    assert_eq!(read.headers.get(HEADER), None);
    let replaced = app
        .with(Some(&token), |session| async move {
            session.destroy()?;
            session.sign_in("max")?;
            Ok(ok(""))
        })
        .await;
    assert_eq!(replaced.headers.get(HEADER), None, "a new session starts");
    let token = replaced.token();
    let without = plain
        .with(Some(&token), |session| async move {
            session.sign_out()?;
            Ok(ok(""))
        })
        .await;
    assert!(without.removes_cookie());
    assert_eq!(without.headers.get(HEADER), None);
}

#[tokio::test]
async fn a_logout_that_failed_clears_nothing() {
    let mut app = App::over_io();
    app.layer = app.layer.clear_site_data([SiteData::Cookies]);
    let token = app.start(&[("a", 1)]).await;
    app.remote.set(Behaviour::Fail);
    let reply = app
        .with(Some(&token), |session| async move {
            session.sign_out()?;
            Ok(ok(""))
        })
        .await;
    reply.assert_refused(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.headers.get("clear-site-data"), None);
}

async fn no_cache_of_any_kind_keeps_a_token(app: App) {
    const TARGETED: [&str; 5] = [
        "cdn-cache-control",
        "cloudflare-cdn-cache-control",
        "vercel-cdn-cache-control",
        "surrogate-control",
        "x-accel-expires",
    ];
    let with_headers = || {
        let mut response = ok("");
        for name in TARGETED {
            let value = "max-age=600".parse().unwrap();
            response.headers_mut().insert(name, value);
        }
        response
    };
    let start = app
        .with(None, move |session| async move {
            session.insert("a", &1)?;
            Ok(with_headers())
        })
        .await;
    let token = start.token();
    let end = app
        .with(Some(&token), move |session| async move {
            session.destroy()?;
            Ok(with_headers())
        })
        .await;
    assert!(end.removes_cookie());
    for reply in [start, end] {
        assert_eq!(reply.headers[header::CACHE_CONTROL], "no-store");
        for name in TARGETED {
            assert_eq!(reply.headers.get(name), None, "{name}");
        }
    }
}

/// The back button shows a page from the browser's memory, also after the user has signed out.
async fn no_browser_keeps_what_a_user_saw(app: App) {
    let anonymous = app.start(&[("a", 1)]).await;
    let user = app
        .with(None, |session| async move {
            session.sign_in("max")?;
            Ok(ok(""))
        })
        .await;
    let user = user.token();
    for (token, expected) in [(anonymous, "private, no-cache"), (user, "no-store")] {
        let read = app
            .with(Some(&token), |session| async move {
                session.get::<i64>("a").await?;
                Ok(ok(""))
            })
            .await;
        let write = app
            .with(Some(&token), |session| async move {
                session.get::<i64>("a").await?;
                session.insert("a", &2)?;
                session.increment("n", 1).await?;
                Ok(ok(""))
            })
            .await;
        for reply in [read, write] {
            reply.assert_plain();
            assert_eq!(reply.headers[header::CACHE_CONTROL], expected);
        }
        // Whose session it is was not asked.
        let increment = app
            .with(Some(&token), |session| async move {
                session.increment("n", 1).await?;
                Ok(ok(""))
            })
            .await;
        assert_eq!(increment.headers[header::CACHE_CONTROL], "no-store");
        let own = app
            .with(Some(&token), |session| async move {
                session.owner().await?;
                let mut response = ok("");
                let own = "private, max-age=60".parse().unwrap();
                response.headers_mut().insert(header::CACHE_CONTROL, own);
                Ok(response)
            })
            .await;
        assert_eq!(own.headers[header::CACHE_CONTROL], "private, max-age=60");
    }
}

async fn a_response_that_may_use_the_session_later_is_kept_apart_by_caches(app: App) {
    let token = app.start(&[("a", 1)]).await;
    // As a stream does, or a task that writes the body.
    let (later, handles) = std::sync::mpsc::channel();
    for (token, expected) in [
        (None, "private, no-cache"),
        (Some(token.as_str()), "no-store"),
    ] {
        for own in [None, Some("public, max-age=60")] {
            let later = later.clone();
            let reply = app
                .with(token, move |session| async move {
                    later.send(session).unwrap();
                    let mut response = ok("");
                    if let Some(own) = own {
                        let own = own.parse().unwrap();
                        response.headers_mut().insert(header::CACHE_CONTROL, own);
                    }
                    Ok(response)
                })
                .await;
            reply.assert_plain();
            assert_eq!(reply.headers[header::VARY], "Cookie");
            let expected = own.unwrap_or(expected);
            assert_eq!(reply.headers[header::CACHE_CONTROL], expected);
            let value = handles.recv().unwrap().get::<i64>("a").await.unwrap();
            assert_eq!(value.is_some(), token.is_some());
        }
        let unused = app.with(token, |_| async { Ok(ok("")) }).await;
        assert_eq!(unused.headers.get(header::VARY), None);
    }
}

async fn a_persistent_session_whose_deadline_is_moved_into_the_past_loses_its_cookie(app: App) {
    let start = app
        .with(None, |session| async move {
            session.insert("a", &1)?;
            session.set_persistent(true)?;
            Ok(ok(""))
        })
        .await;
    app.advance(Duration::from_secs(10));
    let reply = app
        .with(Some(&start.token()), |session| async move {
            session.set_absolute_timeout(Duration::from_secs(5))?;
            Ok(ok(""))
        })
        .await;
    assert!(reply.removes_cookie(), "{reply:?}");
}
