//! The judged content of one file: every value hashed and compared with the ledger (docs/protocol.md#invariants).

use crate::errors::{Fault, Outcome};
use crate::keys::{Bucket, Digest, KeyList, bucket_of, hex_upper};
use crate::ledger::{CACHE_ONLY, Entry, PROVED, REFUSED, ledger_bounds, ledger_key, value_digest};
use crate::memory::give_back;
use crate::newest::Newest;
use crate::open::{CACHE_BYTES, Mode, OpenFile};
use crate::panics::{Quiet, detached};
use crate::scope::{Scope, ScopeParts, TABLES, bucketize, holds, table_named, table_root};
use crate::tables::{INDEX, LEDGER, META, META_DIGEST, QUARANTINE, ReadBytes, byte_table, open_if};
use crate::vectors::{Vectors, is_bad};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use redb::{AccessGuard, ReadTransaction, ReadableTable, TableError, TableHandle};
use std::cmp::Ordering;
use std::ops::Bound as Limit;
use std::sync::Arc;
use storage_sync_codec::{Algorithm, Owner, Table, ValueState, check_value, embedding_owner};

/// How many keys of differing rows a scan names.
const NAMED: usize = 20;
/// A table of at most this many listed rows is one entry of the known buckets.
const SMALL_TABLE: u64 = 64;

/// Bytes of `:episode:` and a UUID, the right of a scoped key.
const OWNER_PART: usize = 45;

/// The tables of one file, open for reading.
pub struct Reader {
    data: [Option<ReadBytes>; TABLES],
    ledger: Option<ReadBytes>,
    quarantine: Option<ReadBytes>,
    /// What the ledger's source digests were made with.
    algorithm: Option<Algorithm>,
}

type Range<'a> = redb::Range<'a, &'static str, &'static [u8]>;
type Guards<'a> = (AccessGuard<'a, &'static str>, AccessGuard<'a, &'static [u8]>);

/// What the file says about one key.
pub enum Held {
    Nothing,
    /// Listed as proved and the bytes are ours.
    Proved {
        source: Digest,
        value: Vec<u8>,
    },
    /// Listed as proved, other bytes that decode whole.
    Drifted {
        value: Vec<u8>,
    },
    /// In the file but damaged: bytes that do not decode, or hold another id. `ours`: listed as proved.
    Rotten {
        value: Vec<u8>,
        ours: bool,
    },
    /// Never proved, decodes whole.
    Unlisted {
        value: Vec<u8>,
    },
    /// Refused at the last proof; a value may be there anyway (cache-only).
    Refused {
        source: Digest,
        value: Option<Vec<u8>>,
    },
}

impl Held {
    /// The bytes in the file.
    pub fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Nothing => None,
            Self::Proved { value, .. }
            | Self::Drifted { value }
            | Self::Rotten { value, .. }
            | Self::Unlisted { value } => Some(value),
            Self::Refused { value, .. } => value.as_deref(),
        }
    }

    /// The bytes that a new row is merged with: not damaged ones.
    pub fn mergeable(&self) -> Option<&[u8]> {
        self.value().filter(|_| !matches!(self, Self::Rotten { .. }))
    }

    /// Whether a proof once listed what the file holds.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Proved { .. } | Self::Drifted { .. } | Self::Rotten { ours: true, .. })
    }
}

impl Reader {
    pub fn new(transaction: &ReadTransaction) -> Outcome<Self> {
        let mut data = [const { None }; TABLES];
        for table in Table::ALL {
            data[usize::from(table.number())] = open_if(transaction, byte_table(table.name()))?;
        }
        let algorithm = match open_if(transaction, META)? {
            Some(meta) => meta
                .get(META_DIGEST)?
                .and_then(|name| std::str::from_utf8(name.value()).ok().and_then(Algorithm::from_name)),
            None => None,
        };
        let (ledger, quarantine) = (open_if(transaction, LEDGER)?, open_if(transaction, QUARANTINE)?);
        Ok(Self { data, ledger, quarantine, algorithm })
    }

