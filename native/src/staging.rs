//! Rows that arrive, are proven and merged, and wait for their transaction (`sync.md` 4.3 and 4.4).

use crate::body::Body;
use crate::errors::{Fault, Outcome};
use crate::file::lock;
use crate::keys::{Digest, KeyList, hex_upper};
use crate::ledger::{Entry, PROVED, REFUSED, refused_key, value_digest};
use crate::manifest::{Compared, Comparison, Manifest, complete};
use crate::panics::{Quiet, detached};
use crate::record::{Action, Loss, Record, stage_key};
use crate::row::{assemble, real_text};
use crate::scan::{Held, Reader, Scan, ScanState};
use crate::scope::{Scope, ScopeParts, TABLES, table_named};
use crate::store::{self, Layout, STAGE, Store};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyFloat, PyInt, PyString, PyTuple};
use redb::{ReadableDatabase, ReadableTable};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound as Limit;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use storage_sync_codec::hrana::Event;
use storage_sync_codec::{
    SourceRow, Table, Value, ValueState, check_value, merge, only_projection, row_digest, source_key,
};

const NAMED: usize = 20;
/// States of the rows that a comparison wants.
const WAITING: u8 = 0;
const DONE: u8 = 1;
const MOVED: u8 = 2;

/// What one step of a response answers.
#[pyclass(frozen, module = "storage_sync._native")]
#[derive(Clone, Copy)]
pub struct StepSpec {
    table: Option<Table>,
    typed: bool,
    counts: bool,
}

#[pymethods]
impl StepSpec {
    #[new]
    #[pyo3(signature = (table, *, typed = false, counts = false))]
    fn new(table: Option<&str>, typed: bool, counts: bool) -> PyResult<Self> {
        let table = table.map(table_named).transpose()?;
        Ok(Self { table, typed, counts })
    }
}

/// What one table would see.
#[pyclass(frozen, get_all, module = "storage_sync._native")]
pub struct Changes {
    insert: u64,
    update: u64,
    remove: u64,
    relist: u64,
    same: i64,
    refused: u64,
    expected: u64,
    moved: u64,
    keys: Vec<String>,
}

#[pymethods]
impl Changes {
    fn __repr__(&self) -> String {
        let Self { insert, update, remove, relist, same, refused, expected, moved, .. } = self;
        format!(
            "<Changes +{insert} ~{update} -{remove} relist={relist} same={same} refused={refused} expected={expected} moved={moved}>"
        )
    }
}

#[derive(Default)]
struct Counts {
    insert: u64,
    update: u64,
    /// Ledger-only changes of rows that stay as they are.
    relist: u64,
    /// Refused in this run.
    refused: u64,
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
}

impl Counts {
    fn counter(&mut self, fate: Fate) -> Option<&mut u64> {
        match fate {
            Fate::Same => None,
            Fate::Insert => Some(&mut self.insert),
            Fate::Update => Some(&mut self.update),
            Fate::Relist => Some(&mut self.relist),
            Fate::Refuse => Some(&mut self.refused),
        }
    }

    /// Take back what a row with this mark was counted as.
    fn take_back(&mut self, mark: u8) {
        let fates = [Fate::Insert, Fate::Update, Fate::Relist, Fate::Refuse];
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
    /// Removed rows that the primary still has outside the window.
    kept: BTreeSet<String>,
}

/// Table, key, old bytes and reason of a row that the primary cannot give back.
type Lost = (Table, String, Vec<u8>, &'static str);
type PyLost<'py> = (String, String, Bound<'py, PyBytes>, &'static str);

/// Column and reason of refused rows, by their name.
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
    batch: Vec<Record>,
    batch_weight: usize,
    memory_weight: usize,
    progress: Arc<Progress>,
    response: Option<Response>,
    sealed: bool,
    /// What a finished sibling said of its refused rows, by table number; its file is closed.
    finished: Option<Vec<Refusals>>,
    path: PathBuf,
    sibling: bool,
    batch_rows: usize,
    batch_bytes: usize,
    identity: Vec<u8>,
}

impl Core {
    fn layout(&self) -> Layout {
        if self.sibling { Layout::Sibling } else { Layout::Stage }
    }

    fn lane(&mut self, table: Table) -> &mut Lane {
        &mut self.lanes[usize::from(table.number())]
    }

