//! The tables of a cache file: do-memory's own and ours.

use crate::errors::{Fault, Outcome};
use redb::{Key, ReadOnlyTable, ReadTransaction, TableDefinition, TableError, Value};

pub type ByteTable<'a> = TableDefinition<'a, &'static str, &'static [u8]>;
pub type ReadBytes = ReadOnlyTable<&'static str, &'static [u8]>;

/// What do-memory expects in `schema_version["version"]`.
pub const CACHE_SCHEMA_VERSION: u64 = 4;

pub const META: ByteTable = TableDefinition::new("storage_sync_meta");
pub const LEDGER: ByteTable = TableDefinition::new("storage_sync_digest");
pub const QUARANTINE: ByteTable = TableDefinition::new("storage_sync_quarantine");
pub const METADATA: ByteTable = TableDefinition::new("metadata");
pub const SCHEMA: TableDefinition<&str, u64> = TableDefinition::new("schema_version");
pub const INDEX: TableDefinition<&str, &str> = TableDefinition::new("recommendation_episode_index");
pub const REVISIONS: TableDefinition<&str, i64> = TableDefinition::new("episode_revisions");

/// Our tables.
pub const OURS: [ByteTable; 3] = [META, LEDGER, QUARANTINE];

/// Key of `SCHEMA`.
pub const VERSION: &str = "version";
/// Keys of `META` that this crate writes itself; all others belong to the caller.
pub const META_GENERATION: &str = "generation";
pub const META_DIGEST: &str = "digest";
pub const META_STAGING: &str = "staging";
/// What the file was built for; stays in it, so that a finished build that never got its place can be resumed.
pub const META_BUILD: &str = "build";
/// Key of `METADATA` that do-memory 0.1.47 keeps beside the revisions.
pub const REVISION_SEQ: &str = "episode_revision_seq";

/// A table of text keys and bytes by its name.
pub fn byte_table(name: &str) -> ByteTable<'_> {
    TableDefinition::new(name)
}

/// Open a table for reading; None when the file has no such table.
pub fn open_if<K: Key + 'static, V: Value + 'static>(
    transaction: &ReadTransaction,
    definition: TableDefinition<'_, K, V>,
) -> Outcome<Option<ReadOnlyTable<K, V>>> {
    match transaction.open_table(definition) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(Fault::from(error)),
    }
}