    pub fn table(&self, table: Table) -> Option<&ReadBytes> {
        self.data[usize::from(table.number())].as_ref()
    }

    pub fn value(&self, table: Table, key: &str) -> Outcome<Option<Vec<u8>>> {
        let Some(open) = self.table(table) else { return Ok(None) };
        Ok(ReadableTable::get(open, key)?.map(|value| value.value().to_vec()))
    }

    /// Whether the ledger's source digests can be compared with those of `algorithm`.
    pub fn speaks(&self, algorithm: Algorithm) -> bool {
        self.algorithm == Some(algorithm)
    }

    /// What a ledger entry says. That a row was rejected is only believed where the reason is kept, for the same row of
    /// the primary; else the row counts as not listed, so that it is asked for again.
    fn listed<'a>(&self, ledger_key: &str, entry: &'a [u8]) -> Outcome<Option<Entry<'a>>> {
        let Some(entry) = Entry::decode(entry) else { return Ok(None) };
        if entry.flag != REFUSED {
            return Ok(Some(entry));
        }
        let Some(quarantine) = &self.quarantine else { return Ok(None) };
        let Some(kept) = ReadableTable::get(quarantine, ledger_key)? else { return Ok(None) };
        let told = serde_json::from_slice::<serde_json::Value>(kept.value()).ok();
        let source = told.as_ref().and_then(|told| told.get("source_digest")?.as_str());
        Ok(Some(entry).filter(|entry| source == Some(hex_upper(&entry.source).as_str())))
    }

    /// Whether the ledger has an entry of this name.
    pub fn is_listed(&self, table: Table, name: &str) -> Outcome<bool> {
        let Some(ledger) = &self.ledger else { return Ok(false) };
        Ok(ReadableTable::get(ledger, ledger_key(table.name(), name).as_str())?.is_some())
    }

    /// Column and reason of a row that was refused before.
    pub fn refusal(&self, table: Table, name: &str) -> Outcome<(String, String)> {
        let Some(quarantine) = &self.quarantine else { return Ok(Default::default()) };
        let found = ReadableTable::get(quarantine, ledger_key(table.name(), name).as_str())?;
        let entry = found.and_then(|json| serde_json::from_slice::<serde_json::Value>(json.value()).ok());
        let field = |name: &str| {
            entry.as_ref().and_then(|entry| entry.get(name)?.as_str().map(str::to_owned)).unwrap_or_default()
        };
        Ok((field("column"), field("reason")))
    }

    pub fn held(&self, table: Table, key: &str) -> Outcome<Held> {
        let value = self.value(table, key)?;
        let name = ledger_key(table.name(), key);
        let found = match &self.ledger {
            Some(ledger) => ReadableTable::get(ledger, name.as_str())?,
            None => None,
        };
        let entry = match &found {
            Some(guard) => self.listed(&name, guard.value())?,
            None => None,
        };
        Ok(match (entry, value) {
            (Some(entry), value) if entry.flag == REFUSED => Held::Refused { source: entry.source, value },
            (_, None) => Held::Nothing,
            (Some(entry), Some(value)) if entry.flag == PROVED => {
                if value_digest(&value) == entry.value {
                    Held::Proved { source: entry.source, value }
                } else if check_value(table, key, &value) == ValueState::Whole {
                    Held::Drifted { value }
                } else {
                    Held::Rotten { value, ours: true }
                }
            }
            (_, Some(value)) => {
                if check_value(table, key, &value) == ValueState::Whole {
                    Held::Unlisted { value }
                } else {
                    Held::Rotten { value, ours: false }
                }
            }
        })
    }

    fn data_range(&self, table: Table) -> Outcome<Option<Range<'_>>> {
        Ok(match self.table(table) {
            Some(open) => Some(ReadableTable::range::<&str>(open, ..)?),
            None => None,
        })
    }

    fn ledger_range(&self, table: Table) -> Outcome<Option<Range<'_>>> {
        let Some(ledger) = &self.ledger else { return Ok(None) };
        let (low, high) = ledger_bounds(table.name());
        Ok(Some(ReadableTable::range::<&str>(ledger, low.as_str()..high.as_str())?))
    }

    /// Visit the rows of a table together with their ledger entries, in key order.
    pub fn join(
        &self,
        table: Table,
        mut visit: impl FnMut(&str, Option<Entry<'_>>, Option<&[u8]>) -> Outcome<()>,
    ) -> Outcome<()> {
        let skip = table.name().len() + 1;
        let mut rows = self.data_range(table)?;
        let mut entries = self.ledger_range(table)?;
        let mut row = step(&mut rows)?;
        let mut entry = step(&mut entries)?;
        loop {
            let order = match (&row, &entry) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(row), Some(entry)) => row.0.value().cmp(&entry.0.value()[skip..]),
            };
            if order == Ordering::Less {
                if let Some((key, value)) = &row {
                    visit(key.value(), None, Some(value.value()))?;
                }
            } else if let Some((key, listed)) = &entry {
                let value = if order == Ordering::Equal { row.as_ref().map(|row| row.1.value()) } else { None };
                visit(&key.value()[skip..], self.listed(key.value(), listed.value())?, value)?;
            }
            if order != Ordering::Greater {
                row = step(&mut rows)?;
            }
            if order != Ordering::Less {
                entry = step(&mut entries)?;
            }
        }
    }

    /// Visit one key as `join` visits all of them; not at all where nothing is known of it.
    pub fn one(
        &self,
        table: Table,
        key: &str,
        visit: impl FnOnce(&str, Option<Entry<'_>>, Option<&[u8]>) -> Outcome<()>,
    ) -> Outcome<()> {
        let name = ledger_key(table.name(), key);
        let value = self.value(table, key)?;
        let entry = match &self.ledger {
            Some(ledger) => ReadableTable::get(ledger, name.as_str())?,
            None => None,
        };
        match &entry {
            Some(listed) => visit(key, self.listed(&name, listed.value())?, value.as_deref()),
            None if value.is_some() => visit(key, None, value.as_deref()),
            None => Ok(()),
        }
    }

    /// Visit the ledger entries of a table alone.
    pub fn ledger(&self, table: Table, mut visit: impl FnMut(&str, Entry<'_>) -> Outcome<()>) -> Outcome<()> {
        let skip = table.name().len() + 1;
        let mut entries = self.ledger_range(table)?;
        while let Some((key, listed)) = step(&mut entries)? {
            if let Some(entry) = self.listed(key.value(), listed.value())? {
                visit(&key.value()[skip..], entry)?;
            }
        }
        Ok(())
    }
}

fn step<'a>(range: &mut Option<Range<'a>>) -> Outcome<Option<Guards<'a>>> {
    match range.as_mut().and_then(Iterator::next) {
        Some(row) => Ok(Some(row?)),
        None => Ok(None),
    }
}