    /// Open what an earlier run staged, if this path can use it.
    fn open(&mut self) -> Outcome<()> {
        if !self.sibling && !self.path.exists() {
            return Ok(());
        }
        let opened = store::open(&self.path, self.layout(), &self.identity, !self.snapshot)?;
        let stale = if opened.existed { self.resume(&opened.database)? } else { Vec::new() };
        if !self.sibling && !opened.existed {
            // Another path's leftovers were cleared; a small in-place run needs no file.
            drop(opened);
            return std::fs::remove_file(&self.path).map_err(|error| Fault::io(error, &self.path));
        }
        let store = Store::start(opened.database, self.layout(), &self.path, self.batch_bytes, &self.progress.durable)?;
        store.push(stale)?;
        self.waiting = Waiting::File(store);
        for lane in &mut self.lanes {
            if lane.states.contains(&DONE) {
                let open = lane.states.iter().enumerate().filter(|(_, state)| **state == WAITING);
                lane.pending = Some(open.filter_map(|(index, _)| u32::try_from(index).ok()).collect());
            }
        }
        Ok(())
    }

    /// Count what is staged and still proves its digest; all else is to be forgotten.
    fn resume(&mut self, database: &redb::Database) -> Outcome<Vec<Record>> {
        let manifest = self.manifest.clone().ok_or_else(|| Fault::value("a snapshot starts over"))?;
        let mut stale = Vec::new();
        let transaction = Quiet::new(database.begin_read()?);
        if self.sibling {
            let reader = Quiet::new(Reader::new(&transaction)?);
            for table in Table::ALL {
                self.resume_sibling(&manifest, &reader, table, &mut stale)?;
            }
        } else if let Some(stage) = crate::tables::open_if(&transaction, STAGE)? {
            let rows: redb::Range<'_, &[u8], &[u8]> = ReadableTable::range::<&[u8]>(&stage, ..)?;
            for row in rows {
                let (key, value) = row?;
                self.resume_record(&manifest, key.value(), value.value(), &mut stale)?;
            }
        }
        Ok(stale)
    }

    fn resume_sibling(
        &mut self,
        manifest: &Manifest,
        reader: &Reader,
        table: Table,
        stale: &mut Vec<Record>,
    ) -> Outcome<()> {
        let wanted = &manifest.table(table).wanted;
        let held = self.scan.clone();
        let mut found_rows: Vec<(usize, bool, bool, u64)> = Vec::new();
        reader.join(table, |key, entry, value| {
            let raw =
                entry.as_ref().filter(|entry| entry.flag == REFUSED).map_or(key.as_bytes(), |entry| entry.raw_key);
            let found = wanted.find(raw);
            let proves = entry.as_ref().is_some_and(|entry| {
                found.len() == 1
                    && wanted.digest(found.start) == entry.source
                    && match (entry.flag, value) {
                        (PROVED, Some(value)) => value_digest(value) == entry.value,
                        (flag, _) => flag == REFUSED,
                    }
            });
            if let Some(entry) = entry.filter(|_| proves) {
                let known = match &held {
                    Some(scan) => !matches!(scan.reader.held(table, key)?, Held::Nothing),
                    None => false,
                };
                found_rows.push((
                    found.start,
                    entry.flag == REFUSED,
                    known,
                    value.map_or(0, |value| value.len() as u64),
                ));
            } else {
                stale.push(forget(table, key));
            }
            Ok(())
        })?;
        for (index, refused, known, bytes) in found_rows {
            let lane = self.lane(table);
            if lane.states[index] != WAITING {
                continue;
            }
            lane.states[index] = DONE;
            match (refused, known) {
                (true, _) => lane.counts.refused += 1,
                (false, true) => lane.counts.update += 1,
                (false, false) => lane.counts.insert += 1,
            }
            add(&self.progress.rows, 1);
            add(&self.progress.resumed, 1);
            add(&self.progress.staged_bytes, bytes);
        }
        Ok(())
    }

    fn resume_record(&mut self, manifest: &Manifest, key: &[u8], data: &[u8], stale: &mut Vec<Record>) -> Outcome<()> {
        let Some(record) = Record::decode(key, data) else {
            if let Some((table, name)) = key.split_first()
                && let (Some(table), Ok(name)) = (Table::from_number(*table), std::str::from_utf8(name))
            {
                stale.push(forget(table, name));
            }
            return Ok(());
        };
        let raw = match &record.action {
            Action::Refuse { raw_key, .. } => raw_key.as_slice(),
            _ => record.name.as_bytes(),
        };
        let wanted = &manifest.table(record.table).wanted;
        let found = wanted.find(raw);
        let now = match &self.scan {
            Some(scan) => scan.reader.value(record.table, &record.name)?.map(|value| value_digest(&value)),
            None => None,
        };
        if found.len() != 1 || wanted.digest(found.start) != record.source || now != record.before {
            stale.push(forget(record.table, &record.name));
            return Ok(());
        }
        let lane = self.lane(record.table);
        lane.states[found.start] = DONE;
        add(&self.progress.rows, 1);
        add(&self.progress.resumed, 1);
        let fate = fate_of(&record);
        self.count(&record, fate);
        Ok(())
    }

