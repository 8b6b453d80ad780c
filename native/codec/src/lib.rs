//! Rows of a do-memory primary as values of its redb cache.
//!
//! Pure functions over bytes: no file, no network, no Python. The layouts and the JSON are those of do-memory
//! (docs/formats.md#values), the digests those of docs/protocol.md#digests, equality and merge those of docs/projection.md.

mod cached_value;
mod columns;
mod debug;
mod digest;
pub mod hrana;
mod key;
mod legacy;
mod merge;
mod payload;
mod source_row;
mod table;
mod title;
mod types;
mod vector;

pub use cached_value::{
    belongs_to, check_value, decode_json, embedding_values, encode_json, names_others, only_projection, pattern_debug,
    session_stamp, CodecError, ValueState,
};
pub use columns::Refusal;
pub use digest::{row_digest, row_digests, Algorithm, Digest16, DigestBatch, Hasher};
pub use key::{embedding_owner, source_key, Owner};
pub use merge::{merge, Merged};
pub use source_row::{SourceRow, Value};
pub use table::{Column, Kind, Table};
pub use title::{label, title};
