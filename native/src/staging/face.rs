//! The staging as Python sees it.

use crate::body::Body;
use crate::errors::{Fault, Outcome};
use crate::families::Came;
use crate::keys::hex_upper;
use crate::manifest::Comparison;
use crate::panics::{detached, lock};
use crate::row::assemble;
use crate::scan::Scan;
use crate::scope::{Scope, table_named};
use crate::waiting::{Spool, Waiting as WaitingFile};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyByteArray, PyBytes, PyFloat, PyInt, PyString, PyTuple};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use storage_sync_codec::hrana::sqlite_text;
use storage_sync_codec::{Table, Value};

use super::arrive::Gathered;
use super::{Core, Lane, Progress, PyLost, Response, WAITING, Waiting};

/// What one step of a response answers.
#[pyclass(frozen, module = "storage_sync._native")]
#[derive(Clone, Copy)]
pub struct StepSpec {
    pub(super) table: Option<Table>,
    pub(super) typed: bool,
    pub(super) counts: bool,
    pub(super) imprint: bool,
}

#[pymethods]
impl StepSpec {
    #[new]
    #[pyo3(signature = (table, *, typed = false, counts = false, imprint = false))]
    fn new(table: Option<&str>, typed: bool, counts: bool, imprint: bool) -> PyResult<Self> {
        let table = table.map(table_named).transpose()?;
        Ok(Self { table, typed, counts, imprint })
    }
}

/// What one table would see.
#[pyclass(frozen, get_all, module = "storage_sync._native")]
pub struct Changes {
    pub(super) insert: u64,
    pub(super) update: u64,
    pub(super) remove: u64,
    /// Rows of ours that leave because the primary's new form of them is refused; not in `remove`.
    pub(super) withdrawn: u64,
    pub(super) relist: u64,
    pub(super) same: i64,
    pub(super) refused: u64,
    pub(super) expected: u64,
    pub(super) moved: u64,
    pub(super) keys: Vec<String>,
}

#[pymethods]
impl Changes {
    fn __repr__(&self) -> String {
        let Self { insert, update, remove, withdrawn, relist, same, refused, expected, moved, .. } = self;
        format!(
            "<Changes +{insert} ~{update} -{remove} withdrawn={withdrawn} relist={relist} same={same} refused={refused} expected={expected} moved={moved}>"
        )
    }
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
    #[pyo3(signature = (scope, scan, comparison, *, path, sibling, batch_rows = 100, batch_bytes = 4 << 20, identity = Vec::new(), keep = None))]
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
        keep: Option<PathBuf>,
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
            let came = comparison.map(Comparison::take_came).unwrap_or_default();
            let (came, spool) = match keep {
                Some(path) => (Came::default(), Some((Spool::create(&path)?, came))),
                None => (if sibling { came } else { Came::default() }, None),
            };
            let mut core = Core {
                scope,
                scan,
                snapshot: manifest.is_none(),
                lanes: lanes.collect(),
                manifest,
                waiting: Waiting::Memory(BTreeMap::new()),
                gathered: Gathered::default(),
                batch: Vec::new(),
                batch_weight: 0,
                memory_weight: 0,
                progress: Arc::clone(&progress),
                response: None,
                sealed: false,
                finished: None,
                path,
                sibling,
                batch_rows,
                batch_bytes,
                identity,
                spool,
                imprint: None,
            };
            core.open(&came)?;
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

    #[pyo3(signature = (*chunks))]
    fn feed(&self, py: Python<'_>, chunks: Vec<PyBackedBytes>) -> PyResult<()> {
        self.detached(py, |core| {
            let mut response = core.response.take().ok_or_else(|| Fault::value("no response was begun"))?;
            let Response { body, steps, current } = &mut response;
            let fed =
                chunks.iter().try_for_each(|chunk| body.feed(chunk, &mut |event| core.take(current, steps, event)));
            if fed.is_ok() {
                core.response = Some(response);
                return Ok(());
            }
            // A failed response is over; the rows that it brought are good.
            core.settle_rows()?;
            fed
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
                core.gather(assemble(table, row, false)?)?;
            }
            core.settle_rows()
        })
    }

    fn feed_waiting(&self, py: Python<'_>, waiting: &WaitingFile) -> PyResult<()> {
        self.detached(py, |core| core.take_waiting(waiting))
    }

    fn keep(&self, py: Python<'_>, note: Vec<u8>) -> PyResult<u64> {
        self.detached(py, |core| core.keep(&note))
    }

    fn end(&self, py: Python<'_>) -> PyResult<()> {
        self.detached(py, |core| {
            let response = core.response.take().ok_or_else(|| Fault::value("no response was begun"))?;
            let Response { body, steps, mut current } = response;
            let finished = body.finish(&mut |event| core.take(&mut current, &steps, event));
            core.settle_rows()?;
            finished
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
                counted.or_else(|| core.manifest.as_deref()?.table(table).primary_rows)
            };
            Ok(core.scope.tables().filter_map(|table| of(table).map(|rows| (table.name(), rows))).collect())
        })
    }

    #[getter]
    fn imprint(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.detached(py, |core| Ok(core.imprint.clone()))
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
        return Ok(Value::Real(Cow::Owned(sqlite_text(value.extract()?).into_bytes())));
    }
    Err(Fault::value(format!("not an SQLite value: {}", value.get_type().name()?)).into())
}