    fn count(&mut self, record: &Record, fate: Fate) {
        if let Action::Write(value) = &record.action {
            add(&self.progress.staged_bytes, value.len() as u64);
        }
        let counts = &mut self.lane(record.table).counts;
        if let Some(counter) = counts.counter(fate) {
            *counter += 1;
        }
        if fate != Fate::Relist && counts.keys.len() < NAMED {
            counts.keys.push(record.name.clone());
        }
    }

    // ------------------------------------------------------------------------------------------ rows

    fn take(&mut self, response: &mut Option<StepSpec>, steps: &[StepSpec], event: Event<'_>) -> Outcome<()> {
        match event {
            Event::StepBegin { step } => {
                let spec = steps
                    .get(step)
                    .ok_or_else(|| Fault::stream("shape", format!("an answer to step {step}, which was not asked")))?;
                *response = Some(*spec);
                Ok(())
            }
            Event::StepEnd => {
                *response = None;
                Ok(())
            }
            Event::Row(columns) => {
                let spec = response.ok_or_else(|| Fault::stream("shape", "a row outside of any step"))?;
                if spec.counts { self.source_count(&columns) } else { self.arrived(spec, columns) }
            }
            Event::StepError { code, message, .. } | Event::Error { code, message } => {
                Err(Fault::Stream { code, message })
            }
            Event::End => Ok(()),
        }
    }

