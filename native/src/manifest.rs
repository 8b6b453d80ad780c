//! The primary's manifest against a scan: which rows must be fetched, which must go (docs/protocol.md#digests).

use crate::body::Body;
use crate::errors::{Fault, Outcome};
use crate::follow::{Changed, overlaid};
use crate::kept::{Came, KeptManifest, append_row};
use crate::keys::{Bucket, Digest, KeyList, bucket_of, unhex_digest, unhex_into};
use crate::ledger::{CACHE_ONLY, Entry, PROVED, REFUSED};
use crate::panics::{detached, lock};
use crate::scan::{Held, Scan, ScanState};
use crate::scope::{Part, Scope, ScopeParts, TABLES, bucket_digest, bucketize, holds, table_named, table_root};
use crate::waiting::Waiting;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use storage_sync_codec::hrana::Event;
use storage_sync_codec::{Table, Value};

/// Marks of manifest rows.
const WANTED: u8 = 0;
const SAME: u8 = 1;

/// What a finished comparison says about one table.
#[derive(Default)]
pub struct Compared {
    /// Rows of the source table; None where they were not counted.
    pub primary_rows: Option<u64>,
    pub expected: u64,
    /// Rows to fetch, in key order.
    pub wanted: KeyList,
    /// Cache keys that our ledger lists as proved and the manifest no longer has, in order.
    pub gone: KeyList,
    /// Ledger names of rejected rows that the manifest no longer has in that form.
    pub settled: Vec<String>,
    /// Those of them that no row of the manifest takes the place of.
    pub settled_lost: u64,
    /// Snapshot path, against a scan: every row of the manifest, in key order.
    pub listed: KeyList,
    /// Refused at the last proof and unchanged since.
    pub still_refused: u64,
}

/// A finished comparison.
pub struct Manifest {
    pub scope: ScopeParts,
    pub root: String,
    pub tables: Vec<Compared>,
    /// The imprint alone told that it is what the scan holds: nothing else came.
    pub equal: bool,
}

impl Manifest {
    pub fn table(&self, table: Table) -> &Compared {
        &self.tables[usize::from(table.number())]
    }
}

/// What has arrived of one table.
#[derive(Default)]
struct Arriving {
    root: Option<TableRoot>,
    buckets: BTreeMap<Bucket, Digest>,
    rows: KeyList,
    /// The buckets as they came, where a build shall remember them.
    came: Option<Vec<(Bucket, Vec<u8>)>>,
}

struct TableRoot {
    expected: u64,
    primary_rows: Option<u64>,
    root: String,
}

/// Which buckets of a table the arrived rows speak for.
enum Coverage {
    All,
    /// Those that came (an empty one: it is gone) and those that were not offered as known.
    Changed,
}

struct Building {
    body: Body,
    tables: Vec<Arriving>,
    imprint: Option<Imprint>,
}

/// One digest over all that the manifest lists.
struct Imprint {
    text: String,
    /// Whether every row of the primary was looked at that may be expected.
    whole: bool,
}

enum State {
    Building(Box<Building>),
    Finished(Arc<Manifest>),
    Failed,
}

/// The comparison as Python sees it.
#[pyclass(frozen, module = "storage_sync._native")]
pub struct Comparison {
    scope: ScopeParts,
    scan: Option<Arc<ScanState>>,
    kept: Option<Py<KeptManifest>>,
    state: Mutex<State>,
    came: Mutex<Vec<Came>>,
    /// The imprint of what the scan holds: the server sends nothing else where its own is the same.
    known: Option<String>,
    told: Mutex<Option<Imprint>>,
}

fn shape(message: impl Into<String>) -> Fault {
    Fault::stream("shape", message)
}

fn text<'a>(value: &'a Value<'_>) -> Outcome<&'a [u8]> {
    match value {
        Value::Text(bytes) => Ok(bytes),
        other => Err(shape(format!("the manifest has {} where text belongs", other.type_name()))),
    }
}

