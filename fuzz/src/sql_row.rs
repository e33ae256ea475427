//! Properties of a record as the columns of a row.

use std::time::Duration;

use tower_kr_session::{
    Timestamp,
    store::{DecodeError, Record},
};

use crate::{
    columns::{self, Columns, HEAD, VERSION},
    damage::Damage,
    record::{FULL, check_record},
};

#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Null,
    Integer(i64),
    Flag(bool),
    Bytes(Vec<u8>),
}

struct Row(Vec<Cell>);

impl Row {
    fn cell(&self, column: usize) -> Result<&Cell, DecodeError> {
        self.0.get(column).ok_or(DecodeError::Corrupt)
    }
}

impl Columns for Row {
    fn integer(&self, column: usize) -> Result<Option<i64>, DecodeError> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Integer(number) => Ok(Some(*number)),
            _ => Err(DecodeError::Corrupt),
        }
    }

    fn flag(&self, column: usize) -> Result<bool, DecodeError> {
        match self.cell(column)? {
            Cell::Flag(flag) => Ok(*flag),
            _ => Err(DecodeError::Corrupt),
        }
    }

    fn bytes(&self, column: usize) -> Result<Option<&[u8]>, DecodeError> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Bytes(bytes) => Ok(Some(bytes)),
            _ => Err(DecodeError::Corrupt),
        }
    }
}

fn time(time: Timestamp) -> Cell {
    Cell::Integer(time.as_unix_millis())
}

fn limit(limit: Duration) -> Cell {
    let millis = i64::try_from(limit.as_millis());
    millis.map_or(Cell::Null, Cell::Integer)
}

fn device(record: &Record) -> Cell {
    let device = record.device();
    device.map_or(Cell::Null, |device| Cell::Bytes(device.to_vec()))
}

fn valid() -> Vec<Cell> {
    let record = &*FULL;
    let optional = |at: Option<Timestamp>| at.map_or(Cell::Null, time);
    let cells = vec![
        Cell::Bytes(vec![1; 16]),
        Cell::Integer(VERSION),
        time(record.created_at),
        optional(record.authenticated_at),
        limit(record.idle.timeout),
        limit(record.idle.touch_interval),
        limit(record.absolute_timeout),
        time(record.idle_deadline),
        time(record.absolute_deadline),
        Cell::Flag(record.persistent),
        Cell::Bytes(record.secret.as_bytes().to_vec()),
        record.retired.as_ref().map_or(Cell::Null, |retired| {
            Cell::Bytes(retired.secret.as_bytes().to_vec())
        }),
        optional(record.retired.as_ref().map(|retired| retired.at)),
        record
            .label
            .as_ref()
            .map_or(Cell::Null, |label| Cell::Bytes(label.as_str().into())),
        device(record),
        record
            .owner
            .as_ref()
            .map_or(Cell::Null, |owner| Cell::Bytes(owner.as_str().into())),
        Cell::Bytes(record.values.as_bytes().to_vec()),
    ];
    assert_eq!(cells.len(), 1 + HEAD.len() + 1);
    cells
}

/// Columns that decode as a record give one that holds what they hold, and can be used. Other
/// columns are refused.
pub fn sql_row(data: &[u8]) {
    let mut damage = Damage(data);
    let mut cells = valid();
    assert_eq!(columns::read(&Row(cells.clone())).as_ref(), Ok(&*FULL));
    while !damage.is_over() {
        let at = damage.index(cells.len());
        cells[at] = match (damage.byte() % 8, &cells[at]) {
            (0, _) => Cell::Null,
            (1..4, _) => Cell::Integer(damage.number()),
            (4, _) => Cell::Flag(damage.byte() % 2 == 0),
            (5, Cell::Bytes(bytes)) => Cell::Bytes(Damage(damage.bytes()).to(bytes)),
            (6, Cell::Bytes(bytes)) => Cell::Bytes([bytes, damage.bytes()].concat()),
            _ => Cell::Bytes(damage.bytes().to_vec()),
        };
    }
    let row = Row(cells);
    let head = columns::read_head(&row);
    let Ok(record) = columns::read(&row) else {
        return;
    };
    assert!(head.is_ok());
    assert_eq!(row.0[1], Cell::Integer(VERSION));
    assert_eq!(row.0[2], time(record.created_at));
    assert_eq!(row.0[3], record.authenticated_at.map_or(Cell::Null, time));
    assert_eq!(row.0[4], limit(record.idle.timeout));
    assert_eq!(row.0[5], limit(record.idle.touch_interval));
    assert_eq!(row.0[6], limit(record.absolute_timeout));
    assert_eq!(row.0[7], time(record.idle_deadline));
    assert_eq!(row.0[8], time(record.absolute_deadline));
    assert_eq!(row.0[9], Cell::Flag(record.persistent));
    assert_eq!(row.0[10], Cell::Bytes(record.secret.as_bytes().to_vec()));
    let owner = record.owner.as_ref().map(|owner| owner.as_str().into());
    assert_eq!(row.0[15], owner.map_or(Cell::Null, Cell::Bytes));
    let label = record.label.as_ref().map(|label| label.as_str().into());
    assert_eq!(row.0[13], label.map_or(Cell::Null, Cell::Bytes));
    assert_eq!(row.0[14], device(&record));
    assert_eq!(row.0[16], Cell::Bytes(record.values.as_bytes().to_vec()));
    check_record(record);
}
