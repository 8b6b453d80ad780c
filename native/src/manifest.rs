//! The primary's manifest against a scan: which rows must be fetched, which must go (docs/protocol.md#digests).

use crate::body::Body;
use crate::errors::{Fault, Outcome};
use crate::families::{Came, Family, WANTED, imprints, is_mark, shape, table_numbered, unfolded};
use crate::follow::{Changed, overlaid};
use crate::kept::KeptManifest;
use crate::keys::{Digest, KeyList, bucket_of, unhex_digest};
use crate::ledger::{CACHE_ONLY, Entry, REFUSED};
use crate::panics::{detached, lock};
use crate::scan::{Held, Scan, ScanState};
use crate::scope::{Scope, ScopeParts, TABLES, root_of_rows, table_named};
use crate::waiting::Waiting;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use storage_sync_codec::hrana::Event;
use storage_sync_codec::{Table, Value};

/// Mark of a row that the cache has as it is.
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
}

impl Manifest {
    pub fn table(&self, table: Table) -> &Compared {
        &self.tables[usize::from(table.number())]
    }
}

/// Rows of one table of a manifest.
#[derive(Default)]
struct Arriving {
    rows: KeyList,
}

/// What has arrived of a manifest.
struct Building {
    body: Body,
    imprint: Option<Imprint>,
    /// Rows of each source table, where they were counted.
    counts: Vec<Option<u64>>,
    /// What was listed, in order: families, or the marks of those that were known.
    families: Vec<Family>,
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
    remembers: bool,
    came: Mutex<Came>,
    /// The imprint of what a finished build lists, or the scan holds: the server sends nothing else where its own is the
    /// same.
    known: Option<String>,
    told: Mutex<Option<Imprint>>,
}

fn text<'a>(value: &'a Value<'_>) -> Outcome<&'a [u8]> {
    match value {
        Value::Text(bytes) => Ok(bytes),
        other => Err(shape(format!("the manifest has {} where text is expected", other.type_name()))),
    }
}

fn number(value: &Value<'_>) -> Outcome<u64> {
    let found = match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        // Counts travel as text beside the root.
        Value::Text(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    found.ok_or_else(|| shape("the manifest has no count where a count is expected"))
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
        let [imprint, whole, counts, list] = row else {
            return Err(shape(format!("a manifest row has {} columns instead of 4", row.len())));
        };
        if *imprint == Value::Null {
            self.families.push(text(list)?.to_vec());
            return Ok(());
        }
        let imprint = Imprint { text: String::from_utf8_lossy(text(imprint)?).into_owned(), whole: number(whole)? > 0 };
        if self.imprint.replace(imprint).is_some() {
            return Err(shape("the manifest has two imprints"));
        }
        if *counts != Value::Null {
            self.count(scope, text(counts)?)?;
        }
        if *list != Value::Null {
            let list = text(list)?;
            self.families.extend(list.split(|byte| *byte == b';').filter(|_| !list.is_empty()).map(<[u8]>::to_vec));
        }
        Ok(())
    }

    /// `NUMBER:ROWS` of each table, joined by commas.
    fn count(&mut self, scope: &ScopeParts, counts: &[u8]) -> Outcome<()> {
        let wrong = || shape("the manifest has no count where a count is expected");
        for one in std::str::from_utf8(counts).map_err(|_| wrong())?.split(',') {
            let (table, rows) = one.split_once(':').ok_or_else(wrong)?;
            let table = table_numbered(scope, table.as_bytes())?;
            self.counts[usize::from(table.number())] = Some(rows.parse().map_err(|_| wrong())?);
        }
        Ok(())
    }

    /// The families, those in full of which only the mark came. They must be what the imprint is of.
    fn listed(&mut self, scope: &ScopeParts, kept: Option<&KeptManifest>) -> Outcome<Vec<Family>> {
        let mut families = std::mem::take(&mut self.families);
        for family in families.iter_mut().filter(|family| is_mark(family)) {
            let known = kept.and_then(|kept| kept.family(family));
            *family = known.ok_or_else(|| shape("the manifest names an unknown family"))?.to_vec();
        }
        let told = self.imprint.as_ref().map_or("", |imprint| imprint.text.as_str());
        if !imprints(scope, &families).any(|imprint| imprint == told) {
            return Err(Fault::stream("root", "the rows of the manifest do not add up to its imprint"));
        }
        Ok(families)
    }
}

