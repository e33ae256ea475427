//! Tokens are unique and can't be guessed (ASVS 5.0, 7.2.3: at least 128 bits from a secure
//! generator): what the layer hands out is looked at as an attacker would, who collects a hundred
//! thousand.
//!
//! Each bound is so far out that of a million runs with a perfect generator fewer than one fails:
//! the tests of one run together ask 322 questions, and each has a chance of less than 2 in 10^9 to
//! be answered wrong.

// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

use std::{collections::HashSet, convert::Infallible};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Request, Response, header};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tower::{Layer, ServiceExt, service_fn};
use tower_kr_session::{MemoryStore, Session, SessionLayer};

const TOKENS: usize = 100_000;
const ID: usize = 16;
const SECRET: usize = 32;

/// Standard deviations that a normal distribution leaves with a chance of 2 in 10^9 (NIST SP 800-22
/// rev. 1a, section 2.1, would call a generator bad at 2.6 already: one run of a hundred).
const DEVIATIONS: f64 = 6.0;

type Secret = [u8; SECRET];

/// What is wrong with secrets that should be random.
fn complaint(secrets: &[Secret]) -> Option<String> {
    let different: HashSet<_> = secrets.iter().collect();
    if different.len() < secrets.len() {
        return Some(format!("{} of {}", different.len(), secrets.len()));
    }
    let all = secrets.concat();
    let ones = |bytes: &mut dyn Iterator<Item = u8>| -> u64 {
        bytes.map(|byte| u64::from(byte.count_ones())).sum()
    };
    let bits = monobit(ones(&mut all.iter().copied()), 8 * all.len());
    let bytes = chi_square(all.iter().copied());
    let by_bit = (0..8 * SECRET).map(|bit| {
        let mut bits = secrets
            .iter()
            .map(|secret| secret[bit / 8] >> (bit % 8) & 1);
        (
            format!("bit {bit}"),
            monobit(ones(&mut bits), secrets.len()),
        )
    });
    let by_byte = (0..SECRET).map(|at| {
        let bytes = secrets.iter().map(|secret| secret[at]);
        (format!("byte {at}"), chi_square(bytes))
    });
    // A generator that goes in steps has bytes that depend on those of the token before.
    let by_step = (0..SECRET).map(|at| {
        let steps = secrets
            .windows(2)
            .map(|pair| pair[1][at].wrapping_sub(pair[0][at]));
        (format!("step of byte {at}"), chi_square(steps))
    });
    [
        ("all bits".to_owned(), bits),
        ("all bytes".to_owned(), bytes),
    ]
    .into_iter()
    .chain(by_bit)
    .chain(by_byte)
    .chain(by_step)
    .find(|(_, deviations)| deviations.abs() > DEVIATIONS)
    .map(|(what, deviations)| format!("{what}: off by {deviations:.1} deviations"))
}

/// How many standard deviations the number of ones is away from half.
fn monobit(ones: u64, bits: usize) -> f64 {
    let bits = bits as f64;
    (2.0 * ones as f64 - bits) / bits.sqrt()
}

/// How many standard deviations Pearson's statistic of the 256 values of a byte is away from what
/// chance gives: too uneven is above, too even (a counter) below. By the cube root of Wilson and
/// Hilferty it is all but normal.
fn chi_square(bytes: impl Iterator<Item = u8>) -> f64 {
    const FREEDOM: f64 = 255.0;
    let mut counts = [0_u64; 256];
    bytes.for_each(|byte| counts[usize::from(byte)] += 1);
    let expected = counts.iter().sum::<u64>() as f64 / 256.0;
    let off = |&count: &u64| (count as f64 - expected).powi(2) / expected;
    let statistic: f64 = counts.iter().map(off).sum();
    let variance = 2.0 / (9.0 * FREEDOM);
    ((statistic / FREEDOM).cbrt() - (1.0 - variance)) / variance.sqrt()
}

/// The token that a new client gets, decoded.
async fn new_token(layer: &SessionLayer) -> [u8; ID + SECRET] {
    let service = layer.layer(service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap();
        session.insert("visits", &1).unwrap();
        Ok::<_, Infallible>(Response::new(()))
    }));
    let response = service.oneshot(Request::new(())).await.unwrap();
    let set_cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
    let (_, token) = set_cookie
        .split_once(';')
        .unwrap()
        .0
        .split_once('=')
        .unwrap();
    URL_SAFE_NO_PAD.decode(token).unwrap().try_into().unwrap()
}

#[tokio::test]
async fn a_hundred_thousand_tokens_are_unique_and_look_random() {
    let layer = SessionLayer::new(MemoryStore::new());
    let mut ids = HashSet::new();
    let mut secrets = Vec::new();
    for _ in 0..TOKENS {
        let token = new_token(&layer).await;
        let (id, secret) = token.split_at(ID);
        ids.insert(id.to_vec());
        secrets.push(Secret::try_from(secret).unwrap());
    }
    assert_eq!(ids.len(), TOKENS);
    assert_eq!(complaint(&secrets), None);
}

/// Else the test above could hold because it finds nothing wrong with anything.
#[test]
fn poor_generators_are_found_out() {
    let poor = |name: &str, secret: &dyn Fn(usize, Secret) -> Secret| {
        let mut random = StdRng::seed_from_u64(1);
        let secrets: Vec<Secret> = (0..TOKENS)
            .map(|number| secret(number, random.random()))
            .collect();
        complaint(&secrets).unwrap_or_else(|| panic!("{name} passes"))
    };
    let with = |mut secret: Secret, change: &dyn Fn(&mut Secret)| {
        change(&mut secret);
        secret
    };
    let counter = |number: usize| (number as u64).to_le_bytes();
    poor("one that repeats itself", &|number, secret| {
        with(secret, &|secret| {
            if number % 50_000 == 0 {
                *secret = [7; SECRET];
            }
        })
    });
    poor("a bit that is set too often", &|number, secret| {
        with(secret, &|secret| secret[31] |= u8::from(number % 40 == 0))
    });
    poor("text instead of bytes", &|_, secret| {
        secret.map(|byte| b'a' + byte % 26)
    });
    poor("a counter in front", &|number, secret| {
        with(secret, &|secret| {
            secret[..8].copy_from_slice(&counter(number))
        })
    });
    poor("random bytes that are a bit too even", &|number, secret| {
        with(secret, &|secret| secret[3] = counter(number)[0])
    });
    poor("nothing but steps", &|number, secret| {
        let steps = (number as u64)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .to_be_bytes();
        with(secret, &|secret| secret[..8].copy_from_slice(&steps))
    });
    let mut random = StdRng::seed_from_u64(2);
    let good: Vec<Secret> = (0..TOKENS).map(|_| random.random()).collect();
    assert_eq!(complaint(&good), None);
}
