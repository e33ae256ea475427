//! Properties of the reader of a browser's proof (Device Bound Session Credentials).

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    damage::Damage,
    jwk::PublicKey,
    jwt::{NoProof, Proof, Signature},
};

const CLAIMS: &str = r#"{"jti":"rNf0pcBxLQAtd1V5dDEOtSbKrWJNqd1QXHXBlG1DLZE"}"#;

/// The head of a registration, and a signature.
struct Valid {
    head: String,
    signature: String,
}

/// One with each kind of key.
static VALID: LazyLock<[Valid; 2]> = LazyLock::new(|| {
    let (x, y, n) = (encode(&[1; 32]), encode(&[2; 32]), encode(&[0x83; 256]));
    let point = format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#);
    let rsa = format!(r#"{{"kty":"RSA","n":"{n}","e":"AQAB"}}"#);
    [("ES256", point, 64), ("RS256", rsa, 256)].map(|(algorithm, key, bytes)| Valid {
        head: format!(r#"{{"alg":"{algorithm}","typ":"dbsc+jwt","jwk":{key}}}"#),
        signature: encode(&vec![7; bytes]),
    })
});

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A text that reads as a proof has three parts, of which the first two are what is signed, and
/// says what its JSON says. Another text is refused.
pub fn device_proof(data: &[u8]) {
    let (at, rest) = data
        .split_first()
        .map_or((0, data), |(at, rest)| (*at, rest));
    let Valid { head, signature } = &VALID[usize::from(at / 2 % 2)];
    let (head, claims) = (head.as_bytes(), CLAIMS.as_bytes());
    let join = |head: &[u8], claims: &[u8]| {
        let text = [&encode(head), &encode(claims), &signature[..]].join(".");
        text.into_bytes()
    };
    let valid = join(head, claims);
    assert!(Proof::read(&valid).is_ok());
    // Damage to the text, to the JSON of either part, and anything at all.
    let inner = match at % 2 {
        0 => join(&Damage(rest).to(head), claims),
        _ => join(head, &Damage(rest).to(claims)),
    };
    for text in [data.to_vec(), Damage(data).to(&valid), inner] {
        check(&text);
    }
}

fn check(text: &[u8]) {
    let proof = match Proof::read(text) {
        Ok(proof) => proof,
        Err(NoProof::Malformed | NoProof::Type | NoProof::Algorithm | NoProof::Key) => return,
    };
    let parts: Vec<&[u8]> = text.split(|byte| *byte == b'.').collect();
    assert_eq!(parts.len(), 3);
    assert_eq!(proof.signed, [parts[0], parts[1]].join(&b'.'));
    let decode = |part: &[u8]| URL_SAFE_NO_PAD.decode(part).expect("base64url");
    let (algorithm, signature) = match &proof.signature {
        Signature::Es256(bytes) => ("ES256", &bytes[..]),
        Signature::Rs256(bytes) => ("RS256", &bytes[..]),
    };
    assert_eq!(decode(parts[2]), signature);
    let json = |part| serde_json::from_slice::<serde_json::Value>(&decode(part));
    // Members that the reader ignores may hold escapes that are no characters.
    let (Ok(head), Ok(claims)) = (json(parts[0]), json(parts[1])) else {
        return;
    };
    assert_eq!(
        (&head["alg"], &head["typ"]),
        (&algorithm.into(), &"dbsc+jwt".into())
    );
    assert_eq!(claims["jti"], proof.challenge.as_str());
    assert!(proof.challenge.len() <= 128 && text.len() <= 4_096);
    let key = &head["jwk"];
    let member = |name| decode(key[name].as_str().expect("text").as_bytes());
    match proof.key {
        None => assert!(key.is_null()),
        Some(PublicKey::Es256(point)) => {
            assert_eq!([member("x"), member("y")].concat(), point);
            assert_eq!(
                (algorithm, &key["kty"], &key["crv"]),
                ("ES256", &"EC".into(), &"P-256".into())
            );
        }
        Some(PublicKey::Rs256(modulus)) => {
            let modulus = modulus.as_bytes();
            assert_eq!(member("n"), modulus);
            assert!([256, 384, 512].contains(&modulus.len()) && modulus[0] >= 0x80);
            assert_eq!(
                (algorithm, &key["kty"], &key["e"]),
                ("RS256", &"RSA".into(), &"AQAB".into())
            );
        }
    }
}