fn number(value: &Value<'_>) -> Outcome<u64> {
    let found = match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        // Counts travel as text beside the root.
        Value::Text(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    found.ok_or_else(|| shape("the manifest has no count where one belongs"))
}

impl Arriving {
    fn root_row(&mut self, expected: u64, primary_rows: Option<u64>, root: &[u8]) -> Outcome<()> {
        let root = String::from_utf8_lossy(root).to_ascii_uppercase();
        if self.root.replace(TableRoot { expected, primary_rows, root }).is_some() {
            return Err(shape("the manifest gives one table two roots"));
        }
        Ok(())
    }

    /// One bucket; its digest must be that of its rows.
    fn bucket_row(
        &mut self,
        scope: &ScopeParts,
        bucket: Bucket,
        count: u64,
        rows: &[u8],
        digest: &[u8],
    ) -> Outcome<()> {
        let mut digests = Vec::new();
        let mut key = Vec::new();
        let mut came = Vec::new();
        for row in rows.split(|byte| *byte == b',').filter(|row| !row.is_empty()) {
            let cut = row.iter().position(|byte| *byte == b':').ok_or_else(|| shape("a manifest row has no digest"))?;
            let digest = unhex_digest(&row[cut + 1..]).ok_or_else(|| shape("a manifest row has a broken digest"))?;
            key.clear();
            if !unhex_into(&row[..cut], &mut key) || bucket_of(&key) != bucket {
                return Err(shape("a manifest row is not in its bucket"));
            }
            digests.push(digest);
            if self.came.is_some() {
                append_row(&mut came, &key, &digest);
            }
            self.rows.push(&key, digest, WANTED);
        }
        if digests.len() as u64 != count {
            return Err(shape("a bucket has another number of rows than it says"));
        }
        let claimed =
            if count == 0 { [0; 16] } else { unhex_digest(digest).ok_or_else(|| shape("a bucket has no digest"))? };
        if count > 0 && bucket_digest(scope.algorithm, digests.into_iter()) != claimed {
            return Err(Fault::stream(
                "root",
                format!("the rows of bucket {} do not add up to its digest", bucket.hex()),
            ));
        }
        if self.buckets.insert(bucket, claimed).is_some() {
            return Err(shape("a bucket came twice"));
        }
        if let Some(all) = &mut self.came {
            all.push((bucket, came));
        }
        Ok(())
    }

    /// What the server left out because a build remembers it.
    fn remember(&mut self, kept: &KeptManifest, table: Table) {
        let (buckets, rows) = (&mut self.buckets, &mut self.rows);
        let came: Vec<Bucket> = buckets.keys().copied().collect();
        kept.fill(
            table,
            |bucket| came.binary_search(&bucket).is_ok(),
            |bucket, digest, kept| {
                buckets.insert(bucket, digest);
                kept.iter().for_each(|(key, digest)| rows.push(key, *digest, WANTED));
            },
        );
    }

    fn gone(digest: &Digest) -> bool {
        *digest == [0; 16]
    }

    /// The buckets that a table had before, laid over by what came.
    fn overlaid(
        &self,
        part: Option<Part>,
        known: &[(Bucket, Digest)],
        scan: Option<&ScanView<'_>>,
    ) -> BTreeMap<Bucket, Digest> {
        let mut all: BTreeMap<Bucket, Digest> = known
            .iter()
            .filter(|(bucket, _)| holds(part, *bucket) && scan.is_none_or(|scan| !scan.table.is_dirty(*bucket)))
            .copied()
            .collect();
        all.extend(self.buckets.iter().map(|(bucket, digest)| (*bucket, *digest)));
        all.retain(|_, digest| !Self::gone(digest));
        all
    }
}

/// The scanned side of one table.
struct ScanView<'a> {
    state: &'a ScanState,
    table: &'a crate::scan::ScanTable,
}