    fn source_count(&mut self, columns: &[Value<'_>]) -> Outcome<()> {
        let [Value::Text(name), Value::Integer(count)] = columns else {
            return Err(Fault::stream("shape", "a count row is not (table name, rows)"));
        };
        let table = std::str::from_utf8(name).ok().and_then(Table::from_name);
        if let (Some(table), Ok(count)) = (table, u64::try_from(*count)) {
            self.lane(table).primary_rows = Some(count);
        }
        Ok(())
    }

    fn arrived(&mut self, spec: StepSpec, columns: Vec<Value<'_>>) -> Outcome<()> {
        match spec.table {
            Some(table) => self.row(&assemble(table, columns, spec.typed)?),
            None => Ok(()),
        }
    }

    fn row(&mut self, row: &SourceRow<'_>) -> Outcome<()> {
        let table = row.table;
        add(&self.progress.rows, 1);
        let key = source_key(row);
        let source = row_digest(row, self.scope.algorithm);
        let Some(manifest) = self.manifest.clone() else {
            let fate = self.judge(row, &key, source)?;
            self.lane(table).arrived.push(&key, source, fate as u8);
            return Ok(());
        };
        let wanted = &manifest.table(table).wanted;
        let found = wanted.find(&key);
        let lane = self.lane(table);
        let open = found.clone().find(|index| wanted.digest(*index) == source && lane.states[*index] != DONE);
        let Some(index) = open else {
            // A row that came twice in one answer is no stranger.
            if !found.clone().any(|index| wanted.digest(index) == source) {
                found.for_each(|index| lane.states[index] = MOVED);
                lane.strangers.push(&key, source, 0);
            }
            return Ok(());
        };
        lane.states[index] = DONE;
        if found.len() > 1 {
            return self.refuse_doubled(table, &key, source, index - found.start);
        }
        self.judge(row, &key, source).map(|_| ())
    }

    /// Merge with what the cache holds and decide.
    fn judge(&mut self, row: &SourceRow<'_>, key: &[u8], source: Digest) -> Outcome<Fate> {
        let table = row.table;
        let name = refused_key(key, 0);
        let held = match &self.scan {
            Some(scan) => scan.reader.held(table, &name)?,
            None => Held::Nothing,
        };
        if self.snapshot && !self.sibling && self.is_unchanged(&held, source) {
            return Ok(Fate::Same);
        }
        let before = held.value().map(value_digest);
        let record = match merge(row, held.mergeable()) {
            Err(refusal) => Record {
                table,
                name,
                source,
                before,
                loss: held.is_ours().then_some(Loss::Refused),
                action: Action::Refuse { raw_key: key.to_vec(), column: refusal.column, reason: refusal.reason },
            },
            Ok(merged) => {
                let (action, loss) = match merged.value {
                    // The cache to be must hold the row itself.
                    None if self.sibling => (Action::Write(held.value().map_or_else(Vec::new, <[u8]>::to_vec)), None),
                    None => (Action::Relist, None),
                    Some(value) if matches!(held, Held::Rotten { .. }) => (Action::Write(value), Some(Loss::BitRot)),
                    Some(value) => (Action::Write(value), merged.lost_local.then_some(Loss::LocalFields)),
                };
                Record { table, name: merged.key, source, before, loss, action }
            }
        };
        let fate = fate_of(&record);
        self.count(&record, fate);
        self.hold(record)?;
        Ok(fate)
    }

    /// Whether the last proof speaks of this very row and the cache still has what was stored for it.
    fn is_unchanged(&self, held: &Held, source: Digest) -> bool {
        let listed = match held {
            Held::Proved { source, .. } | Held::Refused { source, .. } => *source,
            _ => return false,
        };
        listed == source && self.scan.as_ref().is_some_and(|scan| scan.reader.speaks(self.scope.algorithm))
    }

    fn refuse_doubled(&mut self, table: Table, key: &[u8], source: Digest, ordinal: usize) -> Outcome<()> {
        let name = refused_key(key, ordinal);
        let held = match &self.scan {
            Some(scan) if ordinal == 0 => scan.reader.held(table, &name)?,
            _ => Held::Nothing,
        };
        let column = table.columns().first().map_or("", |column| column.name).to_owned();
        let reason = "the primary has more than one row of this key".to_owned();
        let record = Record {
            table,
            name,
            source,
            before: held.value().map(value_digest),
            loss: held.is_ours().then_some(Loss::Refused),
            action: Action::Refuse { raw_key: key.to_vec(), column, reason },
        };
        self.count(&record, Fate::Refuse);
        self.hold(record)
    }

    // --------------------------------------------------------------------------------------- staging

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
        let store = Store::start(opened.database, self.layout(), &self.path, self.batch_bytes, &self.progress.durable)?;
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

    // ---------------------------------------------------------------------------------------- sealing

    fn seal(&mut self) -> Outcome<()> {
        if self.sealed {
            return Ok(());
        }
        if self.response.is_some() {
            return Err(Fault::value("a response has not ended"));
        }
        if self.snapshot {
            self.make_manifest()?;
        }
        if self.sibling {
            self.carry_over()?;
        }
        self.flush()?;
        if let Waiting::File(store) = &mut self.waiting {
            store.settle()?;
        }
        self.sealed = true;
        Ok(())
    }

    /// Snapshot path: the rows that arrived are the manifest.
    fn make_manifest(&mut self) -> Outcome<()> {
        let mut arrived = Vec::with_capacity(TABLES);
        for lane in &mut self.lanes {
            arrived.push((std::mem::take(&mut lane.arrived), lane.primary_rows));
        }
        let (manifest, doubled) = complete(self.scope, self.scan.as_deref(), arrived)?;
        self.manifest = Some(Arc::new(manifest));
        for group in doubled {
            let counts = &mut self.lane(group.table).counts;
            group.marks.iter().for_each(|mark| counts.take_back(*mark));
            // What each copy became when it came alone no longer holds.
            self.hold(forget(group.table, &refused_key(&group.key, 0)))?;
            if group.unchanged && !self.sibling {
                continue;
            }
            for (ordinal, source) in group.sources.iter().enumerate() {
                self.refuse_doubled(group.table, &group.key, *source, ordinal)?;
            }
        }
        Ok(())
    }

    /// Rebuild: rows of the old file that are as the primary has them, and rows that only the cache has.
    fn carry_over(&mut self) -> Outcome<()> {
        let Some(scan) = self.scan.clone() else { return Ok(()) };
        let manifest = self.manifest.clone().ok_or_else(|| Fault::value("there is no manifest"))?;
        let store = match &self.waiting {
            Waiting::File(store) => store,
            Waiting::Memory(_) | Waiting::Closed => return Err(Fault::value("the staging is closed")),
        };
        for table in Table::ALL {
            let compared = manifest.table(table);
            let mut batch: Vec<Record> = Vec::new();
            let mut weight = 0;
            scan.reader.join(table, |key, entry, value| {
                let raw =
                    entry.as_ref().filter(|entry| entry.flag == REFUSED).map_or(key.as_bytes(), |entry| entry.raw_key);
                let lists = [&compared.wanted, &compared.gone, &compared.listed];
                if lists.iter().any(|list| !list.find(raw).is_empty()) {
                    return Ok(());
                }
                let Some(record) = carried(&scan, table, key, entry, value, &compared.settled)? else { return Ok(()) };
                weight += record.weight();
                batch.push(record);
                if weight >= self.batch_bytes / 2 {
                    weight = 0;
                    store.push(std::mem::take(&mut batch))?;
                }
                Ok(())
            })?;
            store.push(batch)?;
        }
        Ok(())
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
        let Counts { insert, update, relist, refused, keys } = &lane.counts;
        let relist = relist + refused + compared.settled_lost;
        let refused = refused + compared.still_refused;
        let expected = if self.manifest.is_some() { compared.expected } else { lane.arrived.len() as u64 };
        let moved = self.moved(table);
        let remove = compared.gone.len() as u64;
        let mut keys = keys.clone();
        let more = NAMED.saturating_sub(keys.len()).min(compared.gone.len());
        keys.extend((0..more).map(|index| compared.gone.key_text(index)));
        // A refused row counts twice here, as a change of the ledger and as what it is, so that all add up.
        let counted = insert + update + relist + refused + moved;
        let same = expected.cast_signed() - counted.cast_signed();
        Changes { insert: *insert, update: *update, remove, relist, same, refused, expected, moved, keys }
    }
}

fn fate_of(record: &Record) -> Fate {
    match (&record.action, record.before) {
        (Action::Write(_) | Action::Carry(_), None) => Fate::Insert,
        (Action::Write(_) | Action::Carry(_), Some(_)) => Fate::Update,
        (Action::Relist, _) => Fate::Relist,
        (Action::Refuse { .. }, _) => Fate::Refuse,
        (Action::Forget, _) => Fate::Same,
    }
}

/// A row of the old file that the new one keeps: as the primary has it, or cache-only; None for damage.
fn carried(
    scan: &ScanState,
    table: Table,
    key: &str,
    entry: Option<Entry<'_>>,
    value: Option<&[u8]>,
    settled: &[String],
) -> Outcome<Option<Record>> {
    let record = |source, action| Record { table, name: key.to_owned(), source, before: None, loss: None, action };
    let whole = |value: &[u8]| check_value(table, key, value) == ValueState::Whole;
    Ok(match (entry, value) {
        (Some(entry), _) if entry.flag == REFUSED => {
            if settled.iter().any(|name| name == key) {
                return Ok(None);
            }
            let (column, reason) = scan.reader.refusal(table, key)?;
            Some(record(entry.source, Action::Refuse { raw_key: entry.raw_key.to_vec(), column, reason }))
        }
        (Some(entry), Some(value)) if entry.flag == PROVED => {
            (value_digest(value) == entry.value).then(|| record(entry.source, Action::Write(value.to_vec())))
        }
        (_, Some(value)) if whole(value) => Some(record([0; 16], Action::Carry(value.to_vec()))),
        _ => None,
    })
}

fn forget(table: Table, name: &str) -> Record {
    Record { table, name: name.to_owned(), source: [0; 16], before: None, loss: None, action: Action::Forget }
}

/// One row of SQLite as values of its columns.
fn python_row(row: &Bound<'_, PyTuple>) -> PyResult<Vec<Value<'static>>> {
    row.iter().map(|value| python_value(&value)).collect()
}

fn python_value(value: &Bound<'_, PyAny>) -> PyResult<Value<'static>> {
    if value.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Value::Blob(Cow::Owned(bytes.as_bytes().to_vec())));
    }
    if let Ok(bytes) = value.cast::<PyByteArray>() {
        return Ok(Value::Text(Cow::Owned(bytes.to_vec())));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Value::Text(Cow::Owned(text.to_cow()?.into_owned().into_bytes())));
    }
    if value.is_instance_of::<PyInt>() {
        return Ok(Value::Integer(value.extract()?));
    }
    if value.is_instance_of::<PyFloat>() {
        return Ok(Value::Real(Cow::Owned(real_text(value.extract()?).into_bytes())));
    }
    Err(Fault::value(format!("no SQLite value: {}", value.get_type().name()?)).into())
}

/// Token of a listing that goes over all tables: `table` NUL `key`.
fn token(after: Option<&str>) -> Outcome<(usize, Option<String>)> {
    let Some(after) = after else { return Ok((0, None)) };
    let (table, key) = after.split_once('\0').ok_or_else(|| Fault::value("after must be table NUL key"))?;
    Ok((usize::from(table_named(table)?.number()), Some(key.to_owned())))
}

/// Tables from the token's on, each with the key to start behind.
fn from_token(after: Option<&str>) -> Outcome<impl Iterator<Item = (Table, Option<String>)>> {
    let (first, key) = token(after)?;
    let mut key = Some(key);
    Ok(Table::ALL.into_iter().skip(first).map(move |table| (table, key.take().flatten())))
}

/// Rows that arrive, proven, merged and waiting for the transaction.
#[pyclass(frozen, module = "storage_sync._native")]
pub struct Staging {
    core: Mutex<Core>,
    progress: Arc<Progress>,
}

impl Staging {
    pub fn with<T>(&self, work: impl FnOnce(&mut Core) -> Outcome<T>) -> Outcome<T> {
        work(&mut lock(&self.core))
    }

