//! Keys: of a source row, and what the key of a cached embedding says about its owner.

use crate::source_row::{SourceRow, Value};
use crate::table::Table;
use uuid::Uuid;

/// Whose embedding a cache key names (docs/projection.md#owner-of-an-embedding).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    Episode(Uuid),
    Pattern(Uuid),
    /// The episode or the pattern of that very id, if there is one.
    Bare(Uuid),
    /// None by design.
    None,
}

/// The row's key as SQL computes it, as bytes; it need not be UTF-8.
pub fn source_key(row: &SourceRow) -> Vec<u8> {
    let first = row.columns.first().map(key_bytes).unwrap_or_default();
    if row.table != Table::Embeddings {
        return first;
    }
    let kind = row.columns.get(1).map(key_bytes).unwrap_or_default();
    match kind.as_slice() {
        b"embedding" => first,
        b"episode" => [b"episode_".as_slice(), &first].concat(),
        b"pattern" => [b"pattern_".as_slice(), &first].concat(),
        _ => [kind.as_slice(), b":", &first].concat(),
    }
}

fn key_bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => Vec::new(),
        Value::Integer(number) => number.to_string().into_bytes(),
        Value::Real(bytes) | Value::Text(bytes) | Value::Blob(bytes) => bytes.to_vec(),
    }
}

/// The owner that a cache key of `embeddings` names.
pub fn embedding_owner(key: &str) -> Owner {
    if let Some(id) = key.strip_prefix("episode_").and_then(canonical_uuid) {
        return Owner::Episode(id);
    }
    if let Some(id) = key.strip_prefix("pattern_").and_then(canonical_uuid) {
        return Owner::Pattern(id);
    }
    if let Some(id) = canonical_uuid(key) {
        return Owner::Bare(id);
    }
    // Model names may hold colons, so a scoped key is read from the right.
    let Some((scope, id)) = key.len().checked_sub(36).and_then(|at| key.split_at_checked(at)) else {
        return Owner::None;
    };
    match canonical_uuid(id) {
        Some(id) if scope.ends_with(":episode:") => Owner::Episode(id),
        Some(id) if scope.ends_with(":pattern:") => Owner::Pattern(id),
        _ => Owner::None,
    }
}

/// A UUID in the one form that do-memory uses for keys: lower case, with hyphens.
pub(crate) fn canonical_uuid(text: &str) -> Option<Uuid> {
    if text.len() != 36 || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    Uuid::try_parse(text).ok()
}