impl Building {
    fn take(&mut self, scope: &ScopeParts, event: Event<'_>) -> Outcome<()> {
        match event {
            Event::Row(row) => self.row(scope, &row),
            Event::StepError { code, message, .. } | Event::Error { code, message } => {
                Err(Fault::Stream { code, message })
            }
            Event::StepBegin { .. } | Event::StepEnd | Event::End => Ok(()),
        }
    }

    fn row(&mut self, scope: &ScopeParts, row: &[Value<'_>]) -> Outcome<()> {
        let [table, bucket, count, rows, digest] = row else {
            return Err(shape(format!("a manifest row has {} columns instead of 5", row.len())));
        };
        if *table == Value::Null {
            let imprint =
                Imprint { text: String::from_utf8_lossy(text(digest)?).into_owned(), whole: number(count)? > 0 };
            if self.imprint.replace(imprint).is_some() {
                return Err(shape("the manifest has two imprints"));
            }
            return Ok(());
        }
        let table = u8::try_from(number(table)?).ok().and_then(Table::from_number);
        let table = table
            .filter(|table| scope.includes(*table))
            .ok_or_else(|| shape("the manifest names a table outside the scope"))?;
        let arriving = &mut self.tables[usize::from(table.number())];
        let count = number(count)?;
        if *bucket == Value::Null {
            let primary_rows = if *rows == Value::Null { None } else { Some(number(rows)?) };
            return arriving.root_row(count, primary_rows, text(digest)?);
        }
        let bucket = Bucket::from_hex(text(bucket)?).ok_or_else(|| shape("a bucket is not named in hex"))?;
        arriving.bucket_row(scope, bucket, count, text(rows)?, text(digest)?)
    }
}

impl Arriving {
    /// The root that the scan has: the server has the same rows.
    fn unchanged(&mut self, scope: &ScopeParts, scan: &ScanState, table: Table) {
        let held = scan.table_in(scope.patterns, table);
        self.root = Some(TableRoot { expected: held.matching(), primary_rows: None, root: held.root().to_owned() });
    }
}

/// The arrived rows of one table against the ledger.
fn settle(
    scope: &ScopeParts,
    scan: Option<&ScanState>,
    table: Table,
    mut arriving: Arriving,
) -> Outcome<(Compared, String)> {
    let Some(root) = arriving.root.take() else {
        return Err(shape(format!("the manifest says nothing about {}", table.name())));
    };
    let view = scan.map(|state| ScanView { state, table: state.table_in(scope.patterns, table) });
    let comparable = scan.is_some_and(|state| state.reader.speaks(scope.algorithm));
    let known = view.as_ref().filter(|_| comparable).map_or(&[][..], |view| view.table.buckets());
    let overlaid = arriving.overlaid(scope.part, known, view.as_ref());
    let coverage = if table_root(scope.algorithm, overlaid.into_iter()) == root.root {
        Coverage::Changed
    } else {
        let alone = arriving.overlaid(scope.part, &[], None);
        if table_root(scope.algorithm, alone.into_iter()) != root.root {
            return Err(Fault::stream("root", format!("the buckets of {} do not add up to its root", table.name())));
        }
        Coverage::All
    };
    if matches!(coverage, Coverage::All) && arriving.rows.len() as u64 != root.expected {
        return Err(shape(format!("{} has another number of rows than its root says", table.name())));
    }
    arriving.rows.sort();
    let mut compared = Compared { primary_rows: root.primary_rows, expected: root.expected, ..Compared::default() };
    if let Some(view) = view {
        against_ledger(scope, table, &view, &coverage, &mut arriving, &mut compared)?;
    }
    arriving.rows.retain_marks(|mark| mark == WANTED);
    compared.wanted = arriving.rows;
    Ok((compared, root.root))
}

fn against_ledger(
    scope: &ScopeParts,
    table: Table,
    view: &ScanView<'_>,
    coverage: &Coverage,
    arriving: &mut Arriving,
    compared: &mut Compared,
) -> Outcome<()> {
    let reader = &view.state.reader;
    let comparable = reader.speaks(scope.algorithm);
    let mut refused: Vec<(String, Vec<u8>, Digest)> = Vec::new();
    let mut listed: Vec<usize> = Vec::new();
    // Rows that are known from an unmentioned bucket stay as they are, so most of a ledger is passed over.
    let (buckets, rows) = (&arriving.buckets, &arriving.rows);
    let covered = |bucket: Bucket| match coverage {
        Coverage::All => true,
        Coverage::Changed => buckets.contains_key(&bucket) || (!comparable || view.table.is_dirty(bucket)),
    };
    let gone = &mut compared.gone;
    let still_refused = &mut compared.still_refused;
    reader.ledger(table, |key, entry: Entry<'_>| {
        if entry.flag == CACHE_ONLY {
            return Ok(());
        }
        let raw = if entry.flag == REFUSED { entry.raw_key } else { key.as_bytes() };
        if !view.state.in_scope(scope, table, raw)? {
            return Ok(());
        }
        if !covered(bucket_of(raw)) {
            *still_refused += u64::from(entry.flag == REFUSED);
            return Ok(());
        }
        if entry.flag == REFUSED {
            refused.push((key.to_owned(), raw.to_vec(), entry.source));
            return Ok(());
        }
        let found = rows.find(raw);
        if found.is_empty() {
            if entry.flag == PROVED {
                gone.push(raw, entry.source, 0);
            }
            return Ok(());
        }
        let single = found.len() == 1 && comparable && rows.digest(found.start) == entry.source;
        if single && (!view.table.is_dirty(bucket_of(raw)) || matches!(reader.held(table, key)?, Held::Proved { .. })) {
            listed.push(found.start);
        }
        Ok(())
    })?;
    for index in listed {
        arriving.rows.set_mark(index, SAME);
    }
    settle_refused(comparable, refused, arriving, compared);
    Ok(())
}