/// Counts of one table.
#[pyclass(frozen, module = "storage_sync._native")]
#[derive(Clone, Default)]
pub struct ScanTable {
    #[pyo3(get)]
    rows: u64,
    #[pyo3(get)]
    listed: u64,
    #[pyo3(get)]
    refused: u64,
    #[pyo3(get)]
    cache_only: u64,
    #[pyo3(get)]
    drifted: u64,
    #[pyo3(get)]
    rotten: u64,
    #[pyo3(get)]
    absent: u64,
    #[pyo3(get)]
    altered: u64,
    #[pyo3(get)]
    undecodable: u64,
    #[pyo3(get)]
    payload_bytes: u64,
    #[pyo3(get)]
    differing_keys: Vec<String>,
    #[pyo3(get)]
    root: String,
    buckets: Vec<(Bucket, Digest)>,
    /// Buckets of differing rows: nothing may be concluded from their digests.
    dirty: Vec<Bucket>,
    matching: u64,
    /// Keys whose ledger entry does not say what the file holds, where that concerns rows that only the cache has.
    unsaid: u64,
}

#[pymethods]
impl ScanTable {
    fn __repr__(&self) -> String {
        format!(
            "<ScanTable {} rows, {} listed, {} refused, {} cache-only>",
            self.rows, self.listed, self.refused, self.cache_only
        )
    }
}

