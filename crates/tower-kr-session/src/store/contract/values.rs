//! Rules: values change key by key, exactly, all or nothing.

use bytes::Bytes;

use super::{
    ApplyOutcome, Connections, SessionStore, compare_and_set, increment, key, receipt, rule_list,
    set,
};

rule_list![
    changes_touch_only_their_own_keys,
    clear_removes_what_the_store_has_and_comes_first,
    keys_are_data_and_never_meet_the_records_own_fields,
    integers_are_exact_over_the_whole_range,
    only_integers_can_be_incremented,
    compare_and_set_looks_before_it_writes,
    a_refused_delta_changes_nothing,
    the_size_limit_is_exact,
];

async fn changes_touch_only_their_own_keys<S: SessionStore>(connections: Connections<S>) {
    let session = connections
        .session(&[("a", "1"), ("b", "2"), ("c", "3")])
        .await;
    let mut delta = set("b", "20");
    delta.change(key("c"), None);
    delta.change(key("d"), Some(Bytes::from_static(b"4")));
    delta.change(key("not there"), None);
    receipt(session.apply(delta).await);
    let values = session.through(&connections.second).record().await.values;
    let values: Vec<_> = values.iter().collect();
    assert_eq!(values, [("a", &b"1"[..]), ("b", b"20"), ("d", b"4")]);
}

async fn clear_removes_what_the_store_has_and_comes_first<S: SessionStore>(
    connections: Connections<S>,
) {
    let session = connections.session(&[("a", "1"), ("n", "41")]).await;
    receipt(
        session
            .through(&connections.second)
            .apply(set("unseen", "x"))
            .await,
    );
    let mut delta = set("a", "2");
    delta.clear = true;
    receipt(session.apply(delta).await);
    let values = session.record().await.values;
    assert_eq!(values.iter().collect::<Vec<_>>(), [("a", &b"2"[..])]);

    let mut delta = increment("a", 1);
    delta.clear = true;
    assert_eq!(receipt(session.apply(delta).await).incremented, Some(1));

    let mut delta = super::delta();
    delta.clear = true;
    receipt(session.apply(delta).await);
    assert!(session.record().await.values.is_empty());
}

async fn keys_are_data_and_never_meet_the_records_own_fields<S: SessionStore>(
    connections: Connections<S>,
) {
    let long = "\u{1f36a}".repeat(64);
    let names = [
        "secret",
        "retired",
        "owner",
        "created_at",
        "authenticated_at",
        "idle_deadline",
        "absolute_deadline",
        "size",
        "version",
        "id",
        "s",
        "v",
        "v:",
        "v:secret",
        ":",
        "__proto__",
        "'; DROP TABLE sessions; --",
        "\"quoted\"",
        "%s",
        "100%",
        "\\",
        "$1",
        "?",
        "{}",
        "*",
        "a b",
        " ",
        "\u{e9}",
        "e\u{301}",
        "A",
        "a",
        &long,
    ];
    let session = connections.session(&[]).await;
    let before = session.record().await;
    let mut delta = super::delta();
    for name in names {
        delta.change(key(name), Some(Bytes::copy_from_slice(name.as_bytes())));
    }
    receipt(session.apply(delta).await);
    for name in names {
        let value = Some(Bytes::copy_from_slice(name.as_bytes()));
        receipt(
            session
                .apply(compare_and_set(name, value.as_deref(), Some(b"7")))
                .await,
        );
        assert_eq!(
            receipt(session.apply(increment(name, 1)).await).incremented,
            Some(8),
            "{name:?}"
        );
    }
    let mut record = session.through(&connections.second).record().await;
    assert_eq!(record.values.len(), names.len());
    record.values = before.values.clone();
    assert_eq!(record, before, "the record itself is as it was");
}

async fn integers_are_exact_over_the_whole_range<S: SessionStore>(connections: Connections<S>) {
    let session = connections.session(&[]).await;
    let two_53 = 1_i64 << 53;
    for (start, by) in [
        (0, 1),
        (0, -1),
        (-5, 5),
        (two_53 - 1, 1),
        (two_53, 1),
        (two_53 + 1, 1),
        (-two_53, -1),
        (999_999_999_999_999_999, 1),
        (i64::MAX - 1, 1),
        (i64::MIN + 1, -1),
        (i64::MAX, 0),
        (0, i64::MIN),
        (0, i64::MAX),
        (i64::MIN, i64::MAX),
        (i64::MAX, i64::MIN),
        (-1, i64::MAX),
        (i64::MAX, -1),
        (i64::MIN, 1),
        (1_000_000_000, -1),
        (-1_000_000_000, 1),
        (-1, 1),
        (5, -10),
    ] {
        receipt(session.apply(set("n", start.to_string())).await);
        let sum = start + by;
        let done = receipt(session.apply(increment("n", by)).await);
        assert_eq!(done.incremented, Some(sum), "{start} + {by}");
        assert_eq!(session.value("n").await, Some(sum.to_string().into_bytes()));
    }
    for (start, by) in [
        (i64::MAX, 1),
        (i64::MIN, -1),
        (1, i64::MAX),
        (i64::MAX, i64::MAX),
        (-1, i64::MIN),
        (i64::MIN, i64::MIN),
        (i64::MAX - 5, 6),
    ] {
        receipt(session.apply(set("n", start.to_string())).await);
        assert_eq!(
            session.apply(increment("n", by)).await,
            ApplyOutcome::Overflow,
            "{start} + {by}"
        );
        assert_eq!(
            session.value("n").await,
            Some(start.to_string().into_bytes())
        );
    }
    assert_eq!(
        receipt(session.apply(increment("absent", i64::MIN)).await).incremented,
        Some(i64::MIN)
    );
}