    fn detached<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut Core) -> Outcome<T> + Send) -> PyResult<T> {
        detached(py, || self.with(work))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = crate::panics::caught(|| self.with(Core::close));
    }
}

#[pymethods]
impl Staging {
    #[new]
    #[pyo3(signature = (scope, scan, comparison, *, path, sibling, batch_rows = 100, batch_bytes = 4 << 20, identity = Vec::new()))]
    #[expect(clippy::too_many_arguments, reason = "the signature is the contract's")]
    fn new(
        py: Python<'_>,
        scope: &Scope,
        scan: Option<&Scan>,
        comparison: Option<&Comparison>,
        path: PathBuf,
        sibling: bool,
        batch_rows: usize,
        batch_bytes: usize,
        identity: Vec<u8>,
    ) -> PyResult<Self> {
        let scope = scope.parts;
        let scan = scan.map(|scan| Arc::clone(&scan.state));
        let progress = Arc::new(Progress::default());
        let core = detached(py, || {
            let manifest = comparison.map(Comparison::manifest).transpose()?;
            if manifest.as_ref().is_some_and(|manifest| manifest.scope != scope) {
                return Err(Fault::value("the comparison was made for another scope"));
            }
            let lanes = Table::ALL.into_iter().map(|table| {
                let wanted = manifest.as_ref().map_or(0, |manifest| manifest.table(table).wanted.len());
                Lane { states: vec![WAITING; wanted], ..Lane::default() }
            });
            let mut core = Core {
                scope,
                scan,
                snapshot: manifest.is_none(),
                lanes: lanes.collect(),
                manifest,
                waiting: Waiting::Memory(BTreeMap::new()),
                batch: Vec::new(),
                batch_weight: 0,
                memory_weight: 0,
                progress: Arc::clone(&progress),
                response: None,
                sealed: false,
                finished: None,
                path,
                sibling,
                batch_rows: batch_rows.max(1),
                batch_bytes,
                identity,
            };
            core.open()?;
            Ok(core)
        })?;
        Ok(Self { core: Mutex::new(core), progress })
    }

