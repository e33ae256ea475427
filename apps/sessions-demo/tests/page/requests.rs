//! The last requests of the session.

use tower_kr_session::MokaStore;

use crate::{
    app, browser,
    support::{Answer, Client, NAME},
};

/// The rows of the last requests, as text.
pub(crate) fn requests(page: &Answer) -> Vec<String> {
    let (_, log) = page.body.split_once("id=\"log\"").unwrap();
    let (log, _) = log.split_once("</section>").unwrap();
    let cells = |row: &str| {
        // Without the last one, the time.
        let cells = row.split("<td").skip(1).take(5);
        let cells = cells.map(|cell| cell.split_once('>').unwrap().1);
        let cells = cells.map(|cell| cell.replace("<code>", "").replace("</code>", ""));
        let texts: Vec<_> = cells
            .map(|cell| cell.split('<').next().unwrap_or_default().to_owned())
            .collect();
        texts.join(" | ")
    };
    log.split("<tr>").skip(2).map(cells).collect()
}

#[tokio::test]
async fn a_race_is_a_row_for_each_kind_of_request() {
    let mut browser = browser();
    browser.post("/page/race/ready", "").await;
    for _ in 0..3 {
        browser.post("/page/race/increment", "").await;
        browser.post("/page/race/plain", "").await;
    }
    let log = requests(&browser.get("/").await);
    assert_eq!(log.len(), 3, "{log:?}");
    let plain = "POST /page/race/plain × 3 | 204 | count read + 1 | no | up to ";
    assert!(
        log[0].starts_with(plain) && log[0].ends_with(" ms"),
        "{log:?}"
    );
    assert!(
        log[1].starts_with("POST /page/race/increment × 3 | 204 |"),
        "{log:?}"
    );
}

#[tokio::test]
async fn the_verdict_of_a_race_stays_until_the_next_one_or_the_end_of_the_session() {
    let mut browser = browser();
    let verdict = [
        "increment: 1 of 50; 49 lost: ",
        "<p class=\"wrong\">read, add, write: 2 of 50; 48 lost: each wrote back what it had read, plus 1</p>",
    ];
    assert!(!browser.get("/").await.body.contains("increment: "));
    browser.post("/page/race/ready", "").await;
    for way in ["increment", "plain", "plain"] {
        browser.post(&format!("/page/race/{way}"), "").await;
    }
    for path in ["counter", "login", "set"] {
        let form = "user=max&key=color&value=purple";
        browser.post(&format!("/page/{path}"), form).await;
        let body = browser.get("/").await.body;
        assert!(verdict.iter().all(|line| body.contains(line)), "{path}");
    }
    browser.post("/page/race/ready", "").await;
    assert!(!browser.get("/").await.body.contains("increment: "));
    browser.post("/page/race/increment", "").await;
    browser.post("/page/logout", "").await;
    assert!(!browser.get("/").await.body.contains("increment: "));
}

#[tokio::test]
async fn the_last_requests_are_those_of_this_session_alone() {
    let app = app(MokaStore::new());
    let [mut max, mut eve] = [(); 2].map(|()| Client::new(&app));
    max.get("/session/counter").await;
    max.post("/page/login", "user=hunter2").await;
    max.post("/page/set", "key=hunter3&value=hunter4").await;
    max.post("/page/set", "key=hunter3").await;
    eve.get("/session/set?key=a&value=b").await;
    // Somebody who knows the id of the session, but not its secret.
    let mut thief = Client::new(&app);
    let token = max.token().unwrap().to_owned();
    thief
        .jar
        .insert(NAME, format!("{}{}", &token[..22], "A".repeat(42)));
    thief.get("/session/whoami").await;

    let page = max.get("/").await;
    let seen: Vec<String> = requests(&page)
        .iter()
        .map(|row| row.rsplit_once(" | ").unwrap().0.to_owned())
        .collect();
    assert_eq!(
        seen,
        [
            "POST /page/set | 400 | nothing | no",
            "POST /page/set | 303 | a value | no",
            "POST /page/login | 303 | user, new token | yes",
            "GET /session/counter | 200 | counter + 1 | yes",
        ]
    );
    for row in requests(&page) {
        let (number, unit) = row.rsplit_once(" | ").unwrap().1.split_once(' ').unwrap();
        assert!(number.parse::<u32>().unwrap() > 0, "{row}");
        assert!(["µs", "ms"].contains(&unit), "{row}");
        assert!(!row.contains("hunter"), "{row}");
    }
    let of_eve = requests(&eve.get("/").await);
    assert_eq!(of_eve.len(), 1, "{of_eve:?}");
    max.post("/page/logout", "").await;
    assert_eq!(requests(&max.get("/").await), Vec::<String>::new());
}
