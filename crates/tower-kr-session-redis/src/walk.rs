//! Goes through all sessions: server after server, by `SCAN`.
//!
//! `SCAN` holds a server up for a moment only, however many keys it has. A key that is there all
//! the time is found, perhaps twice, as long as no other server takes over.

use futures_util::{StreamExt, stream};
use tower_kr_session::{Cursor, Page, SessionSummary, StoreError, Timestamp, store::Instants};

use crate::{database::Database, failure::Failure};

/// So many sessions are looked at at a time.
const AT_A_TIME: usize = 32;

/// Where a walk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// The first slot of a cluster's node; 0 for a server that is no cluster's.
    server: u16,
    /// The server's own cursor.
    cursor: u64,
}

impl Place {
    const START: Self = Self {
        server: 0,
        cursor: 0,
    };

    fn read(cursor: &Cursor) -> Result<Self, StoreError> {
        let place = cursor
            .as_str()
            .split_once('-')
            .and_then(|(server, cursor)| {
                Some(Self {
                    server: server.parse().ok()?,
                    cursor: cursor.parse().ok()?,
                })
            });
        place.ok_or(StoreError::InvalidCursor)
    }
}

impl From<Place> for Cursor {
    fn from(Place { server, cursor }: Place) -> Self {
        Self::new(format!("{server}-{cursor}"))
    }
}

impl Database {
    /// Returns the live sessions among about `most` keys.
    pub(crate) async fn walk(
        &self,
        after: Option<&Cursor>,
        most: usize,
        now: Timestamp,
    ) -> Result<Page, StoreError> {
        let place = after.map_or(Ok(Place::START), Place::read)?;
        let mut scan = redis::cmd("SCAN");
        scan.arg(place.cursor)
            .arg("MATCH")
            .arg(self.keys.sessions());
        scan.arg("COUNT").arg(most.max(1));
        let (reply, next_server) = self.servers.call_at(place.server, scan).await?;
        let reply: Result<(u64, Vec<Vec<u8>>), _> = redis::from_redis_value(reply);
        let (cursor, keys) = reply.map_err(|_| Failure::BadReply("no answer to SCAN"))?;
        let next = match (cursor, next_server) {
            (0, None) => None,
            (0, Some(server)) => Some(Place { server, cursor }),
            (cursor, _) => Some(Place { cursor, ..place }),
        };
        let ids = keys.iter().filter_map(|key| self.keys.session_id(key));
        let looks = ids.map(|id| async move { Ok::<_, StoreError>((id, self.head(id).await?)) });
        let looks: Vec<_> = looks.collect();
        let mut looks = stream::iter(looks).buffered(AT_A_TIME);
        let mut sessions = Vec::with_capacity(keys.len());
        while let Some(look) = looks.next().await {
            let (id, record) = look?;
            if let Some(record) = record
                && !record.is_expired(Instants::at(now))
            {
                sessions.push(SessionSummary::new(id, &record, now));
            }
        }
        Ok(Page::new(sessions, next.map(Cursor::from)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_from_its_own_cursor_alone() {
        let place = Place {
            server: 5_461,
            cursor: u64::MAX,
        };
        assert_eq!(Place::read(&place.into()).ok(), Some(place));
        for text in ["", "-", "1", "-1", "1-", "1-2-3", "65536-0", "0-x", "a-1"] {
            let read = Place::read(&Cursor::new(text));
            assert!(matches!(read, Err(StoreError::InvalidCursor)), "{text}");
        }
    }
}