    fn begin(&self, py: Python<'_>, steps: Vec<PyRef<'_, StepSpec>>) -> PyResult<()> {
        let steps = steps.iter().map(|step| **step).collect();
        let response = Response { body: Body::new(), steps, current: None };
        self.detached(py, |core| {
            if core.sealed {
                return Err(Fault::value("the staging is sealed"));
            }
            core.response = Some(response);
            Ok(())
        })
    }

    fn feed(&self, py: Python<'_>, chunk: &[u8]) -> PyResult<()> {
        self.detached(py, |core| {
            let mut response = core.response.take().ok_or_else(|| Fault::value("no response was begun"))?;
            let Response { body, steps, current } = &mut response;
            // A failed response is over: it is not put back.
            body.feed(chunk, &mut |event| core.take(current, steps, event))?;
            core.response = Some(response);
            Ok(())
        })
    }

    fn feed_rows(&self, py: Python<'_>, table: &str, rows: Vec<Bound<'_, PyTuple>>) -> PyResult<()> {
        let table = table_named(table)?;
        let rows = rows.iter().map(python_row).collect::<PyResult<Vec<_>>>()?;
        self.detached(py, move |core| {
            if core.sealed {
                return Err(Fault::value("the staging is sealed"));
            }
            for row in rows {
                core.row(&assemble(table, row, false)?)?;
            }
            Ok(())
        })
    }

    fn end(&self, py: Python<'_>) -> PyResult<()> {
        self.detached(py, |core| {
            let response = core.response.take().ok_or_else(|| Fault::value("no response was begun"))?;
            let Response { body, steps, mut current } = response;
            body.finish(&mut |event| core.take(&mut current, &steps, event))
        })
    }

    #[getter]
    fn rows(&self) -> u64 {
        self.progress.rows.load(Ordering::Relaxed)
    }

    #[getter]
    fn resumed_rows(&self) -> u64 {
        self.progress.resumed.load(Ordering::Relaxed)
    }

    #[getter]
    fn checkpoint_rows(&self) -> u64 {
        self.resumed_rows() + self.progress.durable.load(Ordering::Relaxed)
    }

