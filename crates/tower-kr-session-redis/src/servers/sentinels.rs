//! Asks sentinels for the master, and notices when they name another one.
//!
//! A sentinel that is cut off from the others may still name the old master. Each answer has the
//! number of the fail-over that it comes from (`config-epoch`), so the answer with the latest one
//! counts.

use std::{collections::HashMap, pin::pin, time::Duration};

use futures_util::{
    Stream, StreamExt,
    future::pending,
    stream::{FuturesUnordered, select_all, unfold},
};
use redis::{
    ConnectionInfo, RedisError, Value,
    aio::{MultiplexedConnection, PubSubStream},
    from_redis_value,
};
use tokio::time::{sleep, timeout};

use super::settings::Settings;
use crate::connect_error::ConnectError;

/// A sentinel is asked this often, also without an event, which may get lost.
const BEAT: Duration = Duration::from_millis(250);

/// The pause before a sentinel that didn't answer is asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The event of a sentinel that learnt of a new master.
const SWITCH: &str = "+switch-master";

/// A host and a port.
pub(super) type Address = (String, u16);

/// The sentinels of one master.
pub(super) struct Sentinels {
    infos: Vec<ConnectionInfo>,
    master: String,
}

/// What a sentinel says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct View {
    master: Address,
    /// The fail-over that made it the master; 0 if the sentinel doesn't tell.
    epoch: u64,
}

impl Sentinels {
    pub(super) fn new(infos: Vec<ConnectionInfo>, master: String) -> Self {
        Self { infos, master }
    }

    /// The master's name.
    pub(super) fn master(&self) -> &str {
        &self.master
    }

    /// Finds the master. Waits until most sentinels agree, or all of them have answered or failed
    /// to.
    pub(super) async fn find(&self, settings: &Settings) -> Result<Address, ConnectError> {
        let asking = self.infos.iter().map(|info| async {
            let mut connection = settings.open(info, None).await?;
            let view = self.ask(&mut connection).await;
            view.map_err(|error| settings.explain(info, &error))?
                .ok_or_else(|| ConnectError::Unsuitable {
                    server: info.addr().to_string(),
                    reason: format!("it is a sentinel that knows no master {:?}", self.master),
                })
        });
        let mut asking: FuturesUnordered<_> = asking.collect();
        let (mut views, mut last_error) = (Vec::new(), None);
        while let Some(view) = asking.next().await {
            match view {
                Ok(view) => views.push(view),
                Err(error) => last_error = Some(error),
            }
            if let Some(master) = latest(&views)
                && 2 * votes(&views, master) > self.infos.len()
            {
                return Ok(master.clone());
            }
        }
        latest(&views).cloned().ok_or_else(|| {
            last_error.unwrap_or(ConnectError::InvalidSetting {
                reason: "no sentinel is named",
            })
        })
    }

    /// Returns once the sentinels name another master than this one.
    pub(super) async fn moved(&self, settings: &Settings, from: &Address) -> Address {
        let news = self.infos.iter().enumerate().map(|(index, info)| {
            let views = self.views(settings, info);
            Box::pin(views.map(move |view| (index, view)))
        });
        let mut news = select_all(news);
        let mut views = vec![None; self.infos.len()];
        while let Some((index, view)) = news.next().await {
            views[index] = view;
            let known: Vec<View> = views.iter().flatten().cloned().collect();
            if let Some(master) = latest(&known)
                && master != from
            {
                return master.clone();
            }
        }
        pending().await
    }

    /// What one sentinel says, again and again; `None` while it doesn't answer.
    fn views(
        &self,
        settings: &Settings,
        info: &ConnectionInfo,
    ) -> impl Stream<Item = Option<View>> {
        unfold(Watch::New, move |watch| async move {
            let seen = match watch {
                Watch::New => self.watch(settings, info).await,
                Watch::Lost => {
                    sleep(RETRY_PAUSE).await;
                    self.watch(settings, info).await
                }
                Watch::Open(mut connection, mut events) => {
                    occasion(&mut events).await;
                    let view = self.ask(&mut connection).await;
                    let view = view.map_err(|error| settings.explain(info, &error));
                    view.map(|view| (view, connection, events))
                }
            };
            Some(match seen {
                Ok((view, connection, events)) => (view, Watch::Open(connection, events)),
                Err(error) => {
                    tracing::debug!(%error, "a sentinel doesn't answer");
                    (None, Watch::Lost)
                }
            })
        })
    }

