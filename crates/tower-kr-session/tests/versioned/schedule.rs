//! All orders in which the steps of several calls can follow each other.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
};

use crate::faults::Connection;

/// A call by one process, and its way to the store. After its beginning each poll is one step.
pub(crate) struct Actor<'a> {
    call: Pin<Box<dyn Future<Output = ()> + 'a>>,
    connection: Arc<Connection>,
}

impl<'a> Actor<'a> {
    pub(crate) fn new(connection: &Arc<Connection>, call: impl Future<Output = ()> + 'a) -> Self {
        Self {
            call: Box::pin(call),
            connection: Arc::clone(connection),
        }
    }

    /// Goes on by a step; whether there are more.
    fn step(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let pending = self.call.as_mut().poll(&mut context).is_pending();
        pending && !self.connection.hangs()
    }
}

/// Plays a game in every possible order. `play` begins anew each time: it makes the actors, hands
/// them to [`Order::run`], and checks what came of it. Returns how many orders there were.
pub(crate) fn in_every_order(mut play: impl FnMut(&mut Order)) -> usize {
    let mut order = Order::default();
    let mut games = 0;
    loop {
        order.step = 0;
        play(&mut order);
        games += 1;
        // The next order: another choice at the last place where there is one.
        while let Some((choice, choices)) = order.choices.pop() {
            if choice + 1 < choices {
                order.choices.push((choice + 1, choices));
                break;
            }
        }
        if order.choices.is_empty() {
            return games;
        }
    }
}

/// Who is next at each step, and of how many.
#[derive(Debug, Default)]
pub(crate) struct Order {
    choices: Vec<(usize, usize)>,
    step: usize,
}

impl Order {
    /// Lets the actors go on, one at a time, until each has ended. One that hangs is dropped there.
    pub(crate) fn run(&mut self, actors: Vec<Actor<'_>>) {
        // Up to the first call of the store the order makes no difference.
        let mut actors: Vec<_> = actors
            .into_iter()
            .filter_map(|mut actor| actor.step().then_some(actor))
            .collect();
        while !actors.is_empty() {
            let next = self.choose(actors.len());
            if !actors[next].step() {
                drop(actors.remove(next));
            }
        }
    }

    fn choose(&mut self, choices: usize) -> usize {
        if self.step == self.choices.len() {
            self.choices.push((0, choices));
        }
        let (choice, expected) = self.choices[self.step];
        assert_eq!(
            expected, choices,
            "a game goes the same way in the same order"
        );
        self.step += 1;
        choice
    }
}
