//! Digests of rows, streamed over their canonical text (`sync.md` 3.4, encoding 1).

use crate::table::Table;
use crate::value::{SourceRow, Value};
use sha2::Digest as _;

/// Half of a digest: enough against accident.
pub type Digest16 = [u8; 16];

/// A digest function that some primary can compute.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Algorithm {
    Sha3_256,
    Sha256,
    Blake3,
}

impl Algorithm {
    pub fn from_name(name: &str) -> Option<Algorithm> {
        match name {
            "sha3-256" => Some(Algorithm::Sha3_256),
            "sha-256" => Some(Algorithm::Sha256),
            "blake3" => Some(Algorithm::Blake3),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha3_256 => "sha3-256",
            Algorithm::Sha256 => "sha-256",
            Algorithm::Blake3 => "blake3",
        }
    }

    pub fn digest(self, data: &[u8]) -> [u8; 32] {
        let mut hasher = self.hasher();
        hasher.update(data);
        hasher.finalize()
    }

    pub fn hasher(self) -> Hasher {
        match self {
            Algorithm::Sha3_256 => Hasher::Sha3(Box::new(sha3::Sha3_256::new())),
            Algorithm::Sha256 => Hasher::Sha2(Box::new(sha2::Sha256::new())),
            Algorithm::Blake3 => Hasher::Blake3(Box::new(blake3::Hasher::new())),
        }
    }
}

/// A digest in the making.
#[derive(Clone)]
pub enum Hasher {
    Sha3(Box<sha3::Sha3_256>),
    Sha2(Box<sha2::Sha256>),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    pub fn update(&mut self, data: &[u8]) {
        match self {
            Hasher::Sha3(hasher) => hasher.update(data),
            Hasher::Sha2(hasher) => hasher.update(data),
            Hasher::Blake3(hasher) => {
                hasher.update(data);
            }
        }
    }

    pub fn finalize(self) -> [u8; 32] {
        match self {
            Hasher::Sha3(hasher) => hasher.finalize().into(),
            Hasher::Sha2(hasher) => hasher.finalize().into(),
            Hasher::Blake3(hasher) => *hasher.finalize().as_bytes(),
        }
    }
}

/// The row's source digest.
pub fn row_digest(row: &SourceRow, alg: Algorithm) -> Digest16 {
    let mut hasher = alg.hasher();
    feed_canonical(row, &mut |bytes| hasher.update(bytes));
    let whole = hasher.finalize();
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    half
}

/// Hand over the canonical text of a row, piece by piece.
fn feed_canonical(row: &SourceRow, sink: &mut dyn FnMut(&[u8])) {
    // Small pieces are gathered, so that the hasher sees few updates.
    let mut head = Vec::with_capacity(48);
    for (index, value) in row.columns.iter().enumerate() {
        if index > 0 {
            head.push(b'|');
        }
        head.extend_from_slice(value.type_name().as_bytes());
        match value {
            Value::Null => {}
            Value::Integer(number) => {
                let text = number.to_string();
                head.extend_from_slice(format!("|{}|{text}", text.len()).as_bytes());
            }
            Value::Real(bytes) | Value::Text(bytes) | Value::Blob(bytes) => {
                head.extend_from_slice(format!("|{}|", bytes.len()).as_bytes());
                sink(&head);
                head.clear();
                sink(bytes);
            }
        }
    }
    if row.table == Table::Episodes {
        head.extend_from_slice(b"|tags|");
        sink(&head);
        head.clear();
        sink(&row.tags);
    }
    if !head.is_empty() {
        sink(&head);
    }
}
