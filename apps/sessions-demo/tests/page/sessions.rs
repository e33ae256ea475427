//! The list of the user's sessions.

use tower_kr_session::MokaStore;

use crate::{app, support::Client, text};

#[tokio::test]
async fn sessions_of_one_user_are_listed_and_ended_by_that_user_alone() {
    let app = app(MokaStore::new());
    let [mut laptop, mut phone, mut eve] = [(); 3].map(|()| Client::new(&app));
    phone.post("/page/login", "user=max").await;
    let id = text(&phone.get("/").await, "id").to_owned();
    laptop.post("/page/login", "user=max").await;
    eve.post("/page/login", "user=eve").await;
    assert!(laptop.get("/").await.body.contains(&id));
    assert!(!eve.get("/").await.body.contains(&id));

    let revoke = Box::leak(format!("id={id}").into_boxed_str());
    assert_eq!(eve.post("/page/revoke", revoke).await.status, 404);
    assert_eq!(text(&phone.get("/").await, "status"), "Active");
    assert_eq!(laptop.post("/page/revoke", revoke).await.status, 303);
    assert_eq!(text(&phone.get("/").await, "status"), "Over");
    assert_eq!(laptop.post("/page/revoke", revoke).await.status, 404);

    phone.post("/page/login", "user=max").await;
    assert_eq!(laptop.post("/page/revoke-others", "").await.status, 303);
    assert_eq!(text(&phone.get("/").await, "status"), "Over");
    assert_eq!(text(&laptop.get("/").await, "status"), "Active");
    assert_eq!(text(&eve.get("/").await, "status"), "Active");

    let mut nobody = Client::new(&app);
    assert_eq!(nobody.post("/page/revoke", revoke).await.status, 401);
    assert_eq!(nobody.post("/page/revoke-others", "").await.status, 401);
}

#[tokio::test]
async fn the_own_session_is_signed_out_and_others_are_revoked() {
    let app = app(MokaStore::new());
    let [mut laptop, mut phone] = [(); 2].map(|()| Client::new(&app));
    for client in [&mut laptop, &mut phone] {
        client.post("/page/login", "user=max").await;
    }
    let page = laptop.get("/").await;
    let own = text(&page, "id");
    let buttons = [
        "Sign out",
        "Sign out here",
        "Sign out everywhere else",
        "Revoke",
    ];
    for button in buttons {
        let times = page.body.matches(&format!(">{button}<")).count();
        assert_eq!(times, 1, "{button}");
    }
    assert!(!page.body.contains(&format!("Revoke {own}")));

    laptop.post("/page/revoke-others", "").await;
    let page = laptop.get("/").await;
    for button in ["Revoke", "Sign out everywhere else"] {
        assert!(!page.body.contains(&format!(">{button}<")), "{button}");
    }
    assert!(page.body.contains("Nowhere else."), "{}", page.body);
}