/// Rows that were refused before: unchanged ones need no second look, all others lose their entry.
fn settle_refused(
    comparable: bool,
    refused: Vec<(String, Vec<u8>, Digest)>,
    arriving: &mut Arriving,
    compared: &mut Compared,
) {
    for group in refused.chunk_by(|a, b| a.1 == b.1) {
        let found = arriving.rows.find(&group[0].1);
        let mut before: Vec<Digest> = group.iter().map(|row| row.2).collect();
        before.sort_unstable();
        let now: Vec<Digest> = found.clone().map(|index| arriving.rows.digest(index)).collect();
        if comparable && before == now {
            compared.still_refused += group.len() as u64;
            found.for_each(|index| arriving.rows.set_mark(index, SAME));
        } else {
            compared.settled.extend(group.iter().map(|row| row.0.clone()));
            compared.settled_lost += group.len().saturating_sub(found.len()) as u64;
        }
    }
}

/// Rows of one key that the primary has more than once.
pub struct Doubled {
    pub table: Table,
    pub key: Vec<u8>,
    pub sources: Vec<Digest>,
    /// What was made of each copy when it arrived.
    pub marks: Vec<u8>,
    /// Refused for the same rows at the last proof.
    pub unchanged: bool,
}

/// Snapshot path: a manifest made of all rows that arrived (with marks) and the counts of their source tables.
pub fn complete(
    scope: ScopeParts,
    scan: Option<&ScanState>,
    arrived: Vec<(KeyList, Option<u64>)>,
) -> Outcome<(Manifest, Vec<Doubled>)> {
    let mut tables = Vec::with_capacity(TABLES);
    let mut roots = Vec::with_capacity(TABLES);
    let mut doubled = Vec::new();
    for (table, (mut rows, primary_rows)) in Table::ALL.into_iter().zip(arrived) {
        rows.sort();
        let mut groups = collect_doubled(table, &rows);
        let expected = rows.len() as u64;
        let mut compared = Compared { primary_rows, expected, ..Compared::default() };
        let buckets =
            bucketize(scope.algorithm, (0..rows.len()).map(|at| (rows.bucket(at), rows.digest(at))).collect());
        roots.push((expected, table_root(scope.algorithm, buckets.into_iter())));
        if let Some(state) = scan.filter(|_| scope.includes(table)) {
            let view = ScanView { state, table: state.table_in(scope.patterns, table) };
            for index in 0..rows.len() {
                rows.set_mark(index, WANTED);
            }
            let mut arriving = Arriving { rows, ..Arriving::default() };
            against_ledger(&scope, table, &view, &Coverage::All, &mut arriving, &mut compared)?;
            rows = arriving.rows;
            for group in &mut groups {
                group.unchanged = rows.mark(rows.lower_bound(&group.key)) == SAME;
            }
            compared.listed = rows;
        }
        doubled.extend(groups);
        tables.push(compared);
    }
    let root = scope.root(|table| roots[usize::from(table.number())].clone());
    Ok((Manifest { scope, root, tables, equal: false }, doubled))
}

