//! The model: what each call answers, and what is stored after it, one request at a time.

use std::collections::{BTreeMap, BTreeSet};

use tower_kr_session::SessionError;

use super::{Call, Fault, Step};

type Key = &'static str;
type User = &'static str;

/// A session, by its place in the world, and how often it was rotated until this token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    session: usize,
    rotation: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cookie {
    Set(Token),
    Remove,
}

#[derive(Clone, Default)]
struct Record {
    values: BTreeMap<Key, i64>,
    owner: Option<User>,
    rotation: u32,
}

/// What is stored.
pub(crate) struct World {
    /// `None`: it ended.
    sessions: Vec<Option<Record>>,
    /// The store answers at once: what was read is let go before a write, and loaded anew.
    loads_anew: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Current,
    Superseded,
    Missing,
}

impl World {
    pub(crate) fn new(loads_anew: bool) -> Self {
        Self {
            sessions: Vec::new(),
            loads_anew,
        }
    }

    fn state(&self, token: Token) -> State {
        match &self.sessions[token.session] {
            Some(record) if record.rotation == token.rotation => State::Current,
            Some(record) if record.rotation == token.rotation + 1 => State::Superseded,
            _ => State::Missing,
        }
    }

    fn end(&mut self, token: Token) -> State {
        let state = self.state(token);
        if state == State::Current {
            self.sessions[token.session] = None;
        }
        state
    }

    fn record(&mut self, token: Token) -> &mut Record {
        self.sessions[token.session]
            .as_mut()
            .expect("checked before")
    }

    /// The values and the owner that the holder of this token reads.
    pub(crate) fn seen(&self, token: Token, keys: &[Key]) -> (Vec<Option<i64>>, Option<User>) {
        let current = self.state(token) == State::Current;
        let record = self.sessions[token.session].as_ref().filter(|_| current);
        let value = |key: &Key| record?.values.get(key).copied();
        (
            keys.iter().map(value).collect(),
            record.and_then(|record| record.owner),
        )
    }
}

#[derive(Clone, Default)]
struct Notes {
    clear: bool,
    destroy: bool,
    rotate: bool,
    sign_in: Option<User>,
    changes: BTreeMap<Key, Option<i64>>,
}

impl Notes {
    fn is_empty(&self) -> bool {
        !self.clear && !self.destroy && !self.needs_token() && self.changes.is_empty()
    }

    fn needs_token(&self) -> bool {
        self.rotate || self.sign_in.is_some()
    }

    fn starts(&self) -> bool {
        self.sign_in.is_some() || self.changes.values().any(Option::is_some)
    }

    fn value(&self, key: Key) -> Option<Option<i64>> {
        let hidden = (self.clear || self.destroy).then_some(None);
        self.changes.get(key).copied().or(hidden)
    }
}

#[derive(Clone)]
enum View {
    Absent,
    Expired(Token),
    Unknown(Token),
    Several(Vec<Token>),
    Alive(Token, Option<Record>),
    Superseded,
    Ambiguous,
    Ended(Token),
}

/// Why a call did not go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    Error(&'static str),
    Dropped,
}

/// What a request expects.
pub(crate) struct Expected {
    pub(crate) answers: Vec<String>,
    pub(crate) status: u16,
    pub(crate) cookie: Option<Cookie>,
}

pub(crate) struct Request<'a> {
    world: &'a mut World,
    view: View,
    /// The tokens of further cookies.
    others: Vec<Token>,
    notes: Notes,
    written: BTreeMap<Key, Option<i64>>,
    cookie: Option<Cookie>,
    seen_alive: bool,
    started: bool,
    poison: Option<&'static str>,
    fault: Option<Fault>,
    committing: bool,
}

/// The name of an error, as the model knows it.
pub(crate) fn name(error: &SessionError) -> &'static str {
    match error {
        SessionError::Store(_) => "store",
        SessionError::Interrupted => "interrupted",
        SessionError::Ended => "ended",
        SessionError::Superseded => "superseded",
        SessionError::AmbiguousCookie => "ambiguous",
        error => panic!("not in the model: {error}"),
    }
}

