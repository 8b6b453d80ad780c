//! One write transaction on the live file (docs/protocol.md#steps).

use crate::errors::{Fault, Outcome};
use crate::finish::{Checkpoint, Revisions, write_recommendation_index};
use crate::keys::Digest;
use crate::ledger::{CACHE_ONLY, Entry, ledger_key, value_digest};
use crate::panics::{Quiet, detached};
use crate::record::{Action, Record};
use crate::scan::ScanState;
use crate::staging::{Core, Staging};
use crate::store::quarantine_json;
use crate::tables::{LEDGER, QUARANTINE, REVISIONS, byte_table};
use pyo3::prelude::*;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableHandle, WriteTransaction};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use storage_sync_codec::Table;

/// Page memory of the live file during an apply.
const LIVE_CACHE: usize = 6 << 20;

type Bytes<'t> = redb::Table<'t, &'static str, &'static [u8]>;

/// What a commit did.
#[pyclass(frozen, get_all, module = "storage_sync._native")]
#[derive(Default)]
pub struct Applied {
    pub generation: u64,
    pub commits: u64,
    pub lock_seconds: f64,
    pub bytes_written: u64,
    pub rows_written: u64,
    pub rows_removed: u64,
}

#[pymethods]
impl Applied {
    fn __repr__(&self) -> String {
        format!(
            "<Applied generation {}: {} written, {} removed>",
            self.generation, self.rows_written, self.rows_removed
        )
    }
}

/// Keys with the digests of their bytes, and keys alone.
type Seen = (Vec<(String, Digest)>, Vec<String>);

/// What an apply needs beside the records; gathered before the live file is opened.
struct Side {
    /// By table: rows to list as cache-only, and keys whose such entry has no row any more.
    seen: Vec<Seen>,
}

impl Side {
    fn gather(core: &Core) -> Outcome<Self> {
        let mut seen = Vec::new();
        for table in Table::ALL {
            let (mut fresh, mut stale) = (Vec::new(), Vec::new());
            let unsaid = |scan: &&Arc<ScanState>| core.scope.includes(table) && !scan.table(table).says_cache_only();
            if let Some(scan) = core.scan.as_ref().filter(unsaid) {
                scan.reader.join(table, |key, entry, value| {
                    match (entry, value) {
                        (None, Some(value)) => fresh.push((key.to_owned(), value_digest(value))),
                        (Some(entry), Some(value))
                            if entry.flag == CACHE_ONLY && entry.value != value_digest(value) =>
                        {
                            fresh.push((key.to_owned(), value_digest(value)));
                        }
                        (Some(entry), None) if entry.flag == CACHE_ONLY => stale.push(key.to_owned()),
                        // An entry that says nothing.
                        (None, None) => stale.push(key.to_owned()),
                        _ => {}
                    }
                    Ok(())
                })?;
            }
            seen.push((fresh, stale));
        }
        Ok(Self { seen })
    }
}

/// The tables of one transaction that every row touches.
struct Target<'t> {
    ledger: Bytes<'t>,
    quarantine: Bytes<'t>,
    revisions: Option<Revisions<'t>>,
    applied: Applied,
}

fn conflict(table: Table, key: &str) -> Fault {
    Fault::Conflict(format!("{} {key} is no longer what the plan was made of", table.name()))
}

impl<'t> Target<'t> {
    fn open(transaction: &'t WriteTransaction, now_ms: i64) -> Outcome<Self> {
        let has_revisions = transaction.list_tables()?.any(|table| table.name() == REVISIONS.name());
        Ok(Self {
            ledger: transaction.open_table(LEDGER)?,
            quarantine: transaction.open_table(QUARANTINE)?,
            revisions: if has_revisions { Some(Revisions::open(transaction, now_ms)?) } else { None },
            applied: Applied::default(),
        })
    }

    /// The row is of this kind from now on; why it was rejected goes with the rejection.
    fn list(&mut self, table: Table, name: &str, entry: &Entry<'_>) -> Outcome<()> {
        let (key, bytes) = (ledger_key(table.name(), name), entry.encode());
        self.applied.bytes_written += bytes.len() as u64;
        self.ledger.insert(key.as_str(), bytes.as_slice())?;
        self.quarantine.remove(key.as_str())?;
        Ok(())
    }

    fn unlist(&mut self, table: Table, name: &str) -> Outcome<()> {
        let key = ledger_key(table.name(), name);
        self.ledger.remove(key.as_str())?;
        self.quarantine.remove(key.as_str())?;
        Ok(())
    }

    fn remove(&mut self, table: Table, rows: &mut Bytes<'_>, name: &str) -> Outcome<()> {
        if rows.remove(name)?.is_some() {
            self.applied.rows_removed += 1;
        }
        match &mut self.revisions {
            Some(revisions) if table == Table::Episodes => revisions.removed(name),
            _ => Ok(()),
        }
    }