/// All expected rows of one table, sorted, and how many rows its source table has.
struct Listing {
    rows: KeyList,
    primary_rows: Option<u64>,
}

/// A manifest of which every row is there, settled against a scan.
fn of_listed(
    scope: ScopeParts,
    scan: Option<&ScanState>,
    listed: impl Fn(Table) -> Outcome<Listing>,
) -> Outcome<Manifest> {
    let mut tables = Vec::with_capacity(TABLES);
    let mut roots = Vec::with_capacity(TABLES);
    for table in Table::ALL {
        let mut compared = Compared::default();
        let mut root = String::new();
        if scope.includes(table) {
            let Listing { rows, primary_rows } = listed(table)?;
            let mut arriving = Arriving { rows, ..Arriving::default() };
            let rows = &arriving.rows;
            let buckets =
                bucketize(scope.algorithm, (0..rows.len()).map(|at| (rows.bucket(at), rows.digest(at))).collect());
            root = table_root(scope.algorithm, buckets.into_iter());
            compared.primary_rows = primary_rows;
            compared.expected = rows.len() as u64;
            if let Some(state) = scan {
                let view = ScanView { state, table: state.table_in(scope.patterns, table) };
                against_ledger(&scope, table, &view, &Coverage::All, &mut arriving, &mut compared)?;
            }
            arriving.rows.retain_marks(|mark| mark == WANTED);
            compared.wanted = arriving.rows;
        }
        roots.push((compared.expected, root));
        tables.push(compared);
    }
    let root = scope.root(|table| roots[usize::from(table.number())].clone());
    Ok(Manifest { scope, root, tables, equal: false })
}

fn kept_rows(waiting: &Waiting, table: Table) -> Outcome<Listing> {
    let listed = waiting.table(table).ok_or_else(|| Fault::stream("waiting", "it does not speak of every table"))?;
    let mut rows = KeyList::new();
    (0..listed.rows.len()).for_each(|at| rows.push(&listed.rows.key(at), listed.rows.digest(at), WANTED));
    rows.sort();
    Ok(Listing { rows, primary_rows: listed.primary_rows })
}

fn collect_doubled(table: Table, rows: &KeyList) -> Vec<Doubled> {
    let mut groups = Vec::new();
    let mut first = 0;
    while first < rows.len() {
        let mut last = first + 1;
        while last < rows.len() && rows.same_key(first, last) {
            last += 1;
        }
        if last - first > 1 {
            groups.push(Doubled {
                table,
                key: rows.key(first).into_owned(),
                sources: (first..last).map(|index| rows.digest(index)).collect(),
                marks: (first..last).map(|index| rows.mark(index)).collect(),
                unchanged: false,
            });
        }
        first = last;
    }
    groups
}