impl ScanTable {
    /// Count a row that only the cache holds and that was seen before.
    fn see_cache_only(&mut self, table: Table, key: &str, entry: &Entry<'_>, value: Option<&[u8]>) {
        self.see_unlisted(table, key, value);
        // an entry without a digest is of any value
        self.unsaid += u64::from(entry.value == Digest::default() || value.is_none());
        if value.is_none_or(|value| !entry.is_of(value)) {
            self.altered += 1;
            self.unsaid += u64::from(value.is_some());
            self.name(key);
        }
    }

    fn name(&mut self, key: &str) {
        if self.differing_keys.len() < NAMED {
            self.differing_keys.push(key.to_owned());
        }
    }

    fn see_unlisted(&mut self, table: Table, key: &str, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.cache_only += 1;
            self.undecodable += u64::from(check_value(table, key, value) != ValueState::Whole);
        }
    }

    /// Count a row that the ledger lists as proved; whether its bytes are those that we stored.
    fn see_listed(&mut self, table: Table, key: &str, entry: &Entry<'_>, value: Option<&[u8]>) -> bool {
        self.listed += 1;
        match value {
            None => self.absent += 1,
            Some(value) if value_digest(value) == entry.value => return true,
            Some(value) if check_value(table, key, value) == ValueState::Whole => self.drifted += 1,
            Some(_) => self.rotten += 1,
        }
        self.name(key);
        self.dirty.push(bucket_of(key.as_bytes()));
        false
    }

    /// The same counts with the root over these rows, which come in key order.
    fn with_rows(&self, algorithm: Option<Algorithm>, rows: Vec<(Bucket, Digest)>) -> Self {
        let matching = rows.len() as u64;
        let buckets = algorithm.map_or_else(Vec::new, |algorithm| bucketize(algorithm, rows));
        let root = algorithm.map_or_else(String::new, |algorithm| table_root(algorithm, buckets.iter().copied()));
        Self { buckets, root, matching, ..self.clone() }
    }

    /// Buckets whose digests stand for rows that match, in order.
    pub fn buckets(&self) -> &[(Bucket, Digest)] {
        &self.buckets
    }

    /// Whether some listed row of this bucket is not what we stored.
    pub fn is_dirty(&self, bucket: Bucket) -> bool {
        self.dirty.binary_search(&bucket).is_ok()
    }

    /// Root of a table that is told in one entry; None for one without rows.
    pub fn whole_root(&self) -> Option<&str> {
        (!self.root.is_empty()).then_some(self.root.as_str())
    }

    /// Whether the ledger says of each row that only the cache has that it is one, and of no other.
    pub fn says_cache_only(&self) -> bool {
        self.unsaid == 0
    }

    /// Rows that match, refused ones included.
    pub fn matching(&self) -> u64 {
        self.matching
    }

    /// Root over the rows that match; '' for none.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Whether the table is told in one entry: its root.
    pub fn is_whole(&self) -> bool {
        self.dirty.is_empty() && self.matching <= SMALL_TABLE
    }
}

/// A scan's result and the file that it was made of.
pub struct ScanState {
    tables: Vec<ScanTable>,
    /// The embeddings without those of patterns, when there are such.
    unowned: Option<ScanTable>,
    vectors: Vectors,
    /// `recommendation_episode_index`, against all sessions of the file.
    index: ScanTable,
    // Fields drop in this order: the tables before the file that they read.
    pub reader: Quiet<Reader>,
    _file: Quiet<Arc<OpenFile>>,
}

impl ScanState {
    pub fn run(file: Arc<OpenFile>) -> Outcome<Self> {
        let transaction = Quiet::new(file.begin_read()?);
        let reader = Quiet::new(Reader::new(&transaction)?);
        let mut vectors = Vectors::default();
        let mut tables = Vec::with_capacity(TABLES);
        let mut unowned = None;
        for table in Table::ALL {
            let (scan, narrow) = judge(&reader, table, &mut vectors)?;
            tables.push(scan);
            unowned = narrow.or(unowned);
        }
        vectors.settle();
        let index = judge_index(&transaction, &reader)?;
        give_back();
        Ok(Self { tables, unowned, vectors, index, reader, _file: Quiet::new(file) })
    }

