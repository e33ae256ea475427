//! A `redis-server` process, and what a test asks it behind the store's back.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use test_support::RedisServer;

/// What a user of the server must be allowed, as the guide says.
pub(crate) const RIGHTS: &str = "~kr:* -@all +evalsha +eval +script|load +hget +hgetall +hset +hdel +hmget +hkeys \
    +hscan +hincrby +exists +del +pexpire +pttl +ping +role +info";

pub(crate) struct Server(RedisServer);

impl Server {
    /// Starts a server with these options of its command line and waits until it answers.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self(RedisServer::start(options))
    }

    /// Starts a sentinel with these lines of configuration and waits until it answers.
    pub(crate) fn start_sentinel(lines: &[&str]) -> Self {
        Self(RedisServer::start_sentinel(lines))
    }

    /// A connection of the test's own.
    pub(crate) fn admin(&self) -> redis::Connection {
        self.try_admin().expect("a connection to the server")
    }

    pub(crate) fn try_admin(&self) -> redis::RedisResult<redis::Connection> {
        let client = redis::Client::open(self.url())?;
        let connection = client.get_connection_with_timeout(Duration::from_secs(5))?;
        connection.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(connection)
    }

    /// Runs a command of words and reads its answer.
    pub(crate) fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let answer = command(words).query(&mut self.admin());
        answer.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    pub(crate) fn try_ask(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        command(words).query(&mut self.try_admin()?)
    }
}

impl Deref for Server {
    type Target = RedisServer;

    fn deref(&self) -> &RedisServer {
        &self.0
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut RedisServer {
        &mut self.0
    }
}

fn command(words: &[&str]) -> redis::Cmd {
    let mut command = redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(*word);
    }
    command
}
