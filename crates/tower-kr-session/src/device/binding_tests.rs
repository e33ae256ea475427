//! What a binding decides, with keys made by hand.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::{collection::vec, prelude::*};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
        RsaPublicKeyComponents,
    },
};

use super::{
    binding::{Binding, DeviceState, Fresh},
    jwk::{Modulus, PublicKey},
    jwt::Proof,
    refusal::Refusal,
    secret::challenge_hash,
};
use crate::model::{DecodeError, SecretHash, Timestamp};

const START: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);
const LIFETIME: Duration = Duration::from_secs(600);

fn device() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).unwrap()
}

/// An RSA key that is public, for tests alone.
fn rsa_device() -> RsaKeyPair {
    let key = include_bytes!("../../tests/device/keys/rsa-4096.der");
    RsaKeyPair::from_der(key).unwrap()
}

/// The same as [`prove`], with the RSA key.
fn prove_with_rsa(device: &RsaKeyPair, challenge: &str, registers: bool) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let public: RsaPublicKeyComponents<Vec<u8>> = device.public().into();
    let key = format!(
        r#","jwk":{{"kty":"RSA","n":"{}","e":"AQAB"}}"#,
        encode(&public.n)
    );
    let key = if registers { key } else { String::new() };
    let head = format!(r#"{{"alg":"RS256","typ":"dbsc+jwt"{key}}}"#);
    let claims = format!(r#"{{"jti":"{challenge}"}}"#);
    let signed = [encode(head.as_bytes()), encode(claims.as_bytes())].join(".");
    let mut signature = vec![0; device.public().modulus_len()];
    device
        .sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            signed.as_bytes(),
            &mut signature,
        )
        .unwrap();
    [signed, encode(&signature)].join(".")
}

