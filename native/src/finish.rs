//! What every commit on a cache says beside its rows: checkpoint, generation, schema version, derived tables.

use crate::errors::{Fault, Outcome};
use crate::newest::{Difference, Newest};
use crate::scope::ScopeParts;
use crate::tables::{
    CACHE_SCHEMA_VERSION, INDEX, META, META_DIGEST, META_GENERATION, METADATA, REVISION_SEQ, REVISIONS, SCHEMA,
    VERSION, byte_table,
};
use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use storage_sync_codec::Table;

/// Checkpoint entries of the caller and our own.
pub struct Checkpoint {
    pub meta: Vec<(String, Vec<u8>)>,
    pub generation: u64,
    pub now_ms: i64,
}

impl Checkpoint {
    /// Write the entries; `schema_version` too when the file has none.
    pub fn write(&self, transaction: &WriteTransaction, scope: &ScopeParts) -> Outcome<u64> {
        let bytes = self.stamp(transaction)?;
        transaction.open_table(META)?.insert(META_DIGEST, scope.algorithm.name().as_bytes())?;
        let mut schema = transaction.open_table(SCHEMA)?;
        if schema.get(VERSION)?.is_none() {
            schema.insert(VERSION, CACHE_SCHEMA_VERSION)?;
        }
        Ok(bytes)
    }

    /// Write the entries and the generation; everything else that was said before still holds.
    pub fn stamp(&self, transaction: &WriteTransaction) -> Outcome<u64> {
        let mut bytes = 0;
        let mut table = transaction.open_table(META)?;
        for (key, value) in &self.meta {
            table.insert(key.as_str(), value.as_slice())?;
            bytes += (key.len() + value.len()) as u64;
        }
        table.insert(META_GENERATION, self.generation.to_string().as_bytes())?;
        Ok(bytes)
    }

    /// Fail unless the file now says this generation.
    pub fn read_back(&self, transaction: &ReadTransaction) -> Outcome<()> {
        let table = transaction.open_table(META)?;
        let found = ReadableTable::get(&table, META_GENERATION)?.map(|value| value.value().to_vec());
        if found.as_deref() == Some(self.generation.to_string().as_bytes()) {
            return Ok(());
        }
        Err(Fault::CommitUnknown(format!("generation {} was committed but is not in the file", self.generation)))
    }
}

/// Make the index name each episode's newest session among all sessions of the file.
pub fn write_recommendation_index(transaction: &WriteTransaction) -> Outcome<()> {
    let mut newest = Newest::default();
    for row in transaction.open_table(byte_table(Table::RecommendationSessions.name()))?.iter()? {
        newest.see(row?.1.value());
    }
    let mut index = transaction.open_table(INDEX)?;
    let Difference { stale, wrong, .. } = newest.against(Some(&index))?;
    for episode in stale {
        index.remove(episode.as_str())?;
    }
    for (episode, session) in wrong {
        index.insert(episode.as_str(), session.as_str())?;
    }
    Ok(())
}

/// Revisions of stored and removed episodes, as do-memory 0.1.47 keeps them (docs/formats.md#revisions).
pub struct Revisions<'t> {
    table: redb::Table<'t, &'static str, i64>,
    metadata: redb::Table<'t, &'static str, &'static [u8]>,
    next: i64,
    stored: bool,
}

impl<'t> Revisions<'t> {
    pub fn open(transaction: &'t WriteTransaction, now_ms: i64) -> Outcome<Self> {
        let metadata = transaction.open_table(METADATA)?;
        // Text that is no number counts as 0, as upstream reads it.
        let last = metadata
            .get(REVISION_SEQ)?
            .and_then(|value| std::str::from_utf8(value.value()).ok().and_then(|text| text.trim().parse().ok()))
            .unwrap_or(0_i64);
        let next = now_ms.max(last.saturating_add(1));
        Ok(Self { table: transaction.open_table(REVISIONS)?, metadata, next, stored: false })
    }

    pub fn stored(&mut self, episode: &str) -> Outcome<()> {
        self.table.insert(episode, self.next)?;
        self.next = self.next.saturating_add(1);
        self.stored = true;
        Ok(())
    }

    pub fn removed(&mut self, episode: &str) -> Outcome<()> {
        self.table.remove(episode)?;
        Ok(())
    }

    pub fn close(mut self) -> Outcome<()> {
        if self.stored {
            let last = self.next.saturating_sub(1).to_string();
            self.metadata.insert(REVISION_SEQ, last.as_bytes())?;
        }
        Ok(())
    }
}