async fn only_integers_can_be_incremented<S: SessionStore>(connections: Connections<S>) {
    let session = connections.session(&[]).await;
    for text in [
        "",
        "x",
        " 1",
        "1 ",
        "+1",
        "-",
        "-0",
        "00",
        "01",
        "-01",
        "1.0",
        "1e3",
        "0x10",
        "\"1\"",
        "1\n",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999",
        "\u{661}",
        "1\0",
        "nan",
        "inf",
    ] {
        receipt(session.apply(set("n", text)).await);
        assert_eq!(
            session.apply(increment("n", 1)).await,
            ApplyOutcome::NotAnInteger,
            "{text:?}"
        );
        assert_eq!(session.value("n").await, Some(text.as_bytes().to_vec()));
    }
}

async fn compare_and_set_looks_before_it_writes<S: SessionStore>(connections: Connections<S>) {
    let session = connections.session(&[]).await;
    let one = Some(&b"1"[..]);
    let two = Some(&b"2"[..]);
    assert_eq!(
        session.apply(compare_and_set("a", one, two)).await,
        ApplyOutcome::Conflict
    );
    assert_eq!(session.value("a").await, None);
    receipt(session.apply(compare_and_set("a", None, one)).await);
    assert_eq!(
        session.apply(compare_and_set("a", None, two)).await,
        ApplyOutcome::Conflict
    );
    assert_eq!(
        session.apply(compare_and_set("a", Some(b""), two)).await,
        ApplyOutcome::Conflict
    );
    receipt(session.apply(compare_and_set("a", one, two)).await);
    assert_eq!(session.value("a").await.as_deref(), two);
    receipt(session.apply(compare_and_set("a", two, None)).await);
    assert_eq!(session.value("a").await, None);
    receipt(session.apply(compare_and_set("a", None, None)).await);
    let empty = Some(&b""[..]);
    receipt(session.apply(compare_and_set("a", None, empty)).await);
    assert_eq!(
        session.apply(compare_and_set("a", None, one)).await,
        ApplyOutcome::Conflict
    );
    receipt(session.apply(compare_and_set("a", empty, one)).await);
}

async fn a_refused_delta_changes_nothing<S: SessionStore>(connections: Connections<S>) {
    let session = connections
        .session(&[("n", "9223372036854775807"), ("text", "x")])
        .await;
    let before = session.record().await;
    let refusals = [
        (increment("n", 1), ApplyOutcome::Overflow),
        (increment("text", 1), ApplyOutcome::NotAnInteger),
        (compare_and_set("text", None, None), ApplyOutcome::Conflict),
    ];
    for (mut delta, refusal) in refusals {
        delta.change(key("a"), Some(Bytes::from_static(b"1")));
        delta.rotate = Some(super::secret());
        delta.sign_in = Some(super::SignIn::new(super::owner("nobody"), session.start));
        delta.limits.persistent = Some(true);
        let later = super::Instants::at(session.at(super::millis(5_000)));
        assert_eq!(session.apply_at(delta, later).await, refusal);
        assert_eq!(session.record().await, before);
    }
}

async fn the_size_limit_is_exact<S: SessionStore>(connections: Connections<S>) {
    let session = connections.session(&[]).await;
    let limited = |mut delta: super::Delta, limit| {
        delta.max_bytes = limit;
        delta
    };
    // Keys count too: "a" and 9 bytes are 10.
    let too_large = session.apply(limited(set("a", "123456789"), 9)).await;
    assert_eq!(too_large, ApplyOutcome::TooLarge { size: 10 });
    assert!(session.record().await.values.is_empty());
    receipt(session.apply(limited(set("a", "123456789"), 10)).await);
    receipt(session.apply(limited(set("a", "987654321"), 10)).await);
    let too_large = session.apply(limited(set("b", ""), 10)).await;
    assert_eq!(too_large, ApplyOutcome::TooLarge { size: 11 });
    let mut exchange = set("b", "12345678");
    exchange.change(key("a"), None);
    receipt(session.apply(limited(exchange, 10)).await);
    let mut cleared = set("c", "123456789");
    cleared.clear = true;
    receipt(session.apply(limited(cleared, 10)).await);
    receipt(session.apply(limited(set("n", "9"), 12)).await);
    let too_large = session.apply(limited(increment("n", 1), 12)).await;
    assert_eq!(too_large, ApplyOutcome::TooLarge { size: 13 });
    assert_eq!(
        receipt(session.apply(limited(increment("n", 1), 13)).await).incremented,
        Some(10)
    );
    let too_large = session
        .apply(limited(compare_and_set("x", None, Some(b"1")), 14))
        .await;
    assert_eq!(too_large, ApplyOutcome::TooLarge { size: 15 });
    assert_eq!(session.record().await.values.size(), 13);
    // Even a change that doesn't grow is refused while the session exceeds the current limit.
    let too_large = session.apply(limited(increment("n", 1), 12)).await;
    assert_eq!(too_large, ApplyOutcome::TooLarge { size: 13 });
    // A touch changes no value, so it is never refused for its size.
    receipt(session.apply(limited(super::delta(), 0)).await);
}
