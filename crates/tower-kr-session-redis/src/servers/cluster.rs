//! Routes a command to the cluster node that owns its slot.
//!
//! Each node has a link of its own, so that a node that is down fails fast while the others serve.
//! A command is sent again only after an answer that proves that nothing was done: another node
//! owns the slot (`MOVED`), the key has moved ahead of its slot (`ASK`), or the slot's keys are
//! split between two nodes at the moment (`TRYAGAIN`).

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use redis::{Cmd, ConnectionInfo, Value};
use tokio::{sync::Notify, task::AbortHandle, time::sleep};

use super::{
    address,
    connector::Connector,
    lane::Lane,
    link::Link,
    settings::Settings,
    slot::{SLOTS, slot},
    slot_map::{Address, Range, cluster_slots, ranges, redirection},
};
use crate::{connect_error::ConnectError, failure::Failure};

/// A call follows at most this many redirections, waits for a split slot included.
const MOST_REDIRECTIONS: usize = 8;

const TRY_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// The shortest time between two reads of the slot map: many calls notice a change at once.
const MAP_PAUSE: Duration = Duration::from_millis(100);

const RETRY_PAUSE: Duration = Duration::from_millis(500);

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
    /// A node that is cut off from the others, by its own words: its map may be an old one.
    cut_off: Mutex<Option<String>>,
}

#[derive(Default)]
struct Map {
    /// The node of each slot, as an index into `nodes`; empty until the map is read.
    slots: Vec<Option<u16>>,
    nodes: Vec<Address>,
    links: HashMap<Address, Arc<Link>>,
}

impl Cluster {
    /// Asks the named nodes for the slot map, to see whether they can be used.
    pub(crate) async fn try_out(
        seeds: Vec<ConnectionInfo>,
        settings: Settings,
    ) -> Result<(), ConnectError> {
        Shared::new(seeds, settings).ask_seeds().await.map(drop)
    }

    /// Starts reading the slot map in the background.
    pub(crate) fn start(seeds: Vec<ConnectionInfo>, settings: Settings) -> Self {
        let shared = Arc::new(Shared::new(seeds, settings));
        shared.outdated.notify_one();
        let mapper = tokio::spawn(keep_map(Arc::clone(&shared))).abort_handle();
        Self { shared, mapper }
    }

    /// Reads the slot map now, so that a start can report an error.
    pub(crate) async fn read_map(&self) -> Result<(), ConnectError> {
        self.shared.read_map().await
    }

    pub(crate) async fn call(
        &self,
        key: &[u8],
        command: &Cmd,
        lane: Lane,
    ) -> Result<Value, Failure> {
        let slot = slot(key);
        let mut target = Target::Owner;
        let mut last = None;
        for _ in 0..=MOST_REDIRECTIONS {
            let (link, asking) = match target {
                Target::Owner => (self.shared.link(slot).await?, false),
                Target::Importing(ref address) => (self.shared.link_to(address), true),
            };
            let reply = if asking {
                link.call_asking(command.clone(), lane).await
            } else {
                link.call(command.clone(), lane).await
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
                    if failure.code() == Some("CLUSTERDOWN") {
                        *self.shared.cut_off() = Some(link.server().to_string());
                    }
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

/// For a walk through all nodes.
impl Cluster {
    /// Returns the first node whose first slot is this one or a later one, and the first slot of
    /// the node after it.
    pub(crate) fn node_at(&self, slot: u16) -> Result<(Arc<Link>, Option<u16>), Failure> {
        let map = self.shared.map();
        let mut seen = HashSet::new();
        let slots = (0..SLOTS).zip(&map.slots);
        let nodes = slots.filter_map(|(slot, node)| Some((slot, (*node)?)));
        let mut firsts = nodes
            .filter(|(_, node)| seen.insert(*node))
            .filter(|(first, _)| *first >= slot);
        let node = firsts.next();
        let next = firsts.next().map(|(first, _)| first);
        let link = node.and_then(|(_, node)| map.links.get(map.nodes.get(usize::from(node))?));
        match link {
            Some(link) => Ok((Arc::clone(link), next)),
            None => Err(self.shared.unknown_node(slot)),
        }
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
    fn new(seeds: Vec<ConnectionInfo>, settings: Settings) -> Self {
        Self {
            seeds,
            settings,
            map: RwLock::default(),
            outdated: Notify::new(),
            cut_off: Mutex::default(),
        }
    }

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
        self.known_link(slot).ok_or_else(|| self.unknown_node(slot))
    }

    fn unknown_node(&self, slot: u16) -> Failure {
        self.outdated.notify_one();
        Failure::Down {
            server: "the cluster".into(),
            reason: format!("no node is known for slot {slot}").into(),
        }
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

    fn cut_off(&self) -> MutexGuard<'_, Option<String>> {
        self.cut_off.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the known nodes first, then the ones named in the URL.
    async fn read_map(&self) -> Result<(), ConnectError> {
        let links: Vec<Arc<Link>> = self.map().links.values().map(Arc::clone).collect();
        let cut_off = self.cut_off().take();
        for link in links {
            let server = link.server();
            if link.is_down() || cut_off.as_deref() == Some(&*server) {
                continue;
            }
            if let Ok(reply) = link.call(cluster_slots(), Lane::Small).await
                && let Some((host, _)) = server.rsplit_once(':')
                && let Some(ranges) = ranges(reply, host)
            {
                self.take_map(ranges);
                return Ok(());
            }
        }
        self.take_map(self.ask_seeds().await?);
        Ok(())
    }

    async fn ask_seeds(&self) -> Result<Vec<Range>, ConnectError> {
        let mut last_error = ConnectError::InvalidSetting {
            reason: "no node of the cluster is named",
        };
        for seed in &self.seeds {
            match self.ask_seed(seed).await {
                Ok(ranges) => return Ok(ranges),
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
    let mut told = None;
    loop {
        shared.outdated.notified().await;
        let Err(error) = shared.read_map().await else {
            told = None;
            sleep(MAP_PAUSE).await;
            continue;
        };
        let reason = error.to_string();
        if error.lasts() && told.as_ref() != Some(&reason) {
            tracing::error!(reason, "the cluster can't be used");
        } else if told.is_none() {
            tracing::warn!(reason, "the map of the cluster's slots can't be read");
        }
        told = Some(reason);
        shared.outdated.notify_one();
        sleep(RETRY_PAUSE).await;
    }
}
