//! Routes a command to the cluster node that owns its slot.
//!
//! Each node has a link of its own, so that a node that is down fails fast while the others serve. A
//! command is sent again only after an answer that proves that nothing was done: another node owns
//! the slot (`MOVED`), the key has moved ahead of its slot (`ASK`), or the slot's keys are split
//! between two nodes at the moment (`TRYAGAIN`).

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use redis::{Cmd, ConnectionInfo, Value};
use tokio::{sync::Notify, task::AbortHandle, time::sleep};

use super::{
    address,
    connector::Connector,
    link::Link,
    settings::Settings,
    slot::{SLOTS, slot},
};
use crate::{connect_error::ConnectError, failure::Failure};

/// A call follows at most this many redirections, waits for a split slot included.
const MOST_REDIRECTIONS: usize = 8;

const TRY_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// The shortest time between two reads of the slot map: many calls notice a change at once.
const MAP_PAUSE: Duration = Duration::from_millis(100);

const RETRY_PAUSE: Duration = Duration::from_millis(500);

type Address = (Arc<str>, u16);

pub(crate) struct Cluster {
    shared: Arc<Shared>,
    mapper: AbortHandle,
}

struct Shared {
    /// The nodes to ask first; their credentials and TLS settings serve for all nodes.
    seeds: Vec<ConnectionInfo>,
    settings: Settings,
    map: RwLock<Map>,
    outdated: Notify,
}

#[derive(Default)]
struct Map {
    /// The node of each slot, as an index into `nodes`; empty until the map is read.
    slots: Vec<Option<u16>>,
    nodes: Vec<Address>,
    links: HashMap<Address, Arc<Link>>,
}

impl Cluster {
    /// Starts reading the slot map in the background.
    pub(crate) fn start(seeds: Vec<ConnectionInfo>, settings: Settings) -> Self {
        let shared = Arc::new(Shared {
            seeds,
            settings,
            map: RwLock::default(),
            outdated: Notify::new(),
        });
        shared.outdated.notify_one();
        let mapper = tokio::spawn(keep_map(Arc::clone(&shared))).abort_handle();
        Self { shared, mapper }
    }

    /// Reads the slot map now, so that a start can report an error.
    pub(crate) async fn read_map(&self) -> Result<(), ConnectError> {
        self.shared.read_map().await
    }

    pub(crate) async fn call(&self, key: &[u8], command: &Cmd) -> Result<Value, Failure> {
        let slot = slot(key);
        let mut target = Target::Owner;
        let mut last = None;
        for _ in 0..=MOST_REDIRECTIONS {
            let (link, asking) = match target {
                Target::Owner => (self.shared.link(slot).await?, false),
                Target::Importing(ref address) => (self.shared.link_to(address), true),
            };
            let reply = if asking {
                link.call_asking(command.clone()).await
            } else {
                link.call(command.clone()).await
            };
            let failure = match reply {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            match (failure.code(), redirection(&failure, &link.server())) {
                (Some("MOVED"), Some(address)) => {
                    self.shared.moved(slot, &address);
                    self.shared.outdated.notify_one();
                    target = Target::Owner;
                }
                (Some("ASK"), Some(address)) => target = Target::Importing(address),
                (Some("TRYAGAIN"), _) => sleep(TRY_AGAIN_AFTER).await,
                _ => {
                    // A replica may have taken over.
                    if !matches!(failure.code(), Some("NOSCRIPT" | "OOM")) {
                        self.shared.outdated.notify_one();
                    }
                    return Err(failure);
                }
            }
            last = Some(failure);
        }
        Err(last.unwrap_or(Failure::BadReply("redirections without an end")))
    }
}

enum Target {
    Owner,
    Importing(Address),
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.mapper.abort();
    }
}