fn against_ledger(
    scope: &ScopeParts,
    table: Table,
    view: &ScanView<'_>,
    arriving: &mut Arriving,
    compared: &mut Compared,
) -> Outcome<()> {
    let reader = &view.state.reader;
    let comparable = reader.speaks(scope.algorithm);
    let mut refused: Vec<(String, Vec<u8>, Digest)> = Vec::new();
    let mut listed: Vec<usize> = Vec::new();
    let rows = &arriving.rows;
    let gone = &mut compared.gone;
    reader.ledger(table, |key, entry: Entry<'_>| {
        if entry.flag == CACHE_ONLY {
            return Ok(());
        }
        let raw = entry.source_key(key);
        if !view.state.in_scope(scope, table, raw)? {
            return Ok(());
        }
        if entry.flag == REFUSED {
            refused.push((key.to_owned(), raw.to_vec(), entry.source));
            return Ok(());
        }
        let found = rows.find(raw);
        if found.is_empty() {
            gone.push(raw, entry.source, 0);
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
        roots.push((expected, root_of_rows(&scope, &rows)));
        if let Some(state) = scan.filter(|_| scope.includes(table)) {
            let view = ScanView { state, table: state.table_in(scope.patterns, table) };
            for index in 0..rows.len() {
                rows.set_mark(index, WANTED);
            }
            let mut arriving = Arriving { rows };
            against_ledger(&scope, table, &view, &mut arriving, &mut compared)?;
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
    Ok((Manifest { scope, root, tables }, doubled))
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
            root = root_of_rows(&scope, &rows);
            compared.primary_rows = primary_rows;
            compared.expected = rows.len() as u64;
            let mut arriving = Arriving { rows };
            if let Some(state) = scan {
                let view = ScanView { state, table: state.table_in(scope.patterns, table) };
                against_ledger(&scope, table, &view, &mut arriving, &mut compared)?;
            }
            arriving.rows.retain_marks(|mark| mark == WANTED);
            compared.wanted = arriving.rows;
        }
        roots.push((compared.expected, root));
        tables.push(compared);
    }
    let root = scope.root(|table| roots[usize::from(table.number())].clone());
    Ok(Manifest { scope, root, tables })
}

fn kept_rows(waiting: &Waiting, table: Table) -> Outcome<Listing> {
    let listed = waiting.table(table).ok_or_else(|| Fault::stream("waiting", "it does not cover every table"))?;
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

    /// What came, for the build that shall remember it; empty at the second call.
    pub fn take_came(&self) -> Came {
        std::mem::take(&mut *lock(&self.came))
    }

    /// The manifest where the primary's imprint alone told that it is the known one, which is of what a build remembers
    /// or lists, or of what the scan holds. A scan whose rows are not those of its ledger has none.
    fn of_equal(&self, building: &Building) -> Outcome<Option<Manifest>> {
        let told = building.imprint.as_ref().map(|imprint| &imprint.text);
        if self.known.as_ref() != told || !building.families.is_empty() {
            return Ok(None);
        }
        let scan = self.scan.as_deref();
        if let Some(kept) = self.kept.as_ref().map(Py::get) {
            let Some(rows) = kept.rows() else { return Ok(None) };
            let listed = |table: Table| {
                let at = usize::from(table.number());
                let mut rows = rows[at].clone();
                (0..rows.len()).for_each(|index| rows.set_mark(index, WANTED));
                Ok(Listing { rows, primary_rows: building.counts[at] })
            };
            return of_listed(self.scope, scan, listed).map(Some);
        }
        let Some(scan) = scan.filter(|scan| scan.is_clean()) else { return Ok(None) };
        let nothing = Changed::new();
        let listed =
            |table| Ok(Listing { rows: overlaid(scan, &self.scope, table, &nothing, WANTED)?, primary_rows: None });
        of_listed(self.scope, Some(scan), listed).map(Some)
    }

    fn finished(scope: ScopeParts, scan: Option<Arc<ScanState>>, manifest: Manifest) -> Self {
        Self {
            scope,
            scan,
            kept: None,
            remembers: false,
            came: Mutex::default(),
            state: Mutex::new(State::Finished(Arc::new(manifest))),
            known: None,
            told: Mutex::default(),
        }
    }

    /// What came, settled against the scan.
    fn settled(&self, building: &mut Building) -> Outcome<Manifest> {
        if building.imprint.is_none() {
            return Err(shape("the manifest has no imprint"));
        }
        if let Some(manifest) = self.of_equal(building)? {
            return Ok(manifest);
        }
        let families = building.listed(&self.scope, self.kept.as_ref().map(Py::get))?;
        let rows: Vec<_> = unfolded(&self.scope, &families)?.into_iter().map(|rows| Cell::new(Some(rows))).collect();
        if self.remembers {
            let imprint = building.imprint.as_ref().map(|imprint| imprint.text.clone()).unwrap_or_default();
            *lock(&self.came) = Came { imprint, families };
        }
        of_listed(self.scope, self.scan.as_deref(), |table| {
            let at = usize::from(table.number());
            Ok(Listing { rows: rows[at].take().unwrap_or_default(), primary_rows: building.counts[at] })
        })
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
        let building = Building { body: Body::new(), imprint: None, counts: vec![None; TABLES], families: Vec::new() };
        Self {
            scope: scope.parts,
            scan: scan.map(|scan| Arc::clone(&scan.state)),
            kept,
            remembers,
            came: Mutex::default(),
            state: Mutex::new(State::Building(Box::new(building))),
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
        Ok(Self::finished(scope, scan, manifest))
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
                return Err(Fault::value("the ledger was made with another digest"));
            }
            of_listed(scope, Some(&scan), |table| {
                let rows = overlaid(&scan, &scope, table, &changed[usize::from(table.number())], WANTED)?;
                Ok(Listing { rows, primary_rows: None })
            })
        })?;
        Ok(Self::finished(scope, Some(scan), manifest))
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
            let manifest = self.settled(&mut building)?;
            *lock(&self.told) = building.imprint.take();
            *state = State::Finished(Arc::new(manifest));
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