    fn record(&mut self, rows: &mut Bytes<'_>, record: &Record, now_ms: i64) -> Outcome<()> {
        let (table, name) = (record.table, record.name.as_str());
        let live = rows.get(name)?.map(|value| value_digest(value.value()));
        if live != record.before {
            return Err(conflict(table, name));
        }
        match &record.action {
            Action::Write(value) => {
                rows.insert(name, value.as_slice())?;
                self.list(table, name, &Entry::proved(record.source, value_digest(value)))?;
                self.applied.rows_written += 1;
                self.applied.bytes_written += value.len() as u64;
                match &mut self.revisions {
                    Some(revisions) if table == Table::Episodes => revisions.stored(name)?,
                    _ => {}
                }
            }
            Action::Relist => {
                let value = record.before.ok_or_else(|| conflict(table, name))?;
                self.list(table, name, &Entry::proved(record.source, value))?;
            }
            Action::Refuse { raw_key, column, reason } => {
                if record.loss.is_some() {
                    self.remove(table, rows, name)?;
                }
                self.list(table, name, &Entry::refused(record.source, raw_key))?;
                let json = quarantine_json(column, reason, &record.source, now_ms);
                self.quarantine.insert(ledger_key(table.name(), name).as_str(), json.as_bytes())?;
            }
            Action::Carry(_) | Action::Forget => {}
        }
        Ok(())
    }
}

/// Everything of one table, in key order within each kind of change.
fn apply_table(
    core: &Core,
    transaction: &WriteTransaction,
    target: &mut Target<'_>,
    table: Table,
    side: &Seen,
    now_ms: i64,
) -> Outcome<()> {
    let compared = core.require_complete()?.table(table);
    let mut rows = transaction.open_table(byte_table(table.name()))?;
    for name in side.1.iter().chain(&compared.settled) {
        target.unlist(table, name)?;
    }
    for (name, value) in &side.0 {
        target.list(table, name, &Entry::cache_only(*value))?;
    }
    for index in 0..compared.gone.len() {
        let name = compared.gone.key_text(index);
        let planned = match &core.scan {
            Some(scan) => scan.reader.value(table, &name)?,
            None => None,
        };
        if rows.get(name.as_str())?.map(|value| value.value().to_vec()) != planned {
            return Err(conflict(table, &name));
        }
        target.remove(table, &mut rows, &name)?;
        target.unlist(table, &name)?;
    }
    core.records(table, None, |record| {
        target.record(&mut rows, &record, now_ms)?;
        Ok(true)
    })
}

fn write(core: &Core, database: &Database, checkpoint: &Checkpoint, side: &Side) -> Outcome<Applied> {
    let transaction = database.begin_write()?;
    let mut applied = write_rows(core, &transaction, checkpoint, side)?;
    let drifted = core.scan.as_ref().is_some_and(|scan| scan.index_drifted() > 0);
    if drifted || core.touches(Table::RecommendationSessions)? {
        write_recommendation_index(&transaction)?;
    }
    applied.bytes_written += checkpoint.write(&transaction, &core.scope)?;
    transaction.commit()?;
    applied.commits = 1;
    Ok(applied)
}

fn write_rows(core: &Core, transaction: &WriteTransaction, checkpoint: &Checkpoint, side: &Side) -> Outcome<Applied> {
    let mut target = Target::open(transaction, checkpoint.now_ms)?;
    for (table, side) in Table::ALL.into_iter().zip(&side.seen) {
        if core.touches(table)? || !side.0.is_empty() || !side.1.is_empty() {
            apply_table(core, transaction, &mut target, table, side, checkpoint.now_ms)?;
        }
    }
    if let Some(revisions) = target.revisions {
        revisions.close()?;
    }
    Ok(target.applied)
}

/// Open, write, read the generation back, close; redb's lock is held from the first to the last.
fn on_live_file(path: &Path, core: &Core, checkpoint: &Checkpoint, side: &Side) -> Outcome<Applied> {
    let started = Instant::now();
    let database = Quiet::new(Builder::new().set_cache_size(LIVE_CACHE).open(path)?);
    let mut applied = write(core, &database, checkpoint, side)?;
    checkpoint.read_back(&Quiet::new(database.begin_read()?))?;
    let database = database.into_inner();
    database.close()?;
    applied.lock_seconds = started.elapsed().as_secs_f64();
    applied.generation = checkpoint.generation;
    Ok(applied)
}

/// What can be prepared before the lock is asked for.
fn prepared(core: &Core) -> Outcome<Side> {
    core.require_complete()?;
    if core.is_sibling() {
        return Err(Fault::value("a sibling is finished, not applied"));
    }
    Side::gather(core)
}

#[pyfunction]
#[pyo3(signature = (path, staging, meta, generation, now_ms, before_open = None))]
pub fn apply(
    py: Python<'_>,
    path: PathBuf,
    staging: &Staging,
    meta: BTreeMap<String, Vec<u8>>,
    generation: u64,
    now_ms: i64,
    before_open: Option<Bound<'_, PyAny>>,
) -> PyResult<Applied> {
    let checkpoint = Checkpoint { meta: meta.into_iter().collect(), generation, now_ms };
    let side = detached(py, || staging.with(|core| prepared(core)))?;
    if let Some(ask) = before_open {
        ask.call0()?;
    }
    detached(py, || staging.with(|core| on_live_file(&path, core, &checkpoint, &side)))
}
