//! Rows that arrive, are proven and merged, and wait for their transaction (docs/protocol.md#rebuild).

mod arrive;
mod face;
mod listing;
mod resume;
mod seal;

pub use face::{Changes, Staging, StepSpec};

use crate::body::Body;
use crate::errors::{Fault, Outcome};
use crate::families::{Came, unfolded};
use crate::keys::KeyList;
use crate::ledger::value_digest;
use crate::manifest::{Compared, Manifest};
use crate::panics::Quiet;
use crate::record::{Action, Record, stage_key};
use crate::scan::ScanState;
use crate::scope::ScopeParts;
use crate::store::{self, Layout, STAGE, Store};
use crate::waiting::{Listed, Spool, Waiting as WaitingFile};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use redb::{ReadableDatabase, ReadableTable};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound as Limit;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use storage_sync_codec::Table;

const NAMED: usize = 20;
/// States of the rows that a comparison wants.
const WAITING: u8 = 0;
const DONE: u8 = 1;
const MOVED: u8 = 2;

#[derive(Default)]
struct Counts {
    insert: u64,
    update: u64,
    /// Ledger-only changes of rows that stay as they are.
    relist: u64,
    /// Refused in this run, with no row of ours in the cache.
    refused: u64,
    /// Refused in this run, so that our row leaves the cache.
    withdrawn: u64,
    keys: Vec<String>,
}

/// What was made of a row when it arrived.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Same = 0,
    Insert,
    Update,
    Relist,
    Refuse,
    Withdraw,
}

impl Counts {
    fn counter(&mut self, fate: Fate) -> Option<&mut u64> {
        match fate {
            Fate::Same => None,
            Fate::Insert => Some(&mut self.insert),
            Fate::Update => Some(&mut self.update),
            Fate::Relist => Some(&mut self.relist),
            Fate::Refuse => Some(&mut self.refused),
            Fate::Withdraw => Some(&mut self.withdrawn),
        }
    }

    /// Take back what a row with this mark was counted as.
    fn take_back(&mut self, mark: u8) {
        let fates = [Fate::Insert, Fate::Update, Fate::Relist, Fate::Refuse, Fate::Withdraw];
        if let Some(fate) = fates.into_iter().find(|fate| *fate as u8 == mark)
            && let Some(counter) = self.counter(fate)
        {
            *counter = counter.saturating_sub(1);
        }
    }
}

/// One table of a staging.
#[derive(Default)]
struct Lane {
    counts: Counts,
    /// Digest path: state of each wanted row.
    states: Vec<u8>,
    /// Digest path: places of the wanted rows that were not resumed; None when none was.
    pending: Option<Vec<u32>>,
    /// Snapshot path: all rows that arrived.
    arrived: KeyList,
    /// Rows that are not, or not so, in the manifest.
    strangers: KeyList,
    primary_rows: Option<u64>,
    /// Snapshot path: rows that the primary has counted for this answer, where it was asked.
    announced: Option<u64>,
    /// Removed rows that the primary still has outside the window.
    kept: BTreeSet<String>,
}