impl Comparison {
    pub fn manifest(&self) -> Outcome<Arc<Manifest>> {
        match &*lock(&self.state) {
            State::Finished(manifest) => Ok(Arc::clone(manifest)),
            _ => Err(Fault::value("the comparison is not finished")),
        }
    }

    /// The buckets that came, for the build that shall remember them; empty at the second call.
    pub fn take_came(&self) -> Vec<Came> {
        std::mem::take(&mut *lock(&self.came))
    }

    /// Whether the primary has exactly what the scan holds, by its imprint alone. A scan whose rows are not those of its
    /// ledger has none.
    fn equal(&self, building: &Building) -> bool {
        let told = building.imprint.as_ref().map(|imprint| &imprint.text);
        self.scan.as_deref().is_some_and(ScanState::is_clean)
            && self.known.is_some()
            && self.known.as_ref() == told
            && building.tables.iter().all(|table| table.root.is_none())
    }

    fn counts(&self, of: impl Fn(&Compared) -> u64) -> PyResult<BTreeMap<&'static str, u64>> {
        let manifest = self.manifest()?;
        Ok(self.scope.tables().map(|table| (table.name(), of(manifest.table(table)))).collect())
    }
}

#[pymethods]
impl Comparison {
    #[new]
    #[pyo3(signature = (scope, scan, *, remembers = false, kept = None, imprint = None))]
    fn new(
        scope: &Scope,
        scan: Option<&Scan>,
        remembers: bool,
        kept: Option<Py<KeptManifest>>,
        imprint: Option<String>,
    ) -> Self {
        let arriving = || Arriving { came: remembers.then(Vec::new), ..Arriving::default() };
        let tables = (0..TABLES).map(|_| arriving()).collect();
        Self {
            scope: scope.parts,
            scan: scan.map(|scan| Arc::clone(&scan.state)),
            kept,
            came: Mutex::default(),
            state: Mutex::new(State::Building(Box::new(Building { body: Body::new(), tables, imprint: None }))),
            known: imprint,
            told: Mutex::default(),
        }
    }

    /// What waited, against the cache as it is now: no question to the primary.
    #[staticmethod]
    fn of_waiting(py: Python<'_>, scope: &Scope, scan: Option<&Scan>, waiting: &Waiting, root: &str) -> PyResult<Self> {
        let scope = scope.parts;
        let scan = scan.map(|scan| Arc::clone(&scan.state));
        let manifest = detached(py, || of_listed(scope, scan.as_deref(), |table| kept_rows(waiting, table)))?;
        if manifest.root != root {
            return Err(Fault::stream("waiting", "the rows that wait do not add up to their root").into());
        }
        let state = Mutex::new(State::Finished(Arc::new(manifest)));
        Ok(Self { scope, scan, kept: None, came: Mutex::default(), state, known: None, told: Mutex::default() })
    }

    /// The rows that are proven, laid over by those that changed since: (table, key, hex digests of its rows now).
    #[staticmethod]
    fn of_changes(
        py: Python<'_>,
        scope: &Scope,
        scan: &Scan,
        changes: Vec<(String, Vec<u8>, Vec<String>)>,
    ) -> PyResult<Self> {
        let scope = scope.parts;
        let scan = Arc::clone(&scan.state);
        let mut changed: Vec<Changed> = (0..TABLES).map(|_| Changed::new()).collect();
        for (table, key, digests) in changes {
            let digests = digests.iter().map(|hex| unhex_digest(hex.as_bytes())).collect::<Option<Vec<_>>>();
            let digests = digests.ok_or_else(|| shape("a row that changed has a broken digest"))?;
            changed[usize::from(table_named(&table)?.number())].insert(key, digests);
        }
        let manifest = detached(py, || {
            if !scan.reader.speaks(scope.algorithm) {
                return Err(Fault::value("the ledger speaks of another digest"));
            }
            of_listed(scope, Some(&scan), |table| {
                let rows = overlaid(&scan, &scope, table, &changed[usize::from(table.number())], WANTED)?;
                Ok(Listing { rows, primary_rows: None })
            })
        })?;
        let state = Mutex::new(State::Finished(Arc::new(manifest)));
        Ok(Self {
            scope,
            scan: Some(scan),
            kept: None,
            came: Mutex::default(),
            state,
            known: None,
            told: Mutex::default(),
        })
    }

