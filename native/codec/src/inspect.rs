//! Cached values on their own: as text, as a check, as what single fields say.

use crate::table::Table;
use std::fmt;

/// A value or a text that is not what do-memory would write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CodecError(pub String);

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CodecError {}

/// What a cached value is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ValueState {
    /// Decodes whole, and its id is the key.
    Whole,
    Undecodable(String),
    /// Decodes, but holds another id than its key; the id.
    WrongKey(String),
}

fn pending<T>() -> Result<T, CodecError> {
    Err(CodecError("not available".into()))
}

/// serde_json text of a cached value; the whole value must be consumed.
pub fn decode_json(_table: Table, _data: &[u8]) -> Result<String, CodecError> {
    pending()
}

/// Cache bytes of a value given as serde_json text.
pub fn encode_json(_table: Table, _text: &str) -> Result<Vec<u8>, CodecError> {
    pending()
}

/// Rust Debug text of a cached pattern: what the primary's column `pattern_type` holds.
pub fn pattern_debug(_data: &[u8]) -> Result<String, CodecError> {
    pending()
}

/// Whether a value decodes whole and belongs to its key.
pub fn check_value(_table: Table, _key: &str, _data: &[u8]) -> ValueState {
    ValueState::Whole
}

/// Whether the value holds nothing that the primary cannot hold, so that it could be rebuilt from it.
pub fn only_projection(_table: Table, _data: &[u8]) -> Result<bool, CodecError> {
    pending()
}

/// Episode id, session id, seconds and nanoseconds of a cached recommendation session.
pub fn session_stamp(_data: &[u8]) -> Result<(String, String, i64, u32), CodecError> {
    pending()
}

/// The numbers of a cached embedding.
pub fn embedding_values(_data: &[u8]) -> Result<Vec<f32>, CodecError> {
    pending()
}
