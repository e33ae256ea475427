//! What counts as a proof, and what doesn't.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    jwk::PublicKey,
    jwt::{NoProof, Proof, Signature},
};

const HEAD: &str = r#"{"alg":"ES256","typ":"dbsc+jwt"}"#;
const RSA_HEAD: &str = r#"{"alg":"RS256","typ":"dbsc+jwt"}"#;
const CLAIMS: &str = r#"{"jti":"abc"}"#;

fn part(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn jwt(head: &str, claims: &str) -> String {
    signed(head, claims, &[7; 64])
}

fn signed(head: &str, claims: &str, signature: &[u8]) -> String {
    format!("{}.{}.{}", part(head), part(claims), part(signature))
}

fn read(text: &str) -> Result<Proof<'_>, NoProof> {
    Proof::read(text.as_bytes())
}

fn with_key(key: &str) -> String {
    let head = format!(r#"{{"alg":"ES256","typ":"dbsc+jwt","jwk":{key}}}"#);
    jwt(&head, CLAIMS)
}

fn with_rsa_key(key: &str) -> String {
    let head = format!(r#"{{"alg":"RS256","typ":"dbsc+jwt","jwk":{key}}}"#);
    signed(&head, CLAIMS, &[7; 256])
}

fn rsa_key(n: &str, e: &str) -> String {
    format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#)
}

fn key(kty: &str, crv: &str, x: &str, y: &str) -> String {
    format!(r#"{{"kty":"{kty}","crv":"{crv}","x":"{x}","y":"{y}"}}"#)
}

#[test]
fn a_proof_says_its_challenge_and_what_is_signed() {
    let text = jwt(HEAD, CLAIMS);
    let proof = read(&text).unwrap();
    assert_eq!((proof.key, proof.challenge.as_str()), (None, "abc"));
    assert_eq!(proof.signature, Signature::Es256([7; 64]));
    assert_eq!(proof.signed, text.rsplit_once('.').unwrap().0.as_bytes());
}

#[test]
fn a_key_is_a_point_of_two_coordinates() {
    let text = with_key(&key("EC", "P-256", &part([1; 32]), &part([2; 32])));
    let Some(PublicKey::Es256(point)) = read(&text).unwrap().key else {
        panic!("another key");
    };
    assert_eq!((&point[..32], &point[32..]), (&[1; 32][..], &[2; 32][..]));
    let (x, y) = (part([1; 32]), part([2; 32]));
    for bad in [
        key("RSA", "P-256", &x, &y),
        key("EC", "P-384", &x, &y),
        key("EC", "P-256", &part([1; 31]), &y),
        key("EC", "P-256", &x, &part([1; 33])),
        key("EC", "P-256", "", &y),
        key("EC", "P-256", &format!("{x}="), &y),
    ] {
        assert_eq!(read(&with_key(&bad)), Err(NoProof::Key), "{bad}");
    }
    for bad in [r#"{"kty":"EC"}"#, r#"{"kty":"RSA"}"#] {
        assert_eq!(read(&with_key(bad)), Err(NoProof::Key), "{bad}");
    }
    for bad in ["1", "[]", "{}", r#"{"kty":"EC","kty":"RSA"}"#] {
        assert_eq!(read(&with_key(bad)), Err(NoProof::Malformed), "{bad}");
        assert_eq!(read(&with_rsa_key(bad)), Err(NoProof::Malformed), "{bad}");
    }
}

#[test]
fn an_rsa_key_has_one_of_three_sizes_and_one_exponent() {
    for bytes in [256, 384, 512] {
        let text = with_rsa_key(&rsa_key(&part(vec![0x80; bytes]), "AQAB"));
        let Some(PublicKey::Rs256(modulus)) = read(&text).unwrap().key else {
            panic!("another key");
        };
        assert_eq!(modulus.as_bytes(), vec![0x80; bytes]);
    }
    let good = part([0x80; 256]);
    let (x, y) = (part([1; 32]), part([2; 32]));
    let mut bad: Vec<String> = ["", "A", "AQ", "Aw", "AAEAAQ", "AQAB=", "AQABAQAB"]
        .map(|exponent| rsa_key(&good, exponent))
        .into();
    // Too short, too long, between the sizes, and not to the last bit.
    bad.extend([0, 1, 128, 255, 257, 320, 513, 1_024].map(|bytes| {
        let modulus = part(vec![0xff; bytes]);
        rsa_key(&modulus, "AQAB")
    }));
    bad.push(rsa_key(&part([0x7f; 256]), "AQAB"));
    bad.push(rsa_key(&part([&[0][..], &[0x80; 256]].concat()), "AQAB"));
    bad.push(rsa_key(&format!("{good}="), "AQAB"));
    bad.push(format!(r#"{{"kty":"RSA","n":"{good}"}}"#));
    bad.push(key("EC", "P-256", &x, &y));
    bad.push(rsa_key(&good, "AQAB").replace("RSA", "EC"));
    for key in &bad {
        assert_eq!(read(&with_rsa_key(key)), Err(NoProof::Key), "{key}");
    }
    // The key of one algorithm is none of the other.
    let text = with_key(&rsa_key(&good, "AQAB"));
    assert_eq!(read(&text), Err(NoProof::Key));
}

#[test]
fn a_signature_has_the_size_of_its_algorithm() {
    for bytes in [256, 384, 512] {
        let text = signed(RSA_HEAD, CLAIMS, &vec![7; bytes]);
        let expected = Signature::Rs256(vec![7; bytes]);
        assert_eq!(read(&text).unwrap().signature, expected);
        let text = signed(HEAD, CLAIMS, &vec![7; bytes]);
        assert_eq!(read(&text), Err(NoProof::Malformed));
    }
    for bytes in [0, 64, 255, 257, 513] {
        let text = signed(RSA_HEAD, CLAIMS, &vec![7; bytes]);
        assert_eq!(read(&text), Err(NoProof::Malformed));
    }
}

#[test]
fn two_algorithms_and_one_type_count() {
    for algorithm in [
        "none", "None", "HS256", "RS384", "PS256", "ES384", "es256", "rs256", "",
    ] {
        let head = format!(r#"{{"alg":"{algorithm}","typ":"dbsc+jwt"}}"#);
        assert_eq!(read(&jwt(&head, CLAIMS)), Err(NoProof::Algorithm), "{head}");
    }
    for kind in ["JWT", "DBSC+JWT", ""] {
        let head = format!(r#"{{"alg":"ES256","typ":"{kind}"}}"#);
        assert_eq!(read(&jwt(&head, CLAIMS)), Err(NoProof::Type), "{head}");
    }
}

#[test]
fn members_count_once_and_unknown_ones_not_at_all() {
    let more = r#"{"aud":["x",{"y":1}],"jti":"abc","iat":1}"#;
    assert_eq!(read(&jwt(HEAD, more)).unwrap().challenge, "abc");
    for (head, claims) in [
        (r#"{"alg":"ES256","alg":"none","typ":"dbsc+jwt"}"#, CLAIMS),
        (r#"{"alg":"ES256","typ":"dbsc+jwt","crit":["b64"]}"#, CLAIMS),
        (r#"{"alg":"ES256"}"#, CLAIMS),
        (r#"{"alg":["ES256"],"typ":"dbsc+jwt"}"#, CLAIMS),
        (HEAD, r#"{"jti":"abc","jti":"def"}"#),
        (HEAD, r#"{"jti":["abc"]}"#),
        (HEAD, r#"{"jti":null}"#),
        (HEAD, "{}"),
        (HEAD, r#"{"jti":"abc"} x"#),
        (HEAD, ""),
        ("", CLAIMS),
    ] {
        let text = jwt(head, claims);
        assert_eq!(read(&text), Err(NoProof::Malformed), "{head} {claims}");
    }
}

#[test]
fn what_is_long_or_broken_is_refused() {
    let valid = jwt(HEAD, CLAIMS);
    let long = format!(r#"{{"jti":"abc","x":"{}"}}"#, "y".repeat(4_096));
    let deep = format!(r#"{{"jti":"abc","x":{}}}"#, "[".repeat(1_000));
    let challenge = format!(r#"{{"jti":"{}"}}"#, "y".repeat(129));
    let (signed, signature) = valid.rsplit_once('.').unwrap();
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        signed.to_owned(),
        format!("{valid}."),
        format!(".{valid}"),
        format!("{valid}="),
        format!("\"{valid}\""),
        format!("{signed}.{}", part([7; 63])),
        format!("{signed}.{}", part([7; 65])),
        format!("{signed}.{signature}A"),
        format!("{}=.{}.{signature}", part(HEAD), part(CLAIMS)),
        jwt(HEAD, &long),
        jwt(HEAD, &deep),
        jwt(HEAD, &challenge),
    ] {
        assert_eq!(read(&bad), Err(NoProof::Malformed), "{bad}");
    }
    assert_eq!(Proof::read(&[0xff; 100]), Err(NoProof::Malformed));
    // No UTF-8, in a member that nobody asks for.
    let claims = part(b"{\"jti\":\"abc\",\"x\":\"\xff\"}");
    let bad = format!("{}.{claims}.{signature}", part(HEAD));
    assert_eq!(read(&bad), Err(NoProof::Malformed));
}