    pub fn table(&self, table: Table) -> &ScanTable {
        &self.tables[usize::from(table.number())]
    }

    /// Whether every listed row, and the derived index, is what we stored.
    pub fn is_clean(&self) -> bool {
        let tables = self.tables.iter().chain([&self.index]);
        tables.into_iter().all(|table| table.drifted + table.rotten + table.absent == 0)
    }

    /// Entries of the derived index that are not what the sessions of the file say.
    pub fn index_drifted(&self) -> u64 {
        self.index.drifted
    }

    /// The table as the scope sees it: without patterns, their embeddings are out of it.
    pub fn table_in(&self, patterns: bool, table: Table) -> &ScanTable {
        match &self.unowned {
            Some(narrow) if table == Table::Embeddings && !patterns => narrow,
            _ => self.table(table),
        }
    }

    /// Whether a source key is in the scope; what a switch leaves out stays as it is.
    pub fn in_scope(&self, scope: &ScopeParts, table: Table, key: &[u8]) -> Outcome<bool> {
        if !scope.includes(table) || !holds(scope.part, bucket_of(key)) {
            return Ok(false);
        }
        Ok(scope.patterns || table != Table::Embeddings || !owned_by_pattern(&self.reader, key)?)
    }

    /// Root over the rows that match; it proves nothing when the ledger was made with another digest.
    pub fn root(&self, scope: &ScopeParts) -> String {
        scope.root(|table| {
            let scan = self.table_in(scope.patterns, table);
            (scan.matching, scan.root.clone())
        })
    }
}

/// Whether an embedding's key names a pattern; a bare UUID does when only a pattern has it.
fn owned_by_pattern(reader: &Reader, key: &[u8]) -> Outcome<bool> {
    let Ok(text) = std::str::from_utf8(key) else { return Ok(false) };
    let has = |table: Table| -> Outcome<bool> {
        match reader.table(table) {
            Some(open) => Ok(ReadableTable::get(open, text)?.is_some()),
            None => Ok(false),
        }
    };
    match embedding_owner(text) {
        Owner::Pattern(_) => Ok(true),
        Owner::Bare(_) => Ok(has(Table::Patterns)? && !has(Table::Episodes)?),
        Owner::Episode(_) | Owner::None => Ok(false),
    }
}

/// Whether a proof comes upon an embedding of this key by itself, as long as it is expected (`statements._reaching`): by
/// its owner, or because ids like it are all read. An owner that is gone leaves a bare UUID without one.
fn is_reached(key: &str) -> bool {
    match embedding_owner(key) {
        Owner::Episode(_) | Owner::Pattern(_) => {
            let scope = &key[..key.len().saturating_sub(OWNER_PART)];
            key.starts_with("episode_")
                || key.starts_with("pattern_")
                || scope.starts_with("emb_") && ![":episode:", ":pattern:"].iter().any(|mark| scope.contains(mark))
        }
        Owner::Bare(_) => false,
        Owner::None => {
            let hexadecimal = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
            let start = key.as_bytes();
            !(key.starts_with("emb_") || start.len() > 1 && start[..2].iter().all(hexadecimal))
        }
    }
}

/// What the ledger proves of one table, gathered in the order of the file.
#[derive(Default)]
struct Proven {
    rows: Vec<(Bucket, Digest)>,
    /// Places in `rows` of embeddings that patterns own.
    owned: Vec<usize>,
    refused: KeyList,
}

