//! The staging file and the thread that writes it: batches in, durable commits out, bounded on the way.

use crate::create::{beside, is_there, name_once};
use crate::errors::{Fault, Outcome};
use crate::header::{kind_of, read_raw};
use crate::ledger::{Entry, ledger_key, value_digest};
use crate::panics::{Quiet, caught, lock};
use crate::record::{Action, Record};
use crate::tables::{
    CACHE_SCHEMA_VERSION, INDEX, LEDGER, META, META_BUILD, META_STAGING, METADATA, QUARANTINE, REVISIONS, SCHEMA,
    VERSION, byte_table,
};
use crate::unnamed::{Naming, Unnamed};
use redb::{Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use storage_sync_codec::Table;

/// Rows of an in-place staging file: (table number, key) to an encoded record.
pub const STAGE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("storage_sync_stage");
/// Page memory of a staging file.
pub const STORE_CACHE: usize = 4 << 20;

/// A commit waits for this part of the bytes that may be on the way, since each one is written through to the disk.
const LEAST_PART: usize = 4;
/// It waits no longer than this, so that little has to be fetched again after a kill.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// What a staging file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// The cache to be, complete in itself.
    Sibling,
    /// Records waiting for one transaction on the live file.
    Stage,
}

/// An existing file was there and is of this run's identity, or a new one was made.
pub struct Opened {
    pub database: Quiet<Database>,
    pub existed: bool,
}

/// Open the staging file of `identity`, or make it. A damaged one of ours is worthless and made again; what is no file
/// of ours is an error and stays.
pub fn open(path: &Path, layout: Layout, identity: &[u8], resume: bool) -> Outcome<Opened> {
    if is_there(path)? {
        match open_existing(path) {
            Ok(None) => return Err(foreign(path)),
            Ok(Some((database, found))) => {
                if found != identity {
                    let told =
                        "this build is of another source or configuration; remove it, or give it its own name back";
                    return Err(Fault::taken(told, path));
                }
                if resume {
                    return Ok(Opened { database, existed: true });
                }
            }
            Err(Fault::Database(error)) if matches!(*error, redb::DatabaseError::DatabaseAlreadyOpen) => {
                return Err(Fault::Database(error));
            }
            // Damaged; a file gets this name only after it was made.
            Err(_) if is_redb(path)? => {}
            Err(_) => return Err(foreign(path)),
        }
        std::fs::remove_file(path).map_err(|error| Fault::io(error, path))?;
    }
    let (place, file) = beside(path)?;
    match made(file, layout, identity).and_then(|(database, naming)| {
        naming.begin().map_err(|error| Fault::io(error, &place))?;
        name_once(&place, path).map(|()| database)
    }) {
        Ok(database) => Ok(Opened { database, existed: false }),
        Err(error) => {
            // What went wrong is the error to tell; what is left here is swept later.
            let _ = std::fs::remove_file(&place);
            Err(error)
        }
    }
}

fn made(file: File, layout: Layout, identity: &[u8]) -> Outcome<(Quiet<Database>, Naming)> {
    let (unnamed, naming) = Unnamed::new(file)?;
    let database = Quiet::new(Builder::new().set_cache_size(STORE_CACHE).create_with_backend(unnamed)?);
    initialise(&database, layout, identity)?;
    Ok((database, naming))
}

fn foreign(path: &Path) -> Fault {
    Fault::taken("this file is not ours; it is never touched; move it away", path)
}

/// Whether it begins as a redb file does, give or take two bits.
fn is_redb(path: &Path) -> Outcome<bool> {
    let (raw, _) = read_raw(path)?;
    Ok(matches!(kind_of(&raw), "redb" | "near"))
}

/// The existing staging file of `identity`; None when there is none, or one of something else.
pub fn open_of(path: &Path, identity: &[u8]) -> Outcome<Option<Quiet<Database>>> {
    if !is_there(path)? {
        return Ok(None);
    }
    let Some((database, found)) = open_existing(path)? else { return Ok(None) };
    Ok((found == identity).then_some(database))
}

/// A staging file and whose it is; None for a file of somebody else, which is not opened for writing where redb need
/// not repair it first.
fn open_existing(path: &Path) -> Outcome<Option<(Quiet<Database>, Vec<u8>)>> {
    let mut builder = Builder::new();
    builder.set_cache_size(STORE_CACHE);
    let seen = caught(|| {
        let database = Quiet::new(builder.open_read_only(path)?);
        identity_in(&Quiet::new(database.begin_read()?))
    });
    if matches!(seen, Ok(None)) {
        return Ok(None);
    }
    caught(|| {
        let database = Quiet::new(builder.open(path)?);
        let found = identity_in(&Quiet::new(database.begin_read()?))?;
        Ok(found.map(|found| (database, found)))
    })
}