impl<'a> Request<'a> {
    pub(crate) fn run(
        world: &'a mut World,
        candidates: &[Token],
        steps: &[Step],
        tokens: &[Token],
    ) -> Expected {
        let mut request = Self::new(world, candidates);
        let mut answers = Vec::new();
        for (call, fault) in steps {
            let (token, call_of_other) = match *call {
                Call::OtherDestroys(token) => (token, Call::Destroy),
                Call::OtherRotates(token) => (token, Call::Rotate),
                call => {
                    request.fault = *fault;
                    answers.push(match request.make(call) {
                        Ok(answer) => answer,
                        Err(Stop::Error(name)) => name.to_owned(),
                        Err(Stop::Dropped) => "dropped".to_owned(),
                    });
                    request.fault = None;
                    continue;
                }
            };
            let mut other = Request::new(request.world, &[tokens[token]]);
            other.make(call_of_other).ok().expect("it only notes");
            other.end();
        }
        let status = request.end();
        Expected {
            answers,
            status,
            cookie: request.cookie,
        }
    }

    fn new(world: &'a mut World, candidates: &[Token]) -> Self {
        let mut different: Vec<Token> = Vec::new();
        for token in candidates {
            if !different.contains(token) {
                different.push(*token);
            }
        }
        let view = match different[..] {
            [] => View::Absent,
            [token] => View::Unknown(token),
            _ => View::Several(different),
        };
        Self {
            world,
            view,
            others: Vec::new(),
            notes: Notes::default(),
            written: BTreeMap::new(),
            cookie: None,
            seen_alive: false,
            started: false,
            poison: None,
            fault: None,
            committing: false,
        }
    }

    /// The end of the request: the status of a response that was a success.
    fn end(&mut self) -> u16 {
        let stored = match self.poison {
            Some(poison) => Err(Stop::Error(poison)),
            None if self.notes.is_empty() => Ok(()),
            None => self.commit(),
        };
        match stored {
            Ok(()) => 200,
            Err(Stop::Error("store" | "interrupted")) => 503,
            Err(Stop::Error("ambiguous")) => 400,
            Err(Stop::Error(_)) => 409,
            Err(Stop::Dropped) => unreachable!("nobody drops the commit"),
        }
    }

    fn make(&mut self, call: Call) -> Result<String, Stop> {
        fn text<T: std::fmt::Debug>(answer: T) -> Result<String, Stop> {
            Ok(format!("{answer:?}"))
        }
        match call {
            Call::Insert(key, value) => drop(self.notes.changes.insert(key, Some(value))),
            Call::Remove(key) => drop(self.notes.changes.insert(key, None)),
            Call::Clear => {
                self.notes.changes.clear();
                self.notes.clear = true;
            }
            Call::SignIn(user) => self.notes.sign_in = Some(user),
            Call::Rotate => self.notes.rotate = true,
            Call::Destroy => {
                self.notes = Notes {
                    destroy: true,
                    ..Notes::default()
                }
            }
            Call::Discard => self.notes = Notes::default(),
            _ => {
                if let Some(poison) = self.poison {
                    return Err(Stop::Error(poison));
                }
            }
        }
        match call {
            Call::Get(key) => text(self.look_up(key)?),
            Call::Contains(key) => text(self.look_up(key)?.is_some()),
            Call::Keys => {
                self.look(true)?;
                text(self.keys().into_iter().collect::<Vec<_>>())
            }
            Call::Increment(key) => text(self.increment(key)?),
            Call::Double(key) => {
                let (_, new) = self.exchange(key, |old| old.map(|old| old * 2))?;
                text(new)
            }
            Call::Take(key) => {
                let (old, _) = self.exchange(key, |_| None)?;
                text(old)
            }
            Call::Reload => {
                self.forget();
                self.load()?;
                text(())
            }
            Call::Save => {
                self.commit()?;
                text(())
            }
            Call::Owner => {
                self.look(true)?;
                let record = match &self.view {
                    View::Alive(_, Some(record)) if !self.notes.destroy => record.owner,
                    _ => None,
                };
                text(self.notes.sign_in.or(record))
            }
            Call::Id => {
                self.look(false)?;
                text(matches!(self.view, View::Alive(..)) && !self.notes.destroy)
            }
            Call::Status => {
                self.look(false)?;
                Ok(self.status().to_owned())
            }
            _ => text(()),
        }
    }