/// Count one table; for embeddings with owners among the patterns also the table without those.
fn judge(reader: &Reader, table: Table, vectors: &mut Vectors) -> Outcome<(ScanTable, Option<ScanTable>)> {
    let mut scan = ScanTable::default();
    let mut proven = Proven::default();
    reader.join(table, |key, entry, value| {
        if let Some(value) = value {
            scan.rows += 1;
            scan.payload_bytes += value.len() as u64;
            vectors.see_owner(table, key.as_bytes());
            if table == Table::Embeddings {
                vectors.see_embedding(key, value);
            }
        }
        match entry {
            None => {
                scan.unsaid += 1;
                scan.see_unlisted(table, key, value);
            }
            Some(entry) if entry.flag == CACHE_ONLY => scan.see_cache_only(table, key, &entry, value),
            Some(entry) if entry.flag == REFUSED => {
                scan.refused += 1;
                // A row of that key which is in the file anyway was not written by us.
                scan.cache_only += u64::from(value.is_some());
                proven.refused.push(entry.raw_key, entry.source, 0);
            }
            Some(entry) => {
                if scan.see_listed(table, key, &entry, value) {
                    if table == Table::Embeddings && owned_by_pattern(reader, key.as_bytes())? {
                        proven.owned.push(proven.rows.len());
                    }
                    proven.rows.push((bucket_of(key.as_bytes()), entry.source));
                }
            }
        }
        Ok(())
    })?;
    scan.dirty.sort_unstable();
    scan.dirty.dedup();
    if proven.refused.is_empty() {
        let narrow = (!proven.owned.is_empty()).then(|| {
            let mut owned = proven.owned.iter().copied().peekable();
            let rows = proven.rows.iter().enumerate().filter(|(index, _)| owned.next_if_eq(index).is_none());
            let rows: Vec<_> = rows.map(|(_, row)| *row).collect();
            scan.with_rows(reader.algorithm, rows)
        });
        let whole = scan.with_rows(reader.algorithm, proven.rows);
        return Ok((whole, narrow));
    }
    let owned = !proven.owned.is_empty();
    let all = in_key_order(reader, table, proven.refused)?;
    let mut narrow = None;
    if owned {
        let mut rows = Vec::new();
        for index in 0..all.len() {
            if !owned_by_pattern(reader, &all.key(index))? {
                rows.push((all.bucket(index), all.digest(index)));
            }
        }
        narrow = Some(scan.with_rows(reader.algorithm, rows));
    }
    let rows = (0..all.len()).map(|index| (all.bucket(index), all.digest(index))).collect();
    Ok((scan.with_rows(reader.algorithm, rows), narrow))
}

/// Count the derived index: it must name each episode's newest session and no other episode.
fn judge_index(transaction: &ReadTransaction, reader: &Reader) -> Outcome<ScanTable> {
    let mut newest = Newest::default();
    let mut sessions = reader.data_range(Table::RecommendationSessions)?;
    while let Some((_, value)) = step(&mut sessions)? {
        newest.see(value.value());
    }
    let index = match transaction.open_table(INDEX) {
        Ok(table) => Some(table),
        // A table of another type is told by its type; here it is as if there were none.
        Err(TableError::TableDoesNotExist(_) | TableError::TableTypeMismatch { .. }) => None,
        Err(error) => return Err(Fault::from(error)),
    };
    let found = newest.against(index.as_ref())?;
    Ok(ScanTable {
        rows: found.rows,
        drifted: found.count(),
        differing_keys: found.keys(NAMED),
        ..ScanTable::default()
    })
}

/// Rejected rows are listed under a name that need not sort as their source key: order all rows by it.
fn in_key_order(reader: &Reader, table: Table, mut all: KeyList) -> Outcome<KeyList> {
    reader.join(table, |key, entry, value| {
        if let (Some(entry), Some(value)) = (entry, value)
            && entry.flag == PROVED
            && value_digest(value) == entry.value
        {
            all.push(key.as_bytes(), entry.source, 0);
        }
        Ok(())
    })?;
    all.sort();
    Ok(all)
}

/// The judged content of one private copy.
#[pyclass(frozen, module = "storage_sync._native")]
pub struct Scan {
    pub state: Arc<ScanState>,
}

impl Scan {
    pub fn new(state: ScanState) -> Self {
        Self { state: Arc::new(state) }
    }
}