fn identity_in(transaction: &ReadTransaction) -> Outcome<Option<Vec<u8>>> {
    let Some(meta) = crate::tables::open_if(transaction, META)? else { return Ok(None) };
    let named =
        |name| -> Outcome<Option<Vec<u8>>> { Ok(ReadableTable::get(&meta, name)?.map(|value| value.value().to_vec())) };
    Ok(named(META_STAGING)?.or(named(META_BUILD)?))
}

/// The first commit: every table that do-memory expects, its schema version, and whose file this is.
fn initialise(database: &Database, layout: Layout, identity: &[u8]) -> Outcome<()> {
    let transaction = database.begin_write()?;
    match layout {
        Layout::Sibling => create_tables(&transaction)?,
        Layout::Stage => {
            transaction.open_table(STAGE)?;
        }
    }
    transaction.open_table(META)?.insert(META_STAGING, identity)?;
    transaction.commit()?;
    Ok(())
}

pub fn create_tables(transaction: &WriteTransaction) -> Outcome<()> {
    for table in Table::ALL {
        transaction.open_table(byte_table(table.name()))?;
    }
    transaction.open_table(METADATA)?;
    transaction.open_table(INDEX)?;
    transaction.open_table(REVISIONS)?;
    transaction.open_table(LEDGER)?;
    transaction.open_table(QUARANTINE)?;
    transaction.open_table(SCHEMA)?.insert(VERSION, CACHE_SCHEMA_VERSION)?;
    Ok(())
}

/// JSON of one quarantine entry.
pub fn quarantine_json(column: &str, reason: &str, source: &[u8], first_seen: i64) -> String {
    serde_json::json!({
        "reason": reason,
        "column": column,
        "source_digest": crate::keys::hex_upper(source),
        "first_seen": first_seen,
    })
    .to_string()
}