    #[getter]
    fn changes(&self, py: Python<'_>) -> PyResult<BTreeMap<&'static str, Py<Changes>>> {
        let changes: Vec<(&'static str, Changes)> = self
            .detached(py, |core| Ok(core.scope.tables().map(|table| (table.name(), core.changes(table))).collect()))?;
        changes.into_iter().map(|(name, changes)| Ok((name, Py::new(py, changes)?))).collect()
    }

    #[getter]
    fn primary_rows(&self, py: Python<'_>) -> PyResult<BTreeMap<&'static str, u64>> {
        self.detached(py, |core| {
            let of = |table: Table| {
                let counted = core.lanes[usize::from(table.number())].primary_rows;
                counted.or_else(|| core.manifest.as_deref().map(|manifest| manifest.table(table).primary_rows))
            };
            Ok(core.scope.tables().filter_map(|table| of(table).map(|rows| (table.name(), rows))).collect())
        })
    }

    #[getter]
    fn staged_bytes(&self) -> u64 {
        self.progress.staged_bytes.load(Ordering::Relaxed)
    }

    fn pending_keys(&self, py: Python<'_>, table: &str, first: usize, count: usize) -> PyResult<Vec<String>> {
        let table = table_named(table)?;
        self.detached(py, |core| {
            let manifest = core.manifest.clone().ok_or_else(|| Fault::value("a snapshot has no comparison"))?;
            let wanted = &manifest.table(table).wanted;
            let hex = |index: usize| hex_upper(&wanted.key(index));
            Ok(match &core.lane(table).pending {
                Some(places) => places.iter().skip(first).take(count).map(|index| hex(*index as usize)).collect(),
                None => (first..wanted.len()).take(count).map(hex).collect(),
            })
        })
    }

    fn staged<'py>(
        &self,
        py: Python<'py>,
        table: &str,
        after: Option<String>,
        limit: usize,
    ) -> PyResult<Vec<(String, Bound<'py, PyBytes>)>> {
        let table = table_named(table)?;
        let rows = self.detached(py, |core| {
            core.require_sealed()?;
            core.staged(table, after.as_deref(), limit)
        })?;
        Ok(rows.into_iter().map(|(key, value)| (key, PyBytes::new(py, &value))).collect())
    }

    fn moved_keys(&self, py: Python<'_>, table: &str, limit: usize) -> PyResult<Vec<String>> {
        let table = table_named(table)?;
        self.detached(py, |core| {
            let manifest = core.manifest.clone();
            let sealed = core.sealed;
            let lane = core.lane(table);
            let mut keys: Vec<String> = Vec::new();
            if let Some(manifest) = manifest {
                let wanted = &manifest.table(table).wanted;
                let open = |state: u8| state == MOVED || (sealed && state == WAITING);
                let places = lane.states.iter().enumerate().filter(|(_, state)| open(**state));
                keys.extend(places.take(limit).map(|(index, _)| hex_upper(&wanted.key(index))));
            }
            Ok(keys)
        })
    }

    fn seal(&self, py: Python<'_>) -> PyResult<()> {
        self.detached(py, Core::seal)
    }

    #[getter]
    fn root(&self, py: Python<'_>) -> PyResult<String> {
        self.detached(py, |core| {
            let manifest = core.manifest.as_deref().ok_or_else(|| Fault::value("the staging is not sealed"))?;
            Ok(manifest.root.clone())
        })
    }

    fn refused(
        &self,
        py: Python<'_>,
        after: Option<String>,
        limit: usize,
    ) -> PyResult<Vec<(String, String, String, String)>> {
        self.detached(py, |core| core.refused(after.as_deref(), limit))
    }

    fn replaced<'py>(&self, py: Python<'py>, after: Option<String>, limit: usize) -> PyResult<Vec<PyLost<'py>>> {
        let rows = self.detached(py, |core| core.replaced(after.as_deref(), limit))?;
        let rows =
            rows.into_iter().map(|(table, key, old, why)| (table.name().to_owned(), key, PyBytes::new(py, &old), why));
        Ok(rows.collect())
    }

    fn removals(&self, py: Python<'_>, table: &str, after: Option<&str>, limit: usize) -> PyResult<Vec<String>> {
        let table = table_named(table)?;
        self.detached(py, |core| {
            let gone = &core.require_sealed()?.table(table).gone;
            let first = after.map_or(0, |after| gone.find(after.as_bytes()).end);
            Ok((first..gone.len()).take(limit).map(|index| gone.key_text(index)).collect())
        })
    }

    fn keep_removed(&self, py: Python<'_>, table: &str, keys: Vec<String>) -> PyResult<()> {
        let table = table_named(table)?;
        self.detached(py, |core| {
            core.lane(table).kept.extend(keys);
            Ok(())
        })
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.detached(py, Core::close)
    }

    fn discard(&self, py: Python<'_>) -> PyResult<()> {
        self.detached(py, Core::discard)
    }
}

impl Core {
    fn staged(&self, table: Table, after: Option<&str>, limit: usize) -> Outcome<Vec<(String, Vec<u8>)>> {
        let mut rows = Vec::new();
        if let (Waiting::File(store), true) = (&self.waiting, self.sibling) {
            let transaction = Quiet::new(store.database()?.begin_read()?);
            let open = transaction.open_table(crate::tables::byte_table(table.name()))?;
            let start = after.map_or(Limit::Unbounded, Limit::Excluded);
            for row in ReadableTable::range::<&str>(&open, (start, Limit::Unbounded))?.take(limit) {
                let (key, value) = row?;
                rows.push((key.value().to_owned(), value.value().to_vec()));
            }
            return Ok(rows);
        }
        self.records(table, after, |record| {
            if let Action::Write(value) = record.action {
                rows.push((record.name, value));
            }
            Ok(rows.len() < limit)
        })?;
        Ok(rows)
    }

