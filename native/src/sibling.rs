//! The last steps of a file that becomes the cache itself (docs/protocol.md#rebuild).

use crate::apply::Applied;
use crate::errors::{Fault, Outcome};
use crate::finish::{Checkpoint, Revisions, write_recommendation_index};
use crate::kept::MANIFEST;
use crate::ledger::{Entry, REFUSED, ledger_bounds, split_ledger_key};
use crate::memory::give_back;
use crate::panics::{Quiet, caught, detached};
use crate::staging::{Core, Staging};
use crate::store::STORE_CACHE;
use crate::tables::{LEDGER, META, META_BUILD, META_STAGING, QUARANTINE, byte_table};
use pyo3::prelude::*;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, WriteTransaction};
use std::collections::BTreeMap;
use storage_sync_codec::Table;

/// A file of more than this many times its payload is worth a compaction.
const WASTEFUL: u64 = 3;
/// Below this size a compaction is not worth its commits.
const SMALL_FILE: u64 = 8 << 20;

fn write(transaction: &WriteTransaction, core: &Core, checkpoint: &Checkpoint) -> Outcome<()> {
    {
        let mut revisions = Revisions::open(transaction, checkpoint.now_ms)?;
        // The ledger lists every episode of the file on far fewer pages than the episodes themselves take.
        let ledger = transaction.open_table(LEDGER)?;
        let (low, high) = ledger_bounds(Table::Episodes.name());
        for row in ledger.range(low.as_str()..high.as_str())? {
            let (key, entry) = row?;
            if Entry::decode(entry.value()).is_some_and(|entry| entry.flag != REFUSED) {
                revisions.stored(split_ledger_key(key.value()).1)?;
            }
        }
        revisions.close()?;
    }
    let has_sessions = !transaction.open_table(byte_table(Table::RecommendationSessions.name()))?.is_empty()?;
    if has_sessions {
        write_recommendation_index(transaction)?;
    }
    stamp_quarantine(transaction, checkpoint.now_ms)?;
    checkpoint.write(transaction, &core.scope)?;
    let mut meta = transaction.open_table(META)?;
    let identity = meta.remove(META_STAGING)?.map(|identity| identity.value().to_vec());
    if let Some(identity) = identity {
        meta.insert(META_BUILD, identity.as_slice())?;
    }
    drop(meta);
    transaction.delete_table(MANIFEST)?;
    Ok(())
}

/// The writer knows no clock: rows that it refused are first seen now.
fn stamp_quarantine(transaction: &WriteTransaction, now_ms: i64) -> Outcome<()> {
    let mut table = transaction.open_table(QUARANTINE)?;
    let mut stamped = Vec::new();
    for row in table.iter()? {
        let (key, json) = row?;
        let Ok(mut entry) = serde_json::from_slice::<serde_json::Value>(json.value()) else { continue };
        if entry.get("first_seen").and_then(serde_json::Value::as_i64) == Some(0) {
            entry["first_seen"] = now_ms.into();
            stamped.push((key.value().to_owned(), entry.to_string()));
        }
    }
    for (key, json) in stamped {
        table.insert(key.as_str(), json.as_bytes())?;
    }
    Ok(())
}

fn close(database: Quiet<Database>) -> Outcome<()> {
    let database = database.into_inner();
    caught(move || Ok(database.close()?))
}

fn finish(core: &mut Core, checkpoint: &Checkpoint) -> Outcome<Applied> {
    core.require_complete()?;
    if !core.is_sibling() {
        return Err(Fault::value("only a sibling can be finished"));
    }
    let rows_written = Table::ALL.into_iter().map(|table| core.written(table)).sum();
    let bytes_written = core.staged_bytes();
    core.store()?.settle()?;
    let transaction = core.database()?.begin_write()?;
    write(&transaction, core, checkpoint)?;
    transaction.commit()?;
    core.remember()?;
    let path = core.store()?.path.clone();
    let database = core.store()?.take()?;
    checkpoint.read_back(&Quiet::new(database.begin_read()?))?;
    close(database)?;
    // Closing gives back what growing took; only what is then still empty is worth a compaction.
    let size = std::fs::metadata(&path).map_err(|error| Fault::io(error, &path))?.len();
    if size > SMALL_FILE && size / WASTEFUL > bytes_written {
        let mut database = Quiet::new(Builder::new().set_cache_size(STORE_CACHE).open(&path)?);
        database.compact()?;
        close(database)?;
    }
    give_back();
    Ok(Applied {
        generation: checkpoint.generation,
        commits: 1,
        lock_seconds: 0.0,
        bytes_written,
        rows_written,
        rows_removed: 0,
    })
}

#[pyfunction]
pub fn finish_sibling(
    py: Python<'_>,
    staging: &Staging,
    meta: BTreeMap<String, Vec<u8>>,
    generation: u64,
    now_ms: i64,
) -> PyResult<Applied> {
    let checkpoint = Checkpoint { meta: meta.into_iter().collect(), generation, now_ms };
    detached(py, || staging.with(|core| finish(core, &checkpoint)))
}
