//! What an operator does to a cache beside a sync: rows out and back in, our tables out, room given back.

use crate::apply::Applied;
use crate::errors::{Fault, Outcome};
use crate::finish::{Checkpoint, Revisions, write_recommendation_index};
use crate::ledger::{CACHE_ONLY, Entry, REFUSED, ledger_key, value_digest};
use crate::panics::{Quiet, detached};
use crate::tables::{LEDGER, META, QUARANTINE, REVISIONS, byte_table};
use pyo3::prelude::*;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableHandle, WriteTransaction};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;
use storage_sync_codec::Table;

/// Page memory of the live file meanwhile.
const EDIT_CACHE: usize = 4 << 20;

/// Table, key, whole blake3 of the bytes that are there now (None: nothing is), bytes to put there (None: nothing).
type Change = (String, String, Option<Vec<u8>>, Option<Vec<u8>>);

fn table_of(name: &str) -> Outcome<Table> {
    Table::from_name(name).ok_or_else(|| Fault::value(format!("{name} is no table of the cache")))
}

/// A removed row leaves the ledger, but not what is known of a refused one; a row that the ledger does not know is
/// listed as cache-only, and such a one by its new bytes.
fn settle_entry(
    ledger: &mut redb::Table<'_, &'static str, &'static [u8]>,
    table: Table,
    key: &str,
    after: Option<&[u8]>,
) -> Outcome<()> {
    let name = ledger_key(table.name(), key);
    let flag = ledger.get(name.as_str())?.and_then(|entry| Entry::decode(entry.value()).map(|entry| entry.flag));
    match (flag, after) {
        (None | Some(CACHE_ONLY), Some(value)) => {
            ledger.insert(name.as_str(), Entry::cache_only(value_digest(value)).encode().as_slice())?;
        }
        (Some(REFUSED), _) | (Some(_), Some(_)) => {}
        (_, None) => {
            ledger.remove(name.as_str())?;
        }
    }
    Ok(())
}

/// `lists`: our ledger follows; do-memory itself leaves it alone.
fn write_rows(transaction: &WriteTransaction, changes: &[Change], now_ms: i64, lists: bool) -> Outcome<Applied> {
    let mut applied = Applied::default();
    let mut ledger = if lists { Some(transaction.open_table(LEDGER)?) } else { None };
    let keeps_revisions = transaction.list_tables()?.any(|table| table.name() == REVISIONS.name());
    let mut revisions = if keeps_revisions { Some(Revisions::open(transaction, now_ms)?) } else { None };
    for (name, key, before, after) in changes {
        let table = table_of(name)?;
        let mut rows = transaction.open_table(byte_table(table.name()))?;
        let live = rows.get(key.as_str())?.map(|value| blake3::hash(value.value()).as_bytes().to_vec());
        if live != *before {
            return Err(Fault::Conflict(format!("{name} {key} is no longer what the plan was made of")));
        }
        match after {
            Some(value) => {
                rows.insert(key.as_str(), value.as_slice())?;
                applied.rows_written += 1;
                applied.bytes_written += value.len() as u64;
            }
            None => {
                if rows.remove(key.as_str())?.is_some() {
                    applied.rows_removed += 1;
                }
            }
        }
        if let Some(ledger) = ledger.as_mut() {
            settle_entry(ledger, table, key, after.as_deref())?;
        }
        if let Some(revisions) = revisions.as_mut().filter(|_| table == Table::Episodes) {
            if after.is_some() { revisions.stored(key)? } else { revisions.removed(key)? }
        }
    }
    if let Some(revisions) = revisions {
        revisions.close()?;
    }
    Ok(applied)
}

fn open(path: &Path) -> Outcome<Quiet<Database>> {
    Ok(Quiet::new(Builder::new().set_cache_size(EDIT_CACHE).open(path)?))
}

fn edit_file(path: &Path, changes: &[Change], checkpoint: Option<&Checkpoint>, now_ms: i64) -> Outcome<Applied> {
    let started = Instant::now();
    let database = open(path)?;
    let transaction = database.begin_write()?;
    let mut applied = write_rows(&transaction, changes, now_ms, checkpoint.is_some())?;
    if changes.iter().any(|change| change.0 == Table::RecommendationSessions.name()) {
        write_recommendation_index(&transaction)?;
    }
    if let Some(checkpoint) = checkpoint {
        applied.bytes_written += checkpoint.stamp(&transaction)?;
        applied.generation = checkpoint.generation;
    }
    transaction.commit()?;
    if let Some(checkpoint) = checkpoint {
        checkpoint.read_back(&Quiet::new(database.begin_read()?))?;
    }
    database.into_inner().close()?;
    applied.commits = 1;
    applied.lock_seconds = started.elapsed().as_secs_f64();
    Ok(applied)
}

fn detach_file(path: &Path) -> Outcome<Applied> {
    let started = Instant::now();
    let database = open(path)?;
    let transaction = database.begin_write()?;
    for table in [META, LEDGER, QUARANTINE] {
        transaction.delete_table(table)?;
    }
    transaction.commit()?;
    database.into_inner().close()?;
    let lock_seconds = started.elapsed().as_secs_f64();
    Ok(Applied { commits: 1, lock_seconds, ..Applied::default() })
}

fn length(path: &Path) -> Outcome<u64> {
    Ok(std::fs::metadata(path).map_err(|error| Fault::io(error, path))?.len())
}

fn compact_file(path: &Path) -> Outcome<(u64, u64, f64)> {
    let before = length(path)?;
    let started = Instant::now();
    let mut database = open(path)?;
    while database.compact()? {}
    database.into_inner().close()?;
    Ok((before, length(path)?, started.elapsed().as_secs_f64()))
}

#[pyfunction]
pub fn edit(
    py: Python<'_>,
    path: PathBuf,
    changes: Vec<Change>,
    meta: BTreeMap<String, Vec<u8>>,
    generation: Option<u64>,
    now_ms: i64,
) -> PyResult<Applied> {
    let checkpoint = generation.map(|generation| Checkpoint { meta: meta.into_iter().collect(), generation, now_ms });
    detached(py, || edit_file(&path, &changes, checkpoint.as_ref(), now_ms))
}

#[pyfunction]
pub fn detach(py: Python<'_>, path: PathBuf) -> PyResult<Applied> {
    detached(py, || detach_file(&path))
}

#[pyfunction]
pub fn compact(py: Python<'_>, path: PathBuf) -> PyResult<(u64, u64, f64)> {
    detached(py, || compact_file(&path))
}