    /// Refused rows of the manifest, whether judged in this run or in an earlier one.
    fn refused(&self, after: Option<&str>, limit: usize) -> Outcome<Vec<(String, String, String, String)>> {
        self.require_sealed()?;
        let mut rows = Vec::new();
        for (table, key) in from_token(after)? {
            let mut found = self.refused_now(table)?;
            self.refused_before(table, &mut found)?;
            let start = key.map_or(Limit::Unbounded, Limit::Excluded);
            for (name, (column, reason)) in found.range::<String, _>((start, Limit::Unbounded)) {
                if rows.len() == limit {
                    return Ok(rows);
                }
                rows.push((table.name().to_owned(), name.clone(), column.clone(), reason.clone()));
            }
        }
        Ok(rows)
    }

    /// Remember what will be asked about a sibling once its file is closed.
    pub fn remember(&mut self) -> Outcome<()> {
        let tables = Table::ALL.into_iter().map(|table| self.refused_now(table)).collect::<Outcome<Vec<_>>>()?;
        self.finished = Some(tables);
        Ok(())
    }

    fn refused_now(&self, table: Table) -> Outcome<Refusals> {
        if let Some(tables) = &self.finished {
            return Ok(tables[usize::from(table.number())].clone());
        }
        let mut found = BTreeMap::new();
        if let (Waiting::File(store), true) = (&self.waiting, self.sibling) {
            let transaction = Quiet::new(store.database()?.begin_read()?);
            let reader = Quiet::new(Reader::new(&transaction)?);
            reader.ledger(table, |key, entry| {
                if entry.flag == REFUSED {
                    found.insert(key.to_owned(), reader.refusal(table, key)?);
                }
                Ok(())
            })?;
        } else {
            self.records(table, None, |record| {
                if let Action::Refuse { column, reason, .. } = record.action {
                    found.insert(record.name, (column, reason));
                }
                Ok(true)
            })?;
        }
        Ok(found)
    }

    fn refused_before(&self, table: Table, found: &mut Refusals) -> Outcome<()> {
        let Some(scan) = self.scan.as_ref().filter(|_| !self.sibling) else { return Ok(()) };
        let compared = self.require_sealed()?.table(table);
        if compared.still_refused == 0 {
            return Ok(());
        }
        scan.reader.ledger(table, |key, entry| {
            if entry.flag == REFUSED && !compared.settled.iter().any(|name| name == key) && !found.contains_key(key) {
                found.insert(key.to_owned(), scan.reader.refusal(table, key)?);
            }
            Ok(())
        })
    }

    /// Bytes of the cache that the transaction takes away and the primary cannot give back.
    fn replaced(&self, after: Option<&str>, limit: usize) -> Outcome<Vec<Lost>> {
        let manifest = self.require_sealed()?;
        let mut rows = Vec::new();
        let Some(scan) = self.scan.as_ref() else { return Ok(rows) };
        for (table, key) in from_token(after)? {
            let lane = &self.lanes[usize::from(table.number())];
            let gone = &manifest.table(table).gone;
            let first =
                key.as_ref().map_or(0, |key| gone.find(key.as_bytes()).end.max(gone.lower_bound(key.as_bytes())));
            let mut removals = (first..gone.len()).map(|index| gone.key_text(index)).peekable();
            let mut found: Vec<Lost> = Vec::new();
            let room = limit - rows.len();
            if !self.sibling {
                self.records(table, key.as_deref(), |record| {
                    if let (Some(loss), Some(old)) = (record.loss, scan.reader.value(table, &record.name)?) {
                        found.push((table, record.name, old, loss.text()));
                    }
                    Ok(found.len() < room)
                })?;
            }
            let mut taken = 0;
            while taken < room {
                let Some(name) = removals.next() else { break };
                let Some(old) = scan.reader.value(table, &name)? else { continue };
                let kept = lane.kept.contains(&name);
                let reason = if !kept {
                    "gone from the primary"
                } else if only_projection(table, &old).unwrap_or(false) {
                    continue;
                } else {
                    "left the window with local fields"
                };
                found.push((table, name, old, reason));
                taken += 1;
            }
            found.sort_by(|a, b| a.1.cmp(&b.1));
            found.truncate(room);
            rows.extend(found);
            if rows.len() >= limit {
                break;
            }
        }
        Ok(rows)
    }
}
