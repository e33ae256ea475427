//! Properties of a record as the fields of a hash in Redis.

use std::sync::LazyLock;

use crate::{
    damage::Damage,
    fields::{self, NAMES},
    record::{FULL, check_record},
};

type Field = (Vec<u8>, Vec<u8>);

static VALID: LazyLock<Vec<Field>> = LazyLock::new(|| {
    let fields = fields::write(&FULL, FULL.created_at);
    fields
        .chunks_exact(2)
        .map(|pair| (pair[0].to_vec(), pair[1].to_vec()))
        .collect()
});

/// Fields that decode as a record decode to the same one after it was encoded, and it can be used.
/// Other fields are refused.
pub fn redis_fields(data: &[u8]) {
    let mut damage = Damage(data);
    let mut from_nothing = Damage(data);
    let mut damaged = VALID.clone();
    while !damage.is_over() {
        let at = damage.index(damaged.len().max(1));
        match damage.byte() % 8 {
            0 | 1 if !damaged.is_empty() => damaged[at].1 = damage.bytes().to_vec(),
            2 if !damaged.is_empty() => damaged[at].1 = damage.number().to_string().into_bytes(),
            3 | 4 if !damaged.is_empty() => {
                let step = damage.bytes();
                damaged[at].1 = Damage(step).to(&damaged[at].1);
            }
            5 if !damaged.is_empty() => drop(damaged.remove(at)),
            6 => damaged.push((name(&mut damage), damage.bytes().to_vec())),
            _ => damaged.push(([b"v:", damage.bytes()].concat(), damage.bytes().to_vec())),
        }
    }
    let mut arbitrary = Vec::new();
    while !from_nothing.is_over() {
        arbitrary.push((name(&mut from_nothing), from_nothing.bytes().to_vec()));
    }
    for fields in [damaged, arbitrary] {
        let pairs = fields.iter().map(|(field, value)| (&field[..], &value[..]));
        let Ok(record) = fields::read(pairs) else {
            continue;
        };
        let written = fields::write(&record, record.created_at);
        let again = fields::read(written.chunks_exact(2).map(|pair| (&*pair[0], &*pair[1])));
        assert_eq!(again.as_ref(), Ok(&record));
        check_record(record);
    }
}

fn name(damage: &mut Damage<'_>) -> Vec<u8> {
    match damage.byte() {
        0..200 => NAMES[damage.index(NAMES.len())].as_bytes().to_vec(),
        _ => damage.bytes().to_vec(),
    }
}
