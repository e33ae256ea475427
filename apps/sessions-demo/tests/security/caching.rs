//! 14.3.2: no cache keeps a token, nor what was shown to its holder.

use crate::{client::Site, everywhere::Walk};

#[test]
fn an_answer_with_a_token_is_kept_by_no_cache() {
    let site = Site::start(&[]);
    let mut with_token = 0;
    for (request, answer) in Walk::through(&site).answers {
        if answer.session_cookie().is_some() {
            with_token += 1;
            assert_eq!(
                answer.header("cache-control"),
                Some("no-store"),
                "{request}"
            );
        }
    }
    assert!(with_token > 20, "{with_token}");
}

/// 7.4.1: after a logout the back button shows nothing of the session.
#[test]
fn an_answer_that_depends_on_the_session_is_kept_by_no_shared_cache_and_a_users_by_no_browser() {
    let site = Site::start(&[]);
    let mut max = site.visitor();
    max.get("/session/login?user=max");
    for (path, for_a_visitor) in [
        ("/session/whoami", "private, no-cache"),
        // It starts a session.
        ("/session/counter", "no-store"),
        ("/", "no-store"),
    ] {
        for signed_in in [true, false] {
            let mut visitor = site.visitor();
            if signed_in {
                visitor.jar.clone_from(&max.jar);
            }
            let answer = visitor.get(path);
            let expected = if signed_in { "no-store" } else { for_a_visitor };
            assert_eq!(answer.header("cache-control"), Some(expected), "{path}");
            assert!(
                answer
                    .headers("vary")
                    .any(|vary| vary.eq_ignore_ascii_case("cookie")),
                "{path}"
            );
        }
    }
}