impl Shared {
    fn map(&self) -> RwLockReadGuard<'_, Map> {
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn map_mut(&self) -> RwLockWriteGuard<'_, Map> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_link(&self, slot: u16) -> Option<Arc<Link>> {
        let map = self.map();
        let node = (*map.slots.get(usize::from(slot))?)?;
        let address = map.nodes.get(usize::from(node))?;
        map.links.get(address).map(Arc::clone)
    }

    async fn link(&self, slot: u16) -> Result<Arc<Link>, Failure> {
        self.known_link(slot).ok_or_else(|| {
            self.outdated.notify_one();
            Failure::Down {
                server: "the cluster".into(),
                reason: format!("no node is known for slot {slot}").into(),
            }
        })
    }

    fn link_to(&self, address: &Address) -> Arc<Link> {
        if let Some(link) = self.map().links.get(address) {
            return Arc::clone(link);
        }
        let mut map = self.map_mut();
        let link = map
            .links
            .entry(address.clone())
            .or_insert_with(|| Arc::new(self.start_link(address)));
        Arc::clone(link)
    }

    fn start_link(&self, (host, port): &Address) -> Link {
        let info = address::at(&self.seeds[0], host, *port);
        Link::start(Connector::node(info, self.settings.clone()))
    }

    /// Records where one slot lives, until the whole map is read again.
    fn moved(&self, slot: u16, address: &Address) {
        self.link_to(address);
        let mut map = self.map_mut();
        let node = map.nodes.iter().position(|known| known == address);
        let node = node.unwrap_or_else(|| {
            map.nodes.push(address.clone());
            map.nodes.len() - 1
        });
        if let Some(entry) = map.slots.get_mut(usize::from(slot)) {
            *entry = u16::try_from(node).ok();
        }
    }

    /// Asks the known nodes first, then the ones named in the URL.
    async fn read_map(&self) -> Result<(), ConnectError> {
        let links: Vec<Arc<Link>> = self.map().links.values().map(Arc::clone).collect();
        for link in links {
            if link.is_down() {
                continue;
            }
            let server = link.server();
            if let Ok(reply) = link.call(cluster_slots()).await
                && let Some((host, _)) = server.rsplit_once(':')
                && let Some(ranges) = ranges(reply, host)
            {
                self.take_map(ranges);
                return Ok(());
            }
        }
        let mut last_error = ConnectError::InvalidSetting {
            reason: "no node of the cluster is named",
        };
        for seed in &self.seeds {
            match self.ask_seed(seed).await {
                Ok(ranges) => {
                    self.take_map(ranges);
                    return Ok(());
                }
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    async fn ask_seed(&self, seed: &ConnectionInfo) -> Result<Vec<Range>, ConnectError> {
        let server = seed.addr().to_string();
        let unsuitable = |reason: &str| ConnectError::Unsuitable {
            server: server.clone(),
            reason: reason.to_owned(),
        };
        let mut connection = self.settings.open_server(seed, None).await?;
        let reply = connection
            .send_packed_command(&cluster_slots())
            .await
            .and_then(Value::extract_error)
            .map_err(|error| {
                if error.to_string().contains("cluster support disabled") {
                    unsuitable("it is no node of a cluster; use a redis:// URL")
                } else {
                    self.settings.explain(seed, &error)
                }
            })?;
        let host = server.rsplit_once(':').map_or("", |(host, _)| host);
        match ranges(reply, host) {
            Some(ranges) if ranges.is_empty() => Err(unsuitable("no slot is assigned to any node")),
            Some(ranges) => Ok(ranges),
            None => Err(unsuitable("it answers CLUSTER SLOTS in an unknown form")),
        }
    }

    fn take_map(&self, ranges: Vec<Range>) {
        let mut slots = vec![None; usize::from(SLOTS)];
        let mut nodes: Vec<Address> = Vec::new();
        for range in ranges {
            let known = nodes.iter().position(|node| *node == range.node);
            let node = known.unwrap_or_else(|| {
                nodes.push(range.node);
                nodes.len() - 1
            });
            if let Some(part) = slots.get_mut(usize::from(range.first)..=usize::from(range.last)) {
                part.fill(u16::try_from(node).ok());
            }
        }
        let mut map = self.map_mut();
        let mut links: HashMap<Address, Arc<Link>> = HashMap::with_capacity(nodes.len());
        for node in &nodes {
            let link = map.links.remove(node);
            let link = link.unwrap_or_else(|| Arc::new(self.start_link(node)));
            links.insert(node.clone(), link);
        }
        // A link to a node without slots ends here, once its last call has.
        *map = Map {
            slots,
            nodes,
            links,
        };
    }
}

async fn keep_map(shared: Arc<Shared>) {
    let mut failing = false;
    loop {
        shared.outdated.notified().await;
        let read = shared.read_map().await;
        if let Err(error) = &read {
            if !failing {
                tracing::warn!(%error, "the map of the cluster's slots can't be read");
            }
            shared.outdated.notify_one();
        }
        failing = read.is_err();
        sleep(if failing { RETRY_PAUSE } else { MAP_PAUSE }).await;
    }
}

fn cluster_slots() -> Cmd {
    let mut command = redis::cmd("CLUSTER");
    command.arg("SLOTS");
    command
}

struct Range {
    first: u16,
    last: u16,
    node: Address,
}

/// Parses the answer of `CLUSTER SLOTS`: first slot, last slot, primary (host, port, ..), replicas.
fn ranges(reply: Value, asked: &str) -> Option<Vec<Range>> {
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
fn redirection(failure: &Failure, asked: &str) -> Option<Address> {
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
