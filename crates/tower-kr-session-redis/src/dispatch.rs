//! Brings the calls of many tasks to one connection.
//!
//! The client's own work for a message (two channels, a timer) is much of what a short command takes. Calls that wait at the
//! same time therefore go as one message, a pipeline, in which each call has its own answer or error.

use std::{
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    task::Poll,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::{Cmd, Pipeline, RedisError, Value, aio::MultiplexedConnection};
use tokio::sync::{mpsc::UnboundedReceiver, oneshot};

/// So many calls go at once at most. While the server works on them, the next ones are made: with all calls in one message,
/// server and application would wait for each other.
const MOST_AT_ONCE: usize = 32;

/// A command, and who waits for its answer.
pub(crate) struct Call {
    pub(crate) command: Cmd,
    /// For a server that is about to take over the slot.
    pub(crate) asking: bool,
    pub(crate) answer: oneshot::Sender<Value>,
}

/// Sends what is in the queue, until the connection fails or is given up. Calls that got no answer learn so: what became of
/// them is unknown.
pub(crate) async fn run(
    mut queue: UnboundedReceiver<Call>,
    connection: MultiplexedConnection,
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
                let mut sending = Box::pin(send(mem::take(&mut calls), connection.clone()));
                // Sent before anybody gets an answer that is there already: the server shall have something to do.
                match poll_once(sending.as_mut()).await {
                    Some(answered) => answered?,
                    None => under_way.push(sending),
                }
            }
            Some(answered) = under_way.next() => {
                answered?;
                // Who got his answer may have the next call ready, to be sent before others get theirs.
                step_back().await;
            }
        }
    }
}

async fn send(calls: Vec<Call>, mut connection: MultiplexedConnection) -> Result<(), RedisError> {
    let mut pipeline = Pipeline::with_capacity(calls.len());
    let mut waiting = Vec::with_capacity(calls.len());
    for call in calls {
        // Whoever gave up before it was sent wants nothing done.
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
    let answers = connection
        .send_packed_commands(&pipeline, 0, waiting.len())
        .await?;
    for (waiting, answer) in waiting.into_iter().zip(answers) {
        if let Some(waiting) = waiting {
            // Nobody may wait any more.
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

/// Lets the tasks run that are ready to.
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
