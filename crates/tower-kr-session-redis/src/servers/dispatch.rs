//! Sends the calls of many tasks through one connection.
//!
//! The client spends two channels and a timer on each message, which is much of a short command's
//! cost. Calls that wait at the same time therefore share one message, a pipeline, in which each
//! call has its own answer or error.

use std::{
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    task::Poll,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::{Cmd, Pipeline, RedisError, Value, aio::MultiplexedConnection};
use tokio::sync::{mpsc::UnboundedReceiver, oneshot};

use super::patience::Patience;

/// A message carries at most this many calls. While the server works on one message, the
/// application prepares the next; with all calls in one message they would wait for each other.
const MOST_AT_ONCE: usize = 32;

/// A command, and the channel for its answer.
pub(crate) struct Call {
    pub(crate) command: Cmd,
    /// Whether the server is only about to take over the slot.
    pub(crate) asking: bool,
    pub(crate) answer: oneshot::Sender<Value>,
}

/// Sends queued calls until the connection fails or the queue closes. Dropping the channels of
/// unanswered calls tells their callers that the outcome is unknown.
pub(crate) async fn run(
    mut queue: UnboundedReceiver<Call>,
    connection: MultiplexedConnection,
    patience: &Patience,
) -> Result<(), RedisError> {
    let mut under_way = FuturesUnordered::new();
    let mut calls = Vec::with_capacity(MOST_AT_ONCE);
    loop {
        tokio::select! {
            biased;
            count = queue.recv_many(&mut calls, MOST_AT_ONCE) => {
                if count == 0 {
                    return Ok(());
                }
                let mut sending = Box::pin(send(mem::take(&mut calls), connection.clone(), patience));
                // Send before handing out answers that are already there, to keep the server busy.
                match poll_once(sending.as_mut()).await {
                    Some(answered) => answered?,
                    None => under_way.push(sending),
                }
            }
            Some(answered) = under_way.next() => {
                answered?;
                // Let tasks that got an answer queue their next call before others get theirs.
                step_back().await;
            }
        }
    }
}

async fn send(
    calls: Vec<Call>,
    mut connection: MultiplexedConnection,
    patience: &Patience,
) -> Result<(), RedisError> {
    let mut pipeline = Pipeline::with_capacity(calls.len());
    let mut waiting = Vec::with_capacity(calls.len());
    for call in calls {
        // The caller gave up before the call was sent.
        if call.answer.is_closed() {
            continue;
        }
        if call.asking {
            pipeline.cmd("ASKING");
            waiting.push(None);
        }
        pipeline.add_command(call.command);
        waiting.push(Some(call.answer));
    }
    if waiting.is_empty() {
        return Ok(());
    }
    let answers = connection.send_packed_commands(&pipeline, 0, waiting.len());
    let answers = patience.wait(answers).await?;
    for (waiting, answer) in waiting.into_iter().zip(answers) {
        if let Some(waiting) = waiting {
            // The caller may have given up.
            let _ = waiting.send(answer);
        }
    }
    Ok(())
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// Yields to other tasks once.
async fn step_back() {
    let mut back = false;
    poll_fn(|context| {
        if mem::replace(&mut back, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use redis::{AsyncConnectionConfig, RedisConnectionInfo};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        sync::mpsc::{UnboundedSender, unbounded_channel},
        task::JoinHandle,
    };

    use super::*;

    /// Starts a dispatcher; returns it, its queue, and the server's end of the connection.
    async fn start() -> (
        JoinHandle<Result<(), RedisError>>,
        UnboundedSender<Call>,
        DuplexStream,
    ) {
        let (client, server) = duplex(10_000);
        let info = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new();
        let connection = MultiplexedConnection::new_with_config(&info, client, config);
        let (connection, driver) = connection.await.expect("a connection");
        tokio::spawn(driver);
        let (calls, queue) = unbounded_channel();
        let dispatcher = tokio::spawn(async move {
            let patience = Patience::new(Duration::from_secs(5));
            run(queue, connection, &patience).await
        });
        (dispatcher, calls, server)
    }

    fn call(key: &str, asking: bool) -> (Call, oneshot::Receiver<Value>) {
        let mut command = redis::cmd("GET");
        command.arg(key);
        let (answer, answered) = oneshot::channel();
        let call = Call {
            command,
            asking,
            answer,
        };
        (call, answered)
    }

    async fn read(server: &mut DuplexStream) -> String {
        let mut bytes = [0; 10_000];
        let length = server.read(&mut bytes).await.expect("bytes");
        String::from_utf8_lossy(&bytes[..length]).replace("\r\n", " ")
    }

    #[tokio::test]
    async fn calls_that_wait_share_a_message_and_each_gets_its_own_answer() {
        let (_dispatcher, calls, mut server) = start().await;
        let (first, first_answer) = call("a", false);
        let (given_up, answer) = call("b", false);
        let (asking, asking_answer) = call("c", true);
        drop(answer);
        for call in [first, given_up, asking] {
            assert!(calls.send(call).is_ok());
        }
        let message = read(&mut server).await;
        let get = |key| format!("*2 $3 GET $1 {key} ");
        assert_eq!(
            message,
            format!("{}*1 $6 ASKING {}", get("a"), get("c")),
            "the second was given up before it was sent"
        );
        let answers = b"-WRONGTYPE no\r\n+OK\r\n$1\r\n5\r\n";
        server.write_all(answers).await.expect("room");
        let first = first_answer.await.expect("an answer");
        let refused = first.extract_error().expect_err("an error");
        assert_eq!(refused.code(), Some("WRONGTYPE"));
        let asking = asking_answer.await.expect("an answer");
        assert_eq!(asking, Value::BulkString(b"5".to_vec()));
    }

    #[tokio::test]
    async fn a_second_message_does_not_wait_for_the_answers_to_the_first() {
        let (_dispatcher, calls, mut server) = start().await;
        let keys = || (0..MOST_AT_ONCE + 1).map(|number| format!("{number}"));
        let (sent, answers): (Vec<_>, Vec<_>) = keys().map(|key| call(&key, false)).unzip();
        for call in sent {
            assert!(calls.send(call).is_ok());
        }
        let mut message = String::new();
        while message.matches("GET").count() <= MOST_AT_ONCE {
            message += &read(&mut server).await;
        }
        for key in keys() {
            let answer = format!("${}\r\n{key}\r\n", key.len());
            server.write_all(answer.as_bytes()).await.expect("room");
        }
        for (key, answer) in keys().zip(answers) {
            let answer = answer.await.expect("an answer");
            assert_eq!(answer, Value::BulkString(key.into_bytes()));
        }
    }

    #[tokio::test]
    async fn a_lost_connection_ends_it_and_leaves_nobody_waiting() {
        let (dispatcher, calls, mut server) = start().await;
        let (lost, answer) = call("a", false);
        assert!(calls.send(lost).is_ok());
        read(&mut server).await;
        drop(server);
        assert!(dispatcher.await.expect("no panic").is_err());
        assert!(answer.await.is_err());
    }

    #[tokio::test]
    async fn a_connection_that_was_given_up_ends_it() {
        let (dispatcher, calls, _server) = start().await;
        drop(calls);
        assert!(dispatcher.await.expect("no panic").is_ok());
    }
}