/// Table, key, old bytes and reason of a row that the primary cannot give back.
type Lost = (Table, String, Vec<u8>, &'static str);
type PyLost<'py> = (String, String, Bound<'py, PyBytes>, &'static str);

/// Column and reason of rejected rows, by their name.
type Refusals = BTreeMap<String, (String, String)>;

/// Rows that wait: in memory, or in a file behind the writer.
enum Waiting {
    Memory(BTreeMap<Vec<u8>, Record>),
    File(Store),
    Closed,
}

struct Response {
    body: Body,
    steps: Vec<StepSpec>,
    current: Option<StepSpec>,
}

/// Counters that can be read while a chunk is being worked on.
#[derive(Default)]
struct Progress {
    rows: AtomicU64,
    resumed: AtomicU64,
    staged_bytes: AtomicU64,
    durable: Arc<AtomicU64>,
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// Everything behind the lock of a `Staging`.
pub struct Core {
    pub scope: ScopeParts,
    pub scan: Option<Arc<ScanState>>,
    manifest: Option<Arc<Manifest>>,
    snapshot: bool,
    lanes: Vec<Lane>,
    waiting: Waiting,
    gathered: arrive::Gathered,
    batch: Vec<Record>,
    batch_weight: usize,
    memory_weight: usize,
    progress: Arc<Progress>,
    response: Option<Response>,
    sealed: bool,
    /// What a finished sibling said of its rejected rows, by table number; its file is closed.
    finished: Option<Vec<Refusals>>,
    path: PathBuf,
    sibling: bool,
    batch_rows: usize,
    batch_bytes: usize,
    identity: Vec<u8>,
    /// Where source rows are kept for a later merge, with what came of the manifest on the digest path.
    spool: Option<(Spool, Came)>,
    /// Of the same moment as the rows of a snapshot.
    imprint: Option<String>,
}

impl Core {
    fn layout(&self) -> Layout {
        if self.sibling { Layout::Sibling } else { Layout::Stage }
    }

    fn lane(&mut self, table: Table) -> &mut Lane {
        &mut self.lanes[usize::from(table.number())]
    }

    fn count(&mut self, record: &Record, fate: Fate) {
        if let Action::Write(value) = &record.action {
            add(&self.progress.staged_bytes, value.len() as u64);
        }
        let counts = &mut self.lane(record.table).counts;
        if let Some(counter) = counts.counter(fate) {
            *counter += 1;
        }
        if !matches!(fate, Fate::Relist | Fate::Same) && counts.keys.len() < NAMED {
            counts.keys.push(record.name.clone());
        }
    }

    fn hold(&mut self, record: Record) -> Outcome<()> {
        match &mut self.waiting {
            Waiting::Memory(rows) => {
                if record.action == Action::Forget {
                    if let Some(old) = rows.remove(&record.stage_key()) {
                        self.memory_weight -= old.weight();
                    }
                    return Ok(());
                }
                self.memory_weight += record.weight();
                if let Some(old) = rows.insert(record.stage_key(), record) {
                    self.memory_weight -= old.weight();
                }
                if rows.len() > self.batch_rows || self.memory_weight > self.batch_bytes {
                    self.spill()?;
                }
                Ok(())
            }
            Waiting::File(_) => {
                self.batch_weight += record.weight();
                self.batch.push(record);
                if self.batch.len() >= self.batch_rows || self.batch_weight >= self.batch_bytes {
                    self.flush()?;
                }
                Ok(())
            }
            Waiting::Closed => Err(Fault::value("the staging is closed")),
        }
    }

    /// More than a batch must wait: make the staging file.
    fn spill(&mut self) -> Outcome<()> {
        let opened = store::open(&self.path, self.layout(), &self.identity, false)?;
        let store =
            Store::start(opened.database, self.layout(), &self.path, self.batch_bytes / 4, &self.progress.durable)?;
        if let Waiting::Memory(rows) = std::mem::replace(&mut self.waiting, Waiting::File(store)) {
            self.batch.extend(rows.into_values());
        }
        self.memory_weight = 0;
        self.flush()
    }

    fn flush(&mut self) -> Outcome<()> {
        self.batch_weight = 0;
        let batch = std::mem::take(&mut self.batch);
        match &self.waiting {
            Waiting::File(store) => store.push(batch),
            Waiting::Memory(_) => Ok(()),
            Waiting::Closed => Err(Fault::value("the staging is closed")),
        }
    }

    pub fn require_sealed(&self) -> Outcome<&Manifest> {
        let manifest = self.manifest.as_deref().filter(|_| self.sealed);
        manifest.ok_or_else(|| Fault::value("the staging is not sealed"))
    }

    /// Sealed, and no row moved between manifest and fetch.
    pub fn require_complete(&self) -> Outcome<&Manifest> {
        let manifest = self.require_sealed()?;
        if Table::ALL.into_iter().any(|table| self.moved(table) > 0) {
            return Err(Fault::value("rows moved between the manifest and their fetch; another round is needed"));
        }
        Ok(manifest)
    }

    fn moved(&self, table: Table) -> u64 {
        let lane = &self.lanes[usize::from(table.number())];
        let open = |state: &&u8| **state == MOVED || (self.sealed && **state == WAITING);
        lane.states.iter().filter(open).count() as u64
    }

    /// Visit the records of a table in key order, after `after`; `visit` says whether to go on.
    pub fn records(
        &self,
        table: Table,
        after: Option<&str>,
        mut visit: impl FnMut(Record) -> Outcome<bool>,
    ) -> Outcome<()> {
        let low = after
            .map_or_else(|| Limit::Included(vec![table.number()]), |after| Limit::Excluded(stage_key(table, after)));
        let high = Limit::Excluded(vec![table.number() + 1]);
        match &self.waiting {
            Waiting::Memory(rows) => {
                for record in rows.range((low, high)).map(|(_, record)| record.clone()) {
                    if !visit(record)? {
                        break;
                    }
                }
            }
            Waiting::File(store) if store.layout == Layout::Stage => {
                let transaction = Quiet::new(store.database()?.begin_read()?);
                let Some(stage) = crate::tables::open_if(&transaction, STAGE)? else { return Ok(()) };
                let bounds = (low.as_ref().map(Vec::as_slice), high.as_ref().map(Vec::as_slice));
                let rows: redb::Range<'_, &[u8], &[u8]> = ReadableTable::range::<&[u8]>(&stage, bounds)?;
                for row in rows {
                    let (key, value) = row?;
                    let record = Record::decode(key.value(), value.value()).ok_or_else(|| {
                        Fault::from(redb::StorageError::Corrupted("a staged row is damaged".to_owned()))
                    })?;
                    if !visit(record)? {
                        break;
                    }
                }
            }
            Waiting::File(_) | Waiting::Closed => {
                return Err(Fault::value("these rows are not waiting for a transaction"));
            }
        }
        Ok(())
    }

    pub fn is_sibling(&self) -> bool {
        self.sibling
    }

    pub fn store(&mut self) -> Outcome<&mut Store> {
        match &mut self.waiting {
            Waiting::File(store) => Ok(store),
            Waiting::Memory(_) | Waiting::Closed => Err(Fault::value("the staging has no file")),
        }
    }

    pub fn database(&self) -> Outcome<&redb::Database> {
        match &self.waiting {
            Waiting::File(store) => store.database(),
            Waiting::Memory(_) | Waiting::Closed => Err(Fault::value("the staging has no file")),
        }
    }

    /// Whether the transaction changes rows or entries of this table.
    pub fn touches(&self, table: Table) -> Outcome<bool> {
        let compared = self.require_sealed()?.table(table);
        let mut any = !compared.gone.is_empty() || !compared.settled.is_empty();
        self.records(table, None, |_| {
            any = true;
            Ok(false)
        })?;
        Ok(any)
    }

    pub fn written(&self, table: Table) -> u64 {
        let counts = &self.lanes[usize::from(table.number())].counts;
        counts.insert + counts.update
    }

    pub fn staged_bytes(&self) -> u64 {
        self.progress.staged_bytes.load(Ordering::Relaxed)
    }

    /// Rows that an earlier run kept, judged as if the primary had sent them now.
    fn take_waiting(&mut self, waiting: &WaitingFile) -> Outcome<()> {
        if self.snapshot || self.sealed {
            return Err(Fault::value("only a comparison that is not sealed takes rows that waited"));
        }
        let taken = waiting.each(|row| self.gather(row));
        self.settle_rows()?;
        let done = self.lanes.iter().flat_map(|lane| &lane.states).filter(|state| **state == DONE).count() as u64;
        self.progress.resumed.store(done, Ordering::Relaxed);
        self.progress.rows.store(done, Ordering::Relaxed);
        self.find_pending();
        taken
    }

    /// Which wanted rows are still to be asked for, where some are there already.
    fn find_pending(&mut self) {
        for lane in &mut self.lanes {
            if lane.states.contains(&DONE) {
                let open = lane.states.iter().enumerate().filter(|(_, state)| **state != DONE);
                lane.pending = Some(open.filter_map(|(index, _)| u32::try_from(index).ok()).collect());
            }
        }
    }

    /// Complete the kept rows with the manifest that proves them; gives how many there are.
    fn keep(&mut self, note: &[u8]) -> Outcome<u64> {
        self.require_complete()?;
        let (spool, came) = self.spool.take().ok_or_else(|| Fault::value("no rows were kept"))?;
        let manifest = self.require_complete()?;
        if !self.snapshot && came.imprint.is_empty() {
            return Err(Fault::value("the rows of the manifest did not come, so none can be kept"));
        }
        let mut tables = Vec::new();
        let mut came = unfolded(&self.scope, &came.families)?;
        for table in Table::ALL {
            let compared = manifest.table(table);
            tables.push(if !self.scope.includes(table) {
                None
            } else if self.snapshot {
                let mut rows = KeyList::new();
                let listed = &compared.listed;
                (0..listed.len()).for_each(|index| rows.push(&listed.key(index), listed.digest(index), 0));
                rows.sort();
                Some(Listed { primary_rows: compared.primary_rows, rows })
            } else {
                let rows = std::mem::replace(&mut came[usize::from(table.number())], KeyList::new());
                Some(Listed { primary_rows: compared.primary_rows, rows })
            });
        }
        let rows = spool.rows();
        spool.finish(&tables, note)?;
        Ok(rows)
    }

    fn close(&mut self) -> Outcome<()> {
        if let Waiting::File(store) = &mut self.waiting {
            let batch = std::mem::take(&mut self.batch);
            let pushed = store.push(batch);
            store.close()?;
            pushed?;
        }
        self.waiting = Waiting::Closed;
        self.response = None;
        Ok(())
    }

    fn discard(&mut self) -> Outcome<()> {
        self.batch.clear();
        if let Waiting::File(store) = &mut self.waiting {
            // What the writer could not do does not matter for a file that goes.
            let _ = store.close();
            match std::fs::remove_file(&store.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Fault::io(error, &store.path));
                }
                _ => {}
            }
        }
        self.waiting = Waiting::Closed;
        Ok(())
    }

    fn changes(&self, table: Table) -> Changes {
        let lane = &self.lanes[usize::from(table.number())];
        let empty = Compared::default();
        let compared = self.manifest.as_deref().map_or(&empty, |manifest| manifest.table(table));
        let Counts { insert, update, relist, refused, withdrawn, keys } = &lane.counts;
        let refused = refused + withdrawn;
        let relist = relist + refused + compared.settled_lost;
        // A snapshot that becomes the cache itself rejects every such row again.
        let before = if self.snapshot && self.sibling { 0 } else { compared.still_refused };
        let refused = refused + before;
        let expected = if self.manifest.is_some() { compared.expected } else { lane.arrived.len() as u64 };
        let moved = self.moved(table);
        let remove = compared.gone.len() as u64;
        let mut keys = keys.clone();
        let more = NAMED.saturating_sub(keys.len()).min(compared.gone.len());
        keys.extend((0..more).map(|index| compared.gone.key_text(index)));
        // A rejected row counts twice here, as a change of the ledger and as what it is, so that all add up.
        let counted = insert + update + relist + refused + moved;
        let same = expected.cast_signed() - counted.cast_signed();
        Changes {
            insert: *insert,
            update: *update,
            remove,
            withdrawn: *withdrawn,
            relist,
            same,
            refused,
            expected,
            moved,
            keys,
        }
    }
}

fn fate_of(record: &Record) -> Fate {
    match (&record.action, record.before) {
        (Action::Write(_) | Action::Carry(_), None) => Fate::Insert,
        // Only a file that becomes the cache itself takes in rows that did not change.
        (Action::Write(value) | Action::Carry(value), Some(before)) if before == value_digest(value) => Fate::Same,
        (Action::Write(_) | Action::Carry(_), Some(_)) => Fate::Update,
        (Action::Relist, _) => Fate::Relist,
        (Action::Refuse { .. }, Some(_)) if record.loss.is_some() => Fate::Withdraw,
        (Action::Refuse { .. }, _) => Fate::Refuse,
        (Action::Forget, _) => Fate::Same,
    }
}

fn forget(table: Table, name: &str) -> Record {
    Record { table, name: name.to_owned(), source: [0; 16], before: None, loss: None, action: Action::Forget }
}
