//! Reads what the nodes of a cluster say about who owns which slot.

use std::sync::Arc;

use redis::{Cmd, Value};

use crate::failure::Failure;

/// Host and port of a node.
pub(super) type Address = (Arc<str>, u16);

/// The command that asks a node for the map.
pub(super) fn cluster_slots() -> Cmd {
    let mut command = redis::cmd("CLUSTER");
    command.arg("SLOTS");
    command
}

/// Slots in a row, and the primary that owns them.
pub(super) struct Range {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) node: Address,
}

/// Parses the answer of `CLUSTER SLOTS`: first slot, last slot, primary (host, port, ..), replicas.
pub(super) fn ranges(reply: Value, asked: &str) -> Option<Vec<Range>> {
    let Value::Array(ranges) = reply else {
        return None;
    };
    ranges
        .into_iter()
        .map(|range| {
            let Value::Array(range) = range else {
                return None;
            };
            let mut range = range.into_iter();
            let (first, last) = (number(range.next()?)?, number(range.next()?)?);
            let Value::Array(primary) = range.next()? else {
                return None;
            };
            let mut primary = primary.into_iter();
            // A node that doesn't know its own address is the one that was asked.
            let host = match primary.next()? {
                Value::BulkString(host) => String::from_utf8(host).ok()?,
                Value::Nil => String::new(),
                _ => return None,
            };
            let host = if matches!(host.as_str(), "" | "?") {
                asked
            } else {
                &host
            };
            let node = (Arc::from(host), number(primary.next()?)?);
            Some(Range { first, last, node })
        })
        .collect()
}

fn number(value: Value) -> Option<u16> {
    match value {
        Value::Int(number) => u16::try_from(number).ok(),
        _ => None,
    }
}

/// Parses where a node redirects a call: `MOVED 3999 127.0.0.1:6381`. An empty host is that of the
/// node that was asked.
pub(super) fn redirection(failure: &Failure, asked: &str) -> Option<Address> {
    let Failure::Refused { error, .. } = failure else {
        return None;
    };
    let (address, _) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    let host = match host {
        "" => asked.rsplit_once(':')?.0,
        host => host.trim_start_matches('[').trim_end_matches(']'),
    };
    Some((host.into(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn reads_the_map_of_slots() {
        let range = |first, last, host, port| {
            Value::Array(vec![
                Value::Int(first),
                Value::Int(last),
                Value::Array(vec![
                    host,
                    Value::Int(port),
                    text("id"),
                    Value::Array(vec![]),
                ]),
                Value::Array(vec![text("replica"), Value::Int(1)]),
            ])
        };
        let reply = Value::Array(vec![
            range(0, 100, text("10.0.0.1"), 7_000),
            range(101, 16_383, Value::Nil, 7_001),
            range(5, 6, text(""), 7_002),
        ]);
        let ranges = ranges(reply, "asked").expect("ranges");
        let found: Vec<_> = ranges
            .iter()
            .map(|range| (range.first, range.last, &*range.node.0, range.node.1))
            .collect();
        let expected = [
            (0, 100, "10.0.0.1", 7_000),
            (101, 16_383, "asked", 7_001),
            (5, 6, "asked", 7_002),
        ];
        assert_eq!(found, expected);
        assert!(super::ranges(Value::Okay, "asked").is_none());
    }

    #[test]
    fn reads_redirections() {
        for (message, expected) in [
            ("MOVED 3999 127.0.0.1:6381", Some(("127.0.0.1", 6_381))),
            ("ASK 3999 :6381", Some(("asked", 6_381))),
            ("MOVED 3999 ::1:6381", Some(("::1", 6_381))),
            ("TRYAGAIN wait", None),
        ] {
            let error = redis::parse_redis_value(format!("-{message}\r\n").as_bytes())
                .and_then(Value::extract_error)
                .expect_err("an error");
            let failure = Failure::Refused {
                server: "x".into(),
                error,
            };
            let found = redirection(&failure, "asked:1");
            let found = found.as_ref().map(|(host, port)| (&**host, *port));
            assert_eq!(found, expected, "{message}");
        }
    }
}
