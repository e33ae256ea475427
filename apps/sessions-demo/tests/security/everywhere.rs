//! A walk through all routes, with and without a session, with right and wrong input: for rules
//! that hold for every answer.

use crate::client::{Answer, Site, Visitor};

/// All answers of the walk, and all tokens that were given out on it.
pub(crate) struct Walk {
    /// What was asked, and what came.
    pub(crate) answers: Vec<(String, Answer)>,
    pub(crate) tokens: Vec<String>,
}

const GETS: [&str; 22] = [
    "/",
    "/?get=color",
    "/?whoami=1",
    "/?get=%ff",
    "/hello",
    "/session/counter",
    "/session/whoami",
    "/session/set?key=color&value=purple",
    "/session/set?key=color",
    "/session/get?key=color",
    "/session/get?key=none",
    "/session/get",
    "/session/login?user=max",
    "/session/login?user=%ff",
    "/session/login",
    "/session/logout?stay",
    "/page/style.css",
    "/page/main.js",
    "/page/counter",
    "/healthz",
    "/readyz",
    "/nowhere",
];

const POSTS: [(&str, &str); 12] = [
    ("/page/counter", ""),
    ("/page/login", "user=max"),
    ("/page/login", ""),
    ("/page/set", "key=color&value=deep+purple"),
    ("/page/set", "key=%ff"),
    ("/page/revoke", "id=01890a5d-ac96-774b-bcce-b302099a8057"),
    ("/page/revoke-others", ""),
    ("/page/replay", ""),
    ("/page/race/ready", ""),
    ("/page/race/increment", ""),
    ("/session/counter", ""),
    ("/page/logout", ""),
];

impl Walk {
    pub(crate) fn through(site: &Site) -> Self {
        let mut walk = Self {
            answers: Vec::new(),
            tokens: Vec::new(),
        };
        // Others of the same user, for the list of sessions.
        let mut others = [site.visitor(), site.visitor()];
        for other in &mut others {
            walk.send(other, "GET", "/session/login?user=max", "");
        }
        let mut nobody = site.visitor();
        let mut max = site.visitor();
        for path in GETS {
            nobody.jar.clear();
            walk.send(&mut nobody, "GET", path, "");
            walk.send(&mut nobody, "GET", path, "");
            walk.send(&mut max, "GET", path, "");
        }
        walk.send(&mut max, "GET", "/session/login?user=max", "");
        walk.send(&mut max, "GET", "/", "");
        for (path, form) in POSTS {
            nobody.jar.clear();
            walk.send(&mut nobody, "POST", path, form);
            walk.send(&mut nobody, "GET", "/", "");
            walk.send(&mut max, "POST", path, form);
            walk.send(&mut max, "GET", "/", "");
        }
        // Tokens that are over, unknown, superseded, or more than one.
        let dead = walk.tokens[0].clone();
        walk.send(&mut max, "GET", "/session/login?user=eve", "");
        let alive = max.token().unwrap().to_owned();
        walk.send(&mut max, "GET", "/session/login?user=eve", "");
        for value in [
            dead.clone(),
            alive.clone(),
            "A".repeat(64),
            format!("{alive}; Kr.Session={dead}"),
        ] {
            for path in [
                "/session/counter",
                "/session/whoami",
                "/session/logout",
                "/",
            ] {
                nobody.jar.clear();
                nobody.jar.insert("Kr.Session", value.clone());
                walk.send(&mut nobody, "GET", path, "");
            }
        }
        let both = format!(
            "{}; Kr.Session={}",
            max.token().unwrap(),
            walk.tokens.last().unwrap()
        );
        nobody.jar.insert("Kr.Session", both);
        walk.send(&mut nobody, "GET", "/session/counter", "");
        walk.send(&mut max, "GET", "/session/logout", "");
        walk.send(&mut max, "GET", "/metrics", "");
        walk
    }

    fn send(&mut self, visitor: &mut Visitor, method: &str, path: &str, form: &str) {
        let answer = visitor.send(method, path, form);
        let given = answer.session_cookie().map(|cookie| {
            let (pair, _) = cookie.split_once(';').unwrap();
            pair.split_once('=').unwrap().1.to_owned()
        });
        self.tokens.extend(given.filter(|token| !token.is_empty()));
        self.answers.push((format!("{method} {path}"), answer));
    }
}
