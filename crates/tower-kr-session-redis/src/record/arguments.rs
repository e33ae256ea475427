//! Writes the arguments of `apply.lua`.

use std::borrow::Cow;

use tower_kr_session::{
    StoreError,
    store::{Delta, Instants, Operation, SecretHash},
};

use super::{fields::value_field, numbers};

/// What the owner's index said before an `apply`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Index {
    /// It wasn't asked. The script answers that it must be, if so.
    NotAsked,
    /// It has the session.
    Held,
    /// It didn't answer.
    Unknown,
}

/// Where the operation finds its current value.
#[derive(Clone, Copy)]
enum Current {
    Stored = 0,
    Nothing = 1,
    InDelta = 2,
}

#[derive(Clone, Copy)]
enum Code {
    None = 0,
    Increment = 1,
    CompareAndSet = 2,
}

/// Returns the arguments of `apply.lua`, in its order.
pub(crate) fn of_apply<'a>(
    secret: &SecretHash,
    delta: &'a Delta,
    at: Instants,
    index: Index,
) -> Result<Vec<Cow<'a, [u8]>>, StoreError> {
    let key = delta.operation.as_ref().map(|(key, _)| key);
    let noted = delta.changes().iter().find(|(noted, _)| Some(noted) == key);
    let changes = || {
        delta
            .changes()
            .iter()
            .filter(|(noted, _)| Some(noted) != key)
    };
    let sets = || changes().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    let removals = || changes().filter(|(_, value)| value.is_none());

    let current = match noted {
        Some((_, Some(_))) => Current::InDelta,
        Some((_, None)) => Current::Nothing,
        None if delta.clear => Current::Nothing,
        None => Current::Stored,
    };
    let code = match &delta.operation {
        None => Code::None,
        Some((_, Operation::Increment(_))) => Code::Increment,
        Some((_, Operation::CompareAndSet { .. })) => Code::CompareAndSet,
        Some(_) => {
            return Err(StoreError::unavailable(
                "this release of the Redis store doesn't know the operation",
            ));
        }
    };
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes();
    let mut request = Vec::with_capacity(67);
    request.extend(numbers::time(at.first_contact));
    request.extend(numbers::time(at.now));
    request.extend(numbers::size(delta.max_bytes));
    request.extend(secret.as_bytes());
    request.extend(count(sets().count()));
    request.extend(count(removals().count()));
    request.extend([u8::from(delta.clear), code as u8, current as u8]);

    let mut arguments: Vec<Cow<'a, [u8]>> = Vec::with_capacity(4 + 2 * delta.changes().len());
    arguments.push(request.into());
    arguments.extend(sets().map(|(key, _)| Cow::from(value_field(key.as_str()))));
    arguments.extend(removals().map(|(key, _)| Cow::from(value_field(key.as_str()))));
    arguments.extend(key.map(|key| Cow::from(value_field(key.as_str()))));
    arguments.extend(sets().map(|(_, value)| Cow::from(&value[..])));
    if let Some((_, operation)) = &delta.operation {
        if let Some((_, Some(value))) = noted {
            arguments.push(Cow::from(&value[..]));
        }
        match operation {
            Operation::CompareAndSet { expected, new } => {
                let values = [expected, new].map(Option::as_deref);
                arguments.extend(values.map(|value| Cow::from(optional(value))));
            }
            Operation::Increment(by) => arguments.push(by.to_string().into_bytes().into()),
            _ => {}
        }
    }
    arguments.extend(options(delta, index));
    Ok(arguments)
}

/// A value that is there begins with an equals sign; an absent one is empty.
fn optional(value: Option<&[u8]>) -> Vec<u8> {
    value.map_or_else(Vec::new, |value| [b"=", value].concat())
}

/// Returns the rare parts of a delta, as names and values.
fn options(delta: &Delta, index: Index) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let limits = &delta.limits;
    let rotate = delta
        .rotate
        .map(|secret| Cow::from(secret.as_bytes().to_vec()));
    let owner = delta
        .sign_in
        .as_ref()
        .map(|sign_in| Cow::from(sign_in.owner.as_str().as_bytes()));
    let authenticated_at = delta
        .sign_in
        .as_ref()
        .map(|sign_in| numbers::time(sign_in.authenticated_at));
    let label = delta
        .sign_in
        .as_ref()
        .and_then(|sign_in| sign_in.label.as_ref())
        .map(|label| Cow::from(label.as_str().as_bytes()));
    let idle = limits.idle.map(|idle| {
        [
            numbers::duration(idle.timeout),
            numbers::duration(idle.touch_interval),
        ]
        .concat()
    });
    let absolute_timeout = limits.absolute_timeout.map(numbers::duration);
    let index = match index {
        Index::NotAsked => None,
        Index::Held => Some("held"),
        Index::Unknown => Some("unknown"),
    };
    let persistent = limits
        .persistent
        .map(|persistent| if persistent { "1" } else { "0" });
    let device = delta.device();
    let device_was = device.map(|device| optional(device.expected()));
    let device = device.map(|device| Cow::from(device.new_bytes()));
    let options = [
        ("rotate", rotate),
        ("owner", owner),
        (
            "authenticated_at",
            authenticated_at.map(|time| Cow::from(time.to_vec())),
        ),
        ("label", label),
        ("device", device),
        ("device_was", device_was.map(Cow::from)),
        ("idle", idle.map(Cow::from)),
        (
            "absolute_timeout",
            absolute_timeout.map(|timeout| Cow::from(timeout.to_vec())),
        ),
        (
            "persistent",
            persistent.map(|flag| Cow::from(flag.as_bytes())),
        ),
        ("index", index.map(|index| Cow::from(index.as_bytes()))),
    ];
    options
        .into_iter()
        .filter_map(|(name, value)| Some([Cow::from(name.as_bytes()), value?]))
        .flatten()
}