fn commit(database: &Database, layout: Layout, mut records: Vec<Record>) -> Outcome<()> {
    let transaction = database.begin_write()?;
    match layout {
        Layout::Sibling => {
            // Stable: of two records of one row the later one counts.
            records.sort_by(|a, b| (a.table, a.name.as_str()).cmp(&(b.table, b.name.as_str())));
            write_rows(&transaction, &records)?;
        }
        Layout::Stage => {
            let mut stage = transaction.open_table(STAGE)?;
            for record in &records {
                if record.action == Action::Forget {
                    stage.remove(record.stage_key().as_slice())?;
                } else {
                    stage.insert(record.stage_key().as_slice(), record.encode().as_slice())?;
                }
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Rows and their ledger entries, straight into the cache to be.
fn write_rows(transaction: &WriteTransaction, records: &[Record]) -> Outcome<()> {
    let mut ledger = transaction.open_table(LEDGER)?;
    for group in records.chunk_by(|a, b| a.table == b.table) {
        let table = group[0].table;
        let mut rows = transaction.open_table(byte_table(table.name()))?;
        for record in group {
            let name = record.name.as_str();
            let listed = ledger_key(table.name(), name);
            match &record.action {
                Action::Write(value) => {
                    rows.insert(name, value.as_slice())?;
                    let entry = Entry::proved(record.source, value_digest(value));
                    ledger.insert(listed.as_str(), entry.encode().as_slice())?;
                }
                Action::Carry(value) => {
                    rows.insert(name, value.as_slice())?;
                    ledger.insert(listed.as_str(), Entry::cache_only(value_digest(value)).encode().as_slice())?;
                }
                Action::Relist => {}
                Action::Refuse { raw_key, column, reason } => {
                    ledger.insert(listed.as_str(), Entry::refused(record.source, raw_key).encode().as_slice())?;
                    let json = quarantine_json(column, reason, &record.source, 0);
                    transaction.open_table(QUARANTINE)?.insert(listed.as_str(), json.as_bytes())?;
                }
                Action::Forget => {
                    rows.remove(name)?;
                    ledger.remove(listed.as_str())?;
                    transaction.open_table(QUARANTINE)?.remove(listed.as_str())?;
                }
            }
        }
    }
    Ok(())
}

#[derive(Default)]
struct Queue {
    batches: VecDeque<(Vec<Record>, usize)>,
    /// Bytes handed over and not yet durable.
    in_flight: usize,
    /// Somebody waits to hand over more.
    full: bool,
    stop: bool,
    fault: Option<Fault>,
}

impl Queue {
    /// Whether to commit what waits, or to wait for more.
    fn is_enough(&self, least: usize) -> bool {
        self.stop || self.full || self.batches.iter().map(|batch| batch.1).sum::<usize>() >= least
    }
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    durable: Arc<AtomicU64>,
}

/// The writer's thread and the way to it.
pub struct Store {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Quiet<Database>>>,
    database: Option<Quiet<Database>>,
    pub layout: Layout,
    pub path: PathBuf,
    limit: usize,
}

impl Store {
    /// `limit`: bytes that may be on the way to the disk at once; `durable` counts the rows that arrived there.
    pub fn start(
        database: Quiet<Database>,
        layout: Layout,
        path: &Path,
        limit: usize,
        durable: &Arc<AtomicU64>,
    ) -> Outcome<Self> {
        let shared = Arc::new(Shared { durable: Arc::clone(durable), ..Shared::default() });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("storage-sync-writer".to_owned())
            .spawn(move || run(database, layout, limit / LEAST_PART, &theirs))
            .map_err(|error| Fault::io(error, path))?;
        Ok(Self { shared, thread: Some(thread), database: None, layout, path: path.to_owned(), limit })
    }

    /// Hand over a batch; waits while too much is on the way.
    pub fn push(&self, records: Vec<Record>) -> Outcome<()> {
        if records.is_empty() {
            return Ok(());
        }
        let weight = records.iter().map(Record::weight).sum();
        let mut queue = lock(&self.shared.queue);
        while queue.fault.is_none() && queue.in_flight > 0 && queue.in_flight + weight > self.limit {
            queue.full = true;
            self.shared.changed.notify_all();
            queue = self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(fault) = &queue.fault {
            return Err(fault.again());
        }
        queue.full = false;
        queue.in_flight += weight;
        queue.batches.push_back((records, weight));
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Wait until everything is durable and take the database from the thread.
    pub fn settle(&mut self) -> Outcome<&mut Quiet<Database>> {
        if let Some(thread) = self.thread.take() {
            {
                let mut queue = lock(&self.shared.queue);
                queue.stop = true;
                self.shared.changed.notify_all();
            }
            let database = thread.join().map_err(|_| Fault::Panic("the staging writer ended".to_owned()))?;
            self.database = Some(database);
        }
        if let Some(fault) = &lock(&self.shared.queue).fault {
            return Err(fault.again());
        }
        self.database.as_mut().ok_or_else(|| Fault::value("the staging is closed"))
    }

    pub fn database(&self) -> Outcome<&Database> {
        self.database.as_deref().ok_or_else(|| Fault::value("the staging is not sealed"))
    }

    /// Take the database out, to close it.
    pub fn take(&mut self) -> Outcome<Quiet<Database>> {
        self.settle()?;
        self.database.take().ok_or_else(|| Fault::value("the staging is closed"))
    }

    /// Stop and close; the file stays.
    pub fn close(&mut self) -> Outcome<()> {
        let settled = if self.thread.is_some() { self.settle().map(|_| ()) } else { Ok(()) };
        if let Some(database) = self.database.take() {
            let database = database.into_inner();
            caught(move || Ok(database.close()?))?;
        }
        settled
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Nobody is left to hear of a failure; the file is judged again when it is resumed.
        let _ = self.close();
    }
}

/// The writer: every waiting batch goes into one commit, of `least` bytes where they come soon.
fn run(database: Quiet<Database>, layout: Layout, least: usize, shared: &Shared) -> Quiet<Database> {
    loop {
        let (batches, weight) = {
            let queue = lock(&shared.queue);
            let queue = shared
                .changed
                .wait_while(queue, |queue| queue.batches.is_empty() && !queue.stop)
                .unwrap_or_else(PoisonError::into_inner);
            let (mut queue, _) = shared
                .changed
                .wait_timeout_while(queue, LONGEST_WAIT, |queue| !queue.is_enough(least))
                .unwrap_or_else(PoisonError::into_inner);
            if queue.batches.is_empty() || queue.fault.is_some() {
                return database;
            }
            let batches: Vec<_> = queue.batches.drain(..).collect();
            let weight: usize = batches.iter().map(|batch| batch.1).sum();
            (batches, weight)
        };
        let records: Vec<Record> = batches.into_iter().flat_map(|batch| batch.0).collect();
        let rows = records.iter().filter(|record| record.action != Action::Forget).count() as u64;
        let done = caught(|| commit(&database, layout, records));
        let mut queue = lock(&shared.queue);
        queue.in_flight = queue.in_flight.saturating_sub(weight);
        match done {
            Ok(()) => {
                shared.durable.fetch_add(rows, Ordering::Relaxed);
            }
            Err(fault) => queue.fault = Some(fault),
        }
        shared.changed.notify_all();
    }
}