    /// Opens a connection to ask a sentinel through, and one for its events if it lets us.
    async fn watch(
        &self,
        settings: &Settings,
        info: &ConnectionInfo,
    ) -> Result<(Option<View>, MultiplexedConnection, Option<PubSubStream>), ConnectError> {
        let mut connection = settings.open(info, None).await?;
        let client = settings.client(info)?;
        let subscribing = async {
            let mut events = client.get_async_pubsub().await?;
            events.subscribe(SWITCH).await?;
            Ok::<_, RedisError>(events.into_on_message())
        };
        let events = timeout(settings.connect_timeout, subscribing).await;
        // Asked after it, so that no event is missed in between.
        let view = self.ask(&mut connection).await;
        let view = view.map_err(|error| settings.explain(info, &error))?;
        Ok((view, connection, events.ok().and_then(Result::ok)))
    }

    async fn ask(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<Option<View>, RedisError> {
        let mut questions = redis::Pipeline::with_capacity(2);
        for question in ["GET-MASTER-ADDR-BY-NAME", "MASTER"] {
            questions.cmd("SENTINEL").arg(question).arg(&self.master);
        }
        let answers = connection.send_packed_commands(&questions, 0, 2).await?;
        let [address, details] = <[Value; 2]>::try_from(answers)
            .map_err(|_| RedisError::from((redis::ErrorKind::Parse, "not two answers")))?;
        let address: Option<Address> = from_redis_value(address.extract_error()?)?;
        // The user may have the right to ask for the address only.
        let details: HashMap<String, String> = from_redis_value(details).unwrap_or_default();
        let epoch = details.get("config-epoch");
        Ok(address.map(|master| View {
            master,
            epoch: epoch.and_then(|epoch| epoch.parse().ok()).unwrap_or(0),
        }))
    }
}

/// A sentinel that is watched.
enum Watch {
    New,
    Lost,
    Open(MultiplexedConnection, Option<PubSubStream>),
}

/// Waits until it is time to ask again.
async fn occasion(events: &mut Option<PubSubStream>) {
    let event = async {
        match events {
            Some(events) => events.next().await,
            None => pending().await,
        }
    };
    // Events that ended are followed by the beat alone.
    if let Ok(None) = timeout(BEAT, pin!(event)).await {
        *events = None;
    }
}

/// The master of the latest fail-over; if several are named, the one that most name.
fn latest(views: &[View]) -> Option<&Address> {
    let latest = views
        .iter()
        .max_by_key(|view| (view.epoch, votes(views, &view.master)));
    latest.map(|view| &view.master)
}

fn votes(views: &[View], master: &Address) -> usize {
    views.iter().filter(|view| view.master == *master).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(host: &str, epoch: u64) -> View {
        let master = (host.to_owned(), 6_379);
        View { master, epoch }
    }

    #[test]
    fn the_latest_fail_over_counts_and_then_the_number_of_votes() {
        for (views, expected) in [
            (vec![], None),
            (vec![view("old", 0)], Some("old")),
            (
                vec![view("old", 1), view("new", 2), view("old", 1)],
                Some("new"),
            ),
            (vec![view("new", 2), view("old", 1)], Some("new")),
            // Sentinels that don't tell.
            (
                vec![view("old", 0), view("new", 0), view("new", 0)],
                Some("new"),
            ),
            (
                vec![view("new", 0), view("new", 0), view("old", 0)],
                Some("new"),
            ),
        ] {
            let found = latest(&views).map(|(host, _)| host.as_str());
            assert_eq!(found, expected, "{views:?}");
        }
    }
}