#[pymethods]
impl Scan {
    #[getter]
    fn tables<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for table in Table::ALL {
            dict.set_item(table.name(), Bound::new(py, self.state.table(table).clone())?)?;
        }
        dict.set_item(INDEX.name(), Bound::new(py, self.state.index.clone())?)?;
        Ok(dict)
    }

    #[getter]
    fn payload_bytes(&self) -> u64 {
        self.state.tables.iter().map(|table| table.payload_bytes).sum()
    }

    #[getter]
    fn clean(&self) -> bool {
        self.state.is_clean()
    }

    #[getter]
    fn altered(&self) -> u64 {
        self.state.tables.iter().map(|table| table.altered).sum()
    }

    #[getter]
    fn index_drifted(&self) -> u64 {
        self.state.index_drifted()
    }

    #[pyo3(signature = (limit = NAMED))]
    fn orphaned_embeddings(&self, limit: usize) -> (usize, Vec<String>) {
        self.state.vectors.orphans(limit)
    }

    #[pyo3(signature = (dimension, limit = NAMED))]
    fn bad_vectors(&self, py: Python<'_>, dimension: Option<usize>, limit: usize) -> PyResult<(usize, Vec<String>)> {
        let vectors = &self.state.vectors;
        let wanted = dimension.or_else(|| vectors.most_frequent());
        let Some(wanted) = wanted.filter(|wanted| vectors.has_other_than(*wanted)) else {
            return Ok(vectors.broken(limit));
        };
        detached(py, || {
            let mut count = 0;
            let mut keys = Vec::new();
            let mut rows = self.state.reader.data_range(Table::Embeddings)?;
            while let Some((key, value)) = step(&mut rows)? {
                if is_bad(value.value(), Some(wanted)) {
                    count += 1;
                    if keys.len() < limit {
                        keys.push(key.value().to_owned());
                    }
                }
            }
            Ok((count, keys))
        })
    }

    fn beside_keys(&self, py: Python<'_>, scope: &Scope) -> PyResult<Vec<String>> {
        let scope = scope.parts;
        detached(py, || {
            let mut keys = Vec::new();
            self.state.reader.ledger(Table::Embeddings, |key, entry| {
                let raw = entry.source_key(key);
                let sought = entry.flag == REFUSED || entry.flag == PROVED && !is_reached(key);
                if sought && self.state.in_scope(&scope, Table::Embeddings, raw)? {
                    keys.push(hex_upper(raw));
                }
                Ok(())
            })?;
            Ok(keys)
        })
    }

    #[pyo3(signature = (table, after, limit))]
    fn unlisted_keys(&self, py: Python<'_>, table: &str, after: Option<&str>, limit: usize) -> PyResult<Vec<String>> {
        let table = table_named(table)?;
        let reader = &self.state.reader;
        detached(py, || {
            let mut keys = Vec::new();
            let Some(open) = reader.table(table) else { return Ok(keys) };
            let start = after.map_or(Limit::Unbounded, Limit::Excluded);
            for row in ReadableTable::range::<&str>(open, (start, Limit::Unbounded))? {
                if keys.len() >= limit {
                    break;
                }
                let (key, _) = row?;
                let listed = match &reader.ledger {
                    Some(ledger) => ReadableTable::get(ledger, ledger_key(table.name(), key.value()).as_str())?
                        .and_then(|guard| Entry::decode(guard.value()).map(|entry| entry.flag)),
                    None => None,
                };
                if listed != Some(PROVED) {
                    keys.push(key.value().to_owned());
                }
            }
            Ok(keys)
        })
    }
}

#[pyfunction]
pub fn root_of(scan: &Scan, scope: &Scope) -> String {
    scan.state.root(&scope.parts)
}

#[pyfunction]
pub fn prove(py: Python<'_>, path: std::path::PathBuf, scope: &Scope) -> PyResult<Scan> {
    let _ = scope;
    detached(py, || {
        let file = OpenFile::open(&path, Mode::Read, CACHE_BYTES)?;
        Ok(Scan::new(ScanState::run(Arc::new(file))?))
    })
}