/// A proof that answers a challenge; a registration carries the key.
fn prove(device: &EcdsaKeyPair, challenge: &str, registers: bool) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let point = &device.public_key().as_ref()[1..];
    let (x, y) = (encode(&point[..32]), encode(&point[32..]));
    let key = format!(r#","jwk":{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#);
    let key = if registers { key } else { String::new() };
    let head = format!(r#"{{"alg":"ES256","typ":"dbsc+jwt"{key}}}"#);
    let claims = format!(r#"{{"jti":"{challenge}"}}"#);
    let signed = [encode(head.as_bytes()), encode(claims.as_bytes())].join(".");
    let signature = device
        .sign(&SystemRandom::new(), signed.as_bytes())
        .unwrap();
    [signed, encode(signature.as_ref())].join(".")
}

fn hash(number: u8) -> SecretHash {
    SecretHash::from_bytes([number; 32])
}

fn at(seconds: u64) -> Timestamp {
    START.saturating_add(Duration::from_secs(seconds))
}

/// A proof at a time, which brings the secret and the challenge of this name.
fn fresh(secret: u8, challenge: &str, now: Timestamp) -> Fresh {
    Fresh {
        secret: hash(secret),
        challenge: challenge_hash(challenge),
        now,
        lifetime: LIFETIME,
        kept_for: Duration::ZERO,
    }
}

fn offered() -> Binding {
    Binding::offered(challenge_hash("offer"), START)
}

fn read(text: &str) -> Proof<'_> {
    Proof::read(text.as_bytes()).unwrap()
}

/// A session that was bound at the start, with the secret 1 and the challenge "first".
fn bound(device: &EcdsaKeyPair) -> Binding {
    let text = prove(device, "offer", true);
    let fresh = fresh(1, "first", START);
    offered().bind(&read(&text), &fresh).unwrap()
}

fn admits(binding: &Binding, secret: u8, now: Timestamp) -> bool {
    binding.admits(&[hash(99), hash(secret)], now, Duration::ZERO)
}

#[test]
fn an_offer_admits_everybody_and_a_bound_session_who_has_the_cookie() {
    let binding = offered();
    assert_eq!(binding.state(), DeviceState::Offered);
    assert!(binding.admits(&[], at(100_000), Duration::ZERO));

    let binding = bound(&device());
    assert_eq!(binding.state(), DeviceState::Bound { since: START });
    assert!(admits(&binding, 1, at(599)));
    assert!(!admits(&binding, 1, at(600)));
    assert!(!admits(&binding, 2, START));
    assert!(!binding.admits(&[], START, Duration::ZERO));
    // It was on its way when the session was bound.
    let before = START.saturating_sub(Duration::from_millis(1));
    assert!(binding.admits(&[], before, Duration::ZERO));
    // Only if the application allows it.
    assert!(binding.admits(&[hash(1)], at(600), Duration::from_secs(1)));
    assert!(!binding.admits(&[hash(1)], at(601), Duration::from_secs(1)));
    assert!(!binding.admits(&[hash(2)], at(1), Duration::from_secs(1)));
}

#[test]
fn a_registration_answers_its_own_challenge_in_time_and_once() {
    let device = device();
    let text = prove(&device, "offer", true);
    let proof = read(&text);
    let last = START.saturating_add(Duration::from_secs(300));
    let before = last.saturating_sub(Duration::from_millis(1));
    offered().bind(&proof, &fresh(1, "first", before)).unwrap();
    let refused = |proof: &str, now| {
        let fresh = fresh(1, "first", now);
        offered().bind(&read(proof), &fresh).unwrap_err()
    };
    assert_eq!(refused(&text, last), Refusal::Challenge);
    let other = prove(&device, "other", true);
    assert_eq!(refused(&other, START), Refusal::Challenge);
    let keyless = prove(&device, "offer", false);
    assert_eq!(refused(&keyless, START), Refusal::Key);

    let again = bound(&device).bind(&proof, &fresh(2, "second", START));
    assert_eq!(again.unwrap_err(), Refusal::Bound);
}

#[test]
fn only_the_key_of_the_proof_signs_it() {
    let (owner, thief) = (device(), device());
    let text = prove(&owner, "offer", true);
    let forged = prove(&thief, "offer", true);
    let (signed, _) = text.rsplit_once('.').unwrap();
    let (_, signature) = forged.rsplit_once('.').unwrap();
    let mixed = format!("{signed}.{signature}");
    let refused = offered().bind(&read(&mixed), &fresh(1, "first", START));
    assert_eq!(refused.unwrap_err(), Refusal::Signature);

    let binding = bound(&owner);
    for registers in [true, false] {
        let forged = prove(&thief, "first", registers);
        let refused = binding.refresh(&read(&forged), &fresh(2, "second", START));
        assert_eq!(refused.unwrap_err(), Refusal::Signature);
    }
    // A point that isn't on the curve signs nothing.
    let mut proof = read(&text);
    proof.key = Some(PublicKey::Es256([7; 64]));
    let refused = offered().bind(&proof, &fresh(1, "first", START));
    assert_eq!(refused.unwrap_err(), Refusal::Signature);
}

/// A session that was bound at the start with the RSA key, as with the other one.
fn bound_with_rsa(device: &RsaKeyPair) -> Binding {
    let text = prove_with_rsa(device, "offer", true);
    let fresh = fresh(1, "first", START);
    offered().bind(&read(&text), &fresh).unwrap()
}

#[test]
fn a_key_signs_with_its_own_algorithm_alone() {
    let (point, rsa) = (device(), rsa_device());
    let binding = bound_with_rsa(&rsa);
    let text = prove_with_rsa(&rsa, "first", false);
    let fresh = fresh(2, "second", START);
    binding.refresh(&read(&text), &fresh).unwrap();

    let with_point = prove(&point, "first", false);
    let refused = binding.refresh(&read(&with_point), &fresh);
    assert_eq!(refused.unwrap_err(), Refusal::Signature);
    let refused = bound(&point).refresh(&read(&text), &fresh);
    assert_eq!(refused.unwrap_err(), Refusal::Signature);

    // No modulus of a key is even.
    let text = prove_with_rsa(&rsa, "offer", true);
    let mut proof = read(&text);
    proof.key = Modulus::new(&[0x80; 512]).map(PublicKey::Rs256);
    let refused = offered().bind(&proof, &fresh);
    assert_eq!(refused.unwrap_err(), Refusal::Signature);
}

#[test]
fn the_largest_binding_fits_into_a_record() {
    let device = rsa_device();
    let mut binding = bound_with_rsa(&device);
    let mut challenge = "first".to_owned();
    for number in 2..10 {
        let text = prove_with_rsa(&device, &challenge, false);
        challenge = number.to_string();
        let fresh = fresh(number, &challenge, START);
        binding = binding.refresh(&read(&text), &fresh).unwrap();
        let hash = challenge_hash(&format!("more {number}"));
        binding = binding.challenge(hash, START, LIFETIME).unwrap();
    }
    let bytes = binding.encode();
    // The key, the time of the registration, and two lists of four.
    assert_eq!(bytes.len(), 2 + (2 + 512) + 8 + 2 * (1 + 4 * 40));
    assert!(bytes.len() <= crate::model::MAX_DEVICE_BYTES);
    assert_eq!(Binding::decode(&bytes), Ok(binding));
}

#[test]
fn a_challenge_of_a_refresh_counts_once_and_for_a_while() {
    let device = device();
    let text = prove(&device, "first", false);
    let proof = read(&text);
    let before = bound(&device);
    let after = before
        .refresh(&proof, &fresh(2, "second", at(500)))
        .unwrap();
    assert!(admits(&after, 1, at(599)) && admits(&after, 2, at(1_099)));
    assert!(!admits(&after, 1, at(600)) && !admits(&after, 2, at(1_100)));
    assert_eq!(after.state(), before.state());

    let replayed = after.refresh(&proof, &fresh(3, "third", at(501)));
    assert_eq!(replayed.unwrap_err(), Refusal::Challenge);
    let late = before.refresh(&proof, &fresh(2, "second", at(1_200)));
    assert_eq!(late.unwrap_err(), Refusal::Challenge);
    let unbound = offered().refresh(&proof, &fresh(2, "second", START));
    assert_eq!(unbound.unwrap_err(), Refusal::Unbound);
    let challenged = offered().challenge(challenge_hash("x"), START, LIFETIME);
    assert_eq!(challenged.unwrap_err(), Refusal::Unbound);
}

#[test]
fn the_last_four_challenges_and_secrets_count() {
    let device = device();
    let mut binding = bound(&device);
    for number in 0..3_u8 {
        let hash = challenge_hash(&number.to_string());
        binding = binding.challenge(hash, START, LIFETIME).unwrap();
    }
    let answer = |binding: &Binding, challenge: &str, secret| {
        let text = prove(&device, challenge, false);
        binding.refresh(
            &read(&text),
            &fresh(secret, &format!("after {secret}"), START),
        )
    };
    answer(&binding, "first", 2).unwrap();
    let fifth = binding
        .challenge(challenge_hash("3"), START, LIFETIME)
        .unwrap();
    assert_eq!(answer(&fifth, "first", 2).unwrap_err(), Refusal::Challenge);

    for (challenge, secret) in [("0", 2), ("1", 3), ("2", 4), ("after 2", 5)] {
        binding = answer(&binding, challenge, secret).unwrap();
    }
    let counting: Vec<u8> = (0..=5)
        .filter(|secret| admits(&binding, *secret, START))
        .collect();
    assert_eq!(counting, [2, 3, 4, 5]);
}

#[test]
fn a_stale_secret_is_kept_as_long_as_it_may_count() {
    let device = device();
    let text = prove(&device, "first", false);
    for (kept_for, expected) in [(0, false), (400, false), (401, true)] {
        let fresh = Fresh {
            kept_for: Duration::from_secs(kept_for),
            ..fresh(2, "second", at(1_000))
        };
        let binding = bound(&device).refresh(&read(&text), &fresh).unwrap();
        let grace = Duration::from_secs(10_000);
        assert_eq!(binding.admits(&[hash(1)], at(1_000), grace), expected);
    }
}

#[test]
fn a_binding_reads_back_and_a_later_version_is_told_from_damage() {
    let bindings = [offered(), bound(&device()), bound_with_rsa(&rsa_device())];
    for binding in bindings {
        let bytes = binding.encode();
        assert_eq!(Binding::decode(&bytes), Ok(binding));
        let mut later = bytes.clone();
        later[0] = 2;
        let unknown = DecodeError::UnknownVersion { version: 2 };
        assert_eq!(Binding::decode(&later), Err(unknown));
        for length in 0..bytes.len() {
            assert_eq!(Binding::decode(&bytes[..length]), Err(DecodeError::Corrupt));
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Binding::decode(&longer), Err(DecodeError::Corrupt));
    }
}

#[test]
fn nothing_of_a_binding_is_shown() {
    let device = device();
    let shown = format!("{:?}", bound(&device));
    for hidden in ["PublicKey(..)", "SecretHash(..)"] {
        assert!(shown.contains(hidden), "{shown}");
    }
}

proptest! {
    #[test]
    fn bytes_that_decode_are_what_encodes_and_can_be_used(
        rsa in any::<bool>(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let key = match rsa {
            true => [&[2, 0, 1][..], &[0x83; 256]].concat(),
            false => [&[1][..], &[3; 64]].concat(),
        };
        let list = |length: u8| {
            let one = [&[length; 32][..], &[0, 0, 0, 0, 0, 1, 0, 0]].concat();
            [vec![length], one.repeat(usize::from(length))].concat()
        };
        let mut bytes = [&[1][..], &key, &[0; 8], &list(2), &list(3)].concat();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut.index(8) == 0 {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(binding) = Binding::decode(&bytes) {
            prop_assert_eq!(binding.encode(), bytes);
            for now in [i64::MIN, 0, i64::MAX].map(Timestamp::from_unix_millis) {
                let _ = binding.admits(&[hash(2)], now, Duration::MAX);
                let _ = binding.challenge(hash(1), now, Duration::MAX);
            }
        }
    }
}
