//! Rule: in a long random history, the store and [`Record::apply`] agree at each step.

use bytes::Bytes;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use super::{
    ABSOLUTE, Connections, Delta, Instants, Operation, SecretHash, SessionStore, SignIn, key,
    millis, owner, rule_list,
};
use crate::model::{ApplyOutcome, IdleLimit, Label, LimitsChange};

rule_list![a_random_history_goes_as_the_model_says];

const STEPS: usize = 300;

async fn a_random_history_goes_as_the_model_says<S: SessionStore>(connections: Connections<S>) {
    let seed: u64 = rand::random();
    // The test harness shows it if the rule fails, so that the history can be repeated.
    let context = format!("history of seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let owners = [owner("model a"), owner("model b")];
    let mut secrets: Vec<SecretHash> = Vec::new();
    let mut now_since_start = 0;
    let mut session = connections.session(&[("n", "5"), ("a", "x")]).await;
    let mut model = session.record().await;
    for step in 0..STEPS {
        now_since_start += random.random_range(0..2_500);
        let now = session.at(millis(now_since_start));
        let at = Instants {
            first_contact: now.saturating_sub(millis(random.random_range(0..2_000))),
            now,
        };
        let delta = random_delta(&mut random, &owners, session.start);
        let rotated = delta.rotate;
        let holder = match random.random_range(0..10) {
            0 if !secrets.is_empty() => {
                session.holding(secrets[random.random_range(0..secrets.len())])
            }
            _ => session.clone(),
        };
        let holder = if random.random() {
            holder
        } else {
            holder.through(&connections.second)
        };
        #[cfg(feature = "device-bound")]
        let delta = with_random_device(delta, &mut random, &model);
        let expected = model.apply(&holder.secret, &delta, at);
        let applied = holder.apply_at(delta.clone(), at).await;
        assert_eq!(applied, expected, "{context}, step {step}: {delta:?}");
        if let (ApplyOutcome::Applied(_), Some(rotated)) = (&applied, rotated) {
            secrets.push(holder.secret);
            session = session.holding(rotated);
        }
        let alive = !model.is_expired(Instants::at(now));
        let stored = session.load_at(millis(now_since_start)).await;
        assert_eq!(
            stored,
            alive.then(|| model.clone()),
            "{context}, step {step}: {delta:?}"
        );
        if !alive {
            secrets.clear();
            now_since_start = 0;
            session = connections.session(&[("n", "5"), ("a", "x")]).await;
            model = session.record().await;
        }
    }
}

fn random_delta(random: &mut StdRng, owners: &[super::Owner], start: super::Timestamp) -> Delta {
    let mut delta = Delta::new(if random.random_range(0..4) == 0 {
        60
    } else {
        super::NO_LIMIT
    });
    delta.clear = random.random_range(0..20) == 0;
    for _ in 0..random.random_range(0..3) {
        let value = random.random::<bool>().then(|| value(random));
        delta.change(key(name(random)), value);
    }
    delta.operation = match random.random_range(0..4) {
        0 => Some(Operation::Increment(random.random_range(-9..=9))),
        1 => Some(Operation::CompareAndSet {
            expected: random.random::<bool>().then(|| value(random)),
            new: random.random::<bool>().then(|| value(random)),
        }),
        _ => None,
    }
    .map(|operation| (key(name(random)), operation));
    if random.random_range(0..10) == 0 {
        let mut secret = [0; 32];
        random.fill_bytes(&mut secret);
        delta.rotate = Some(SecretHash::from_bytes(secret));
    }
    if random.random_range(0..15) == 0 {
        let owner = owners[random.random_range(0..owners.len())].clone();
        let mut sign_in = SignIn::new(owner, start);
        let label = random.random::<bool>().then(|| name(random));
        sign_in.label = label.map(|label| Label::new(label).expect("a valid label"));
        delta.sign_in = Some(sign_in);
    }
    if random.random_range(0..15) == 0 {
        delta.limits = LimitsChange {
            idle: random.random::<bool>().then(|| IdleLimit {
                timeout: millis(random.random_range(1_000..30_000)),
                touch_interval: millis(random.random_range(0..1_000)),
            }),
            absolute_timeout: random
                .random::<bool>()
                .then(|| ABSOLUTE + millis(random.random_range(0..60_000))),
            persistent: Some(random.random()),
        };
    }
    delta
}

/// Replaces the device now and then, mostly the one that the record has.
#[cfg(feature = "device-bound")]
fn with_random_device(mut delta: Delta, random: &mut StdRng, model: &super::Record) -> Delta {
    let expected = match random.random_range(0..20) {
        0 => None,
        1 | 2 => model.device(),
        _ => return delta,
    };
    let new = vec![b'd'; random.random_range(1..60)];
    let change = crate::model::DeviceChange::new(expected, new);
    delta.device = Some(Box::new(change));
    delta
}

fn name(random: &mut StdRng) -> &'static str {
    ["n", "a", "b", "\u{1f36a}"][random.random_range(0..4)]
}

fn value(random: &mut StdRng) -> Bytes {
    match random.random_range(0..3) {
        0 => Bytes::from(random.random_range(-20..20).to_string()),
        1 => Bytes::from_static(b"x"),
        _ => Bytes::from(vec![b'y'; random.random_range(0..40)]),
    }
}