    #[pyo3(signature = (*chunks))]
    fn feed(&self, py: Python<'_>, chunks: Vec<PyBackedBytes>) -> PyResult<()> {
        detached(py, || {
            let mut state = lock(&self.state);
            let State::Building(building) = &mut *state else {
                return Err(Fault::value("the comparison takes no more of the response"));
            };
            let mut body = std::mem::replace(&mut building.body, Body::new());
            let fed =
                chunks.iter().try_for_each(|chunk| body.feed(chunk, &mut |event| building.take(&self.scope, event)));
            building.body = body;
            if fed.is_err() {
                *state = State::Failed;
            }
            fed
        })
    }

    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || {
            let mut state = lock(&self.state);
            let State::Building(mut building) = std::mem::replace(&mut *state, State::Failed) else {
                return Err(Fault::value("the comparison was finished before"));
            };
            let body = std::mem::replace(&mut building.body, Body::new());
            body.finish(&mut |event| building.take(&self.scope, event))?;
            let equal = self.equal(&building);
            if let Some(scan) = self.scan.as_deref().filter(|_| equal) {
                let included = Table::ALL.into_iter().zip(&mut building.tables);
                included
                    .filter(|(table, _)| self.scope.includes(*table))
                    .for_each(|(table, arriving)| arriving.unchanged(&self.scope, scan, table));
            }
            *lock(&self.told) = building.imprint.take();
            let mut tables = Vec::with_capacity(TABLES);
            let mut roots = Vec::with_capacity(TABLES);
            for (table, mut arriving) in Table::ALL.into_iter().zip(building.tables) {
                let came = arriving.came.take().unwrap_or_default();
                lock(&self.came).extend(came.into_iter().map(|(bucket, rows)| (table, bucket, rows)));
                if let Some(kept) = &self.kept {
                    arriving.remember(kept.get(), table);
                }
                let (compared, root) = if self.scope.includes(table) {
                    settle(&self.scope, self.scan.as_deref(), table, arriving)?
                } else {
                    Default::default()
                };
                roots.push((compared.expected, root));
                tables.push(compared);
            }
            let root = self.scope.root(|table| roots[usize::from(table.number())].clone());
            *state = State::Finished(Arc::new(Manifest { scope: self.scope, root, tables, equal }));
            Ok(())
        })
    }

    #[getter]
    fn root(&self) -> PyResult<String> {
        Ok(self.manifest()?.root.clone())
    }

    #[getter]
    fn primary_rows(&self) -> PyResult<BTreeMap<&'static str, u64>> {
        let manifest = self.manifest()?;
        let rows = self.scope.tables().filter_map(|table| Some((table.name(), manifest.table(table).primary_rows?)));
        Ok(rows.collect())
    }

    #[getter]
    fn imprint(&self) -> Option<String> {
        lock(&self.told).as_ref().map(|imprint| imprint.text.clone())
    }

    #[getter]
    fn whole(&self) -> bool {
        lock(&self.told).as_ref().is_some_and(|imprint| imprint.whole)
    }

    #[getter]
    fn expected(&self) -> PyResult<BTreeMap<&'static str, u64>> {
        self.counts(|table| table.expected)
    }

    #[getter]
    fn to_fetch(&self) -> PyResult<BTreeMap<&'static str, u64>> {
        self.counts(|table| table.wanted.len() as u64)
    }

    #[getter]
    fn to_remove(&self) -> PyResult<BTreeMap<&'static str, u64>> {
        self.counts(|table| table.gone.len() as u64)
    }
}