    fn status(&self) -> &'static str {
        let (notes, starts) = (&self.notes, self.notes.starts());
        match &self.view {
            View::Ambiguous if !notes.destroy && notes.sign_in.is_none() => "Ambiguous",
            _ if notes.destroy => ["Absent", "New"][usize::from(starts)],
            View::Alive(..) => ["Active", "New"][usize::from(self.started)],
            _ if notes.sign_in.is_some() => "New",
            View::Superseded => "Superseded",
            View::Ended(_) => "Expired",
            View::Absent | View::Expired(_) if starts => "New",
            View::Expired(_) => "Expired",
            _ => "Absent",
        }
    }

    // Calls to the store, which the fault may hit.

    fn ask<T>(&mut self, changes: bool, work: impl FnOnce(&mut World) -> T) -> Result<T, Stop> {
        let matters = changes || self.committing;
        match self.fault.take() {
            None => Ok(work(self.world)),
            Some(Fault::Fails) => {
                self.poison = Some("store");
                Err(Stop::Error("store"))
            }
            Some(fault) => {
                if changes && fault == Fault::IsDroppedWhenDone {
                    work(self.world);
                }
                if matters {
                    self.poison = Some("interrupted");
                }
                Err(Stop::Dropped)
            }
        }
    }

    fn load(&mut self) -> Result<(), Stop> {
        match self.view.clone() {
            View::Unknown(token) | View::Alive(token, None) => {
                let state = self.ask(false, |world| world.state(token))?;
                self.settle(token, state);
            }
            View::Several(tokens) => {
                let mut best: Option<(Token, State)> = None;
                for (index, token) in tokens.iter().enumerate() {
                    let state = match self.ask(false, |world| world.state(*token)) {
                        Ok(state) => state,
                        Err(stop) => {
                            // What the first loads found is kept; only the first one can be hit.
                            assert_eq!(index, 0);
                            return Err(stop);
                        }
                    };
                    match (state, best) {
                        (State::Current, Some((_, State::Current))) => {
                            self.others = tokens.clone();
                            self.view = View::Ambiguous;
                            return Ok(());
                        }
                        (State::Current, _)
                        | (State::Superseded, Some((_, State::Missing)))
                        | (_, None) => best = Some((*token, state)),
                        _ => {}
                    }
                }
                let (token, state) = best.expect("there are several");
                self.others = tokens.into_iter().filter(|other| *other != token).collect();
                self.settle(token, state);
            }
            _ => {}
        }
        Ok(())
    }

    fn settle(&mut self, token: Token, state: State) {
        match state {
            State::Current => {
                self.written.clear();
                self.seen_alive = true;
                self.view = View::Alive(token, Some(self.world.record(token).clone()));
            }
            State::Superseded => self.view = View::Superseded,
            State::Missing => self.missing(token),
        }
    }

    fn missing(&mut self, token: Token) {
        self.view = if self.seen_alive {
            View::Ended(token)
        } else {
            View::Expired(token)
        };
    }

    // What the request knows.

    fn is_found(&self) -> bool {
        !matches!(self.view, View::Unknown(_) | View::Several(_))
    }

    fn is_loaded(&self) -> bool {
        self.is_found() && !matches!(self.view, View::Alive(_, None))
    }

    fn look(&mut self, at_record: bool) -> Result<(), Stop> {
        let whole = at_record || self.notes.sign_in.is_some();
        if !self.is_found() || (whole && !self.is_loaded()) {
            self.load()?;
        }
        self.leave_other_owner();
        Ok(())
    }

    fn is_of_other_owner(&self) -> bool {
        let owner = match &self.view {
            View::Alive(_, Some(record)) => record.owner,
            _ => None,
        };
        matches!((self.notes.sign_in, owner), (Some(user), Some(owner)) if user != owner)
    }

    fn leave_other_owner(&mut self) {
        if self.is_of_other_owner() {
            self.notes.destroy = true;
        }
    }

    fn forget(&mut self) {
        self.written.clear();
        if let View::Alive(_, record) = &mut self.view {
            *record = None;
        }
    }

    fn known(&mut self, key: Key) -> Option<Option<i64>> {
        if let Some(noted) = self.notes.value(key) {
            return Some(noted);
        }
        if self.notes.sign_in.is_some() && !self.is_loaded() {
            return None;
        }
        self.leave_other_owner();
        match &self.view {
            View::Alive(..) if self.notes.destroy => Some(None),
            View::Alive(_, record) => match (self.written.get(key), record) {
                (Some(value), _) => Some(*value),
                (None, Some(record)) => Some(record.values.get(key).copied()),
                (None, None) => None,
            },
            _ => self.is_loaded().then_some(None),
        }
    }

    fn look_up(&mut self, key: Key) -> Result<Option<i64>, Stop> {
        loop {
            match self.known(key) {
                Some(value) => return Ok(value),
                None => self.load()?,
            }
        }
    }

    fn keys(&self) -> BTreeSet<Key> {
        let mut keys = BTreeSet::new();
        let mut change = |(key, value): (&Key, &Option<i64>)| match value {
            Some(_) => drop(keys.insert(*key)),
            None => drop(keys.remove(key)),
        };
        if !self.notes.clear && !self.notes.destroy {
            if let View::Alive(_, Some(record)) = &self.view {
                record
                    .values
                    .iter()
                    .for_each(|(key, value)| change((key, &Some(*value))));
            }
            self.written.iter().for_each(&mut change);
        }
        self.notes.changes.iter().for_each(&mut change);
        keys
    }

    // Atomic operations.

    /// The session that an operation on this key belongs to, or `None` if it belongs on the notes.
    fn place(&mut self, key: Key) -> Result<Option<Token>, Stop> {
        let signing_in = self.notes.sign_in.is_some();
        if matches!(self.view, View::Several(_)) || (signing_in && !self.is_loaded()) {
            self.load()?;
        }
        self.leave_other_owner();
        match &self.view {
            View::Ambiguous if !self.notes.destroy && !signing_in => Err(Stop::Error("ambiguous")),
            _ if self.notes.value(key).is_some() => Ok(None),
            View::Alive(token, _) | View::Unknown(token) => Ok(Some(*token)),
            View::Superseded if !signing_in => Err(Stop::Error("superseded")),
            View::Ended(_) if !signing_in => Err(Stop::Error("ended")),
            _ => Ok(None),
        }
    }

    /// Sends the noted values, and what becomes of one. Returns whether there was a session.
    fn operate(&mut self, token: Token, key: Key, value: Option<i64>) -> Result<bool, Stop> {
        let (clear, changes) = (self.notes.clear, self.notes.changes.clone());
        self.notes.clear = false;
        self.notes.changes.clear();
        if self.world.loads_anew || clear {
            self.forget();
        }
        let mut applied = changes.clone();
        applied.insert(key, value);
        let sent = applied.clone();
        let state = self.ask(true, move |world| {
            let state = world.state(token);
            if state == State::Current {
                change(&mut world.record(token).values, clear, &sent);
            }
            state
        })?;
        if state == State::Current {
            self.changed(token, applied);
            return Ok(true);
        }
        self.notes.clear = clear;
        self.notes.changes = changes;
        match state {
            State::Superseded => {
                self.view = View::Superseded;
                Err(Stop::Error("superseded"))
            }
            _ => {
                self.missing(token);
                match self.seen_alive {
                    true => Err(Stop::Error("ended")),
                    false => Ok(false),
                }
            }
        }
    }

    fn changed(&mut self, token: Token, changes: BTreeMap<Key, Option<i64>>) {
        self.seen_alive = true;
        if !matches!(self.view, View::Alive(..)) {
            self.view = View::Alive(token, None);
        }
        if !self.world.loads_anew {
            self.written.extend(changes);
        }
    }

    /// What the store has at a key, after what is noted.
    fn stored(&self, token: Token, key: Key) -> Option<i64> {
        let record = self.world.sessions[token.session].as_ref()?;
        record.values.get(key).copied()
    }

    fn increment(&mut self, key: Key) -> Result<i64, Stop> {
        loop {
            let Some(token) = self.place(key)? else {
                let sum = self.notes.value(key).flatten().unwrap_or(0) + 1;
                self.notes.changes.insert(key, Some(sum));
                return Ok(sum);
            };
            let sum = self.stored(token, key).unwrap_or(0) + 1;
            if self.operate(token, key, Some(sum))? {
                return Ok(sum);
            }
        }
    }

    fn exchange(
        &mut self,
        key: Key,
        change: impl Fn(Option<i64>) -> Option<i64>,
    ) -> Result<(Option<i64>, Option<i64>), Stop> {
        loop {
            let in_store = self.place(key)?.is_some();
            let fresh = !in_store || self.known(key).is_none();
            let old = self.look_up(key)?;
            let new = change(old);
            if fresh && new == old {
                return Ok((old, new));
            }
            match self.place(key)? {
                Some(token) => {
                    // Nobody else changes values, so the expected one is there if the session is.
                    if self.operate(token, key, new)? {
                        return Ok((old, new));
                    }
                    self.forget();
                }
                None => {
                    if self.known(key) == Some(old) {
                        self.notes.changes.insert(key, new);
                        return Ok((old, new));
                    }
                }
            }
        }
    }

    // The commit.

    fn commit(&mut self) -> Result<(), Stop> {
        self.committing = true;
        let stored = self.store();
        self.committing = false;
        stored
    }

    fn store(&mut self) -> Result<(), Stop> {
        if matches!(self.view, View::Several(_)) {
            self.load()?;
        }
        if self.notes.is_empty() {
            return Ok(());
        }
        let notes = std::mem::take(&mut self.notes);
        self.store_notes(&notes)?;
        if notes.sign_in.is_some() && matches!(self.view, View::Alive(..)) {
            // The user's sessions are counted.
            self.ask(true, |_| ())?;
        }
        Ok(())
    }

    fn store_notes(&mut self, notes: &Notes) -> Result<(), Stop> {
        let signs_in = notes.sign_in.is_some();
        match self.view.clone() {
            View::Ambiguous if !notes.destroy && !signs_in => return Err(Stop::Error("ambiguous")),
            View::Alive(token, _) | View::Unknown(token) if notes.destroy => {
                let state = self.ask(true, |world| world.end(token))?;
                if state == State::Superseded && !signs_in {
                    self.view = View::Superseded;
                    return Err(Stop::Error("superseded"));
                }
                if state != State::Superseded {
                    self.leave();
                    self.end_others()?;
                }
                self.remove_cookie();
            }
            View::Alive(token, _) | View::Unknown(token) => {
                if self.world.loads_anew || notes.clear {
                    self.forget();
                }
                let sent = notes.clone();
                let (state, owner) = self.ask(true, move |world| {
                    let state = world.state(token);
                    if state != State::Current {
                        return (state, None);
                    }
                    let record = world.record(token);
                    let owner = record.owner;
                    if sent.sign_in.is_none()
                        || owner.is_none_or(|owner| Some(owner) == sent.sign_in)
                    {
                        change(&mut record.values, sent.clear, &sent.changes);
                        record.owner = sent.sign_in.or(record.owner);
                        record.rotation += u32::from(sent.needs_token());
                    }
                    (state, owner)
                })?;
                match state {
                    State::Current => {
                        let others = matches!((notes.sign_in, owner), (Some(user), Some(owner)) if user != owner);
                        if !others {
                            self.changed(token, notes.changes.clone());
                            if notes.needs_token() {
                                let rotation = token.rotation + 1;
                                self.adopt(Token { rotation, ..token });
                            }
                            if signs_in {
                                self.end_others()?;
                            }
                            return Ok(());
                        }
                        self.ask(true, |world| world.sessions[token.session] = None)?;
                        self.remove_cookie();
                    }
                    State::Superseded => {
                        self.view = View::Superseded;
                        if !signs_in {
                            return Err(Stop::Error("superseded"));
                        }
                    }
                    State::Missing => {
                        self.missing(token);
                        if self.seen_alive && !signs_in {
                            return Err(Stop::Error("ended"));
                        }
                    }
                }
            }
            View::Superseded if !signs_in => return Err(Stop::Error("superseded")),
            View::Superseded if notes.destroy => self.remove_cookie(),
            _ if notes.destroy => {
                self.end_others()?;
                self.remove_cookie();
            }
            View::Ended(_) if !signs_in => return Err(Stop::Error("ended")),
            _ => {}
        }
        if !notes.starts() {
            return Ok(());
        }
        if signs_in {
            self.end_others()?;
        }
        let record = Record {
            values: notes
                .changes
                .iter()
                .filter_map(|(key, value)| Some((*key, (*value)?)))
                .collect(),
            owner: notes.sign_in,
            rotation: 0,
        };
        let session = self.ask(true, |world| {
            world.sessions.push(Some(record));
            world.sessions.len() - 1
        })?;
        self.leave();
        self.started = true;
        self.adopt(Token {
            session,
            rotation: 0,
        });
        Ok(())
    }

    /// A sign-in, or the end of the session, ends those of the other cookies too.
    fn end_others(&mut self) -> Result<(), Stop> {
        let mut tokens = std::mem::take(&mut self.others);
        if let View::Expired(token) | View::Ended(token) = self.view {
            tokens.push(token);
        }
        for token in tokens {
            self.ask(true, |world| world.end(token))?;
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.view = View::Absent;
        self.seen_alive = false;
        self.started = false;
        self.written.clear();
    }

    fn remove_cookie(&mut self) {
        self.leave();
        self.cookie = Some(Cookie::Remove);
    }

    fn adopt(&mut self, token: Token) {
        self.cookie = Some(Cookie::Set(token));
        self.seen_alive = true;
        self.view = View::Alive(token, None);
    }
}

fn change(values: &mut BTreeMap<Key, i64>, clear: bool, changes: &BTreeMap<Key, Option<i64>>) {
    if clear {
        values.clear();
    }
    for (key, value) in changes {
        match value {
            Some(value) => drop(values.insert(key, *value)),
            None => drop(values.remove(key)),
        }
    }
}
