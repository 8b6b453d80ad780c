//! The cache file as Python sees it: its tables, its rows, and a scan of them.

use crate::embeddings::{self, Embeddings};
use crate::errors::{Fault, Outcome};
use crate::ledger::split_ledger_key;
use crate::open::{CACHE_BYTES, Mode, OpenFile};
use crate::panics::{Quiet, caught, detached, lock};
use crate::scan::{Scan, ScanState};
use crate::tables::{META, OURS, QUARANTINE, SCHEMA, VERSION, byte_table, open_if};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use redb::{ReadTransaction, ReadableTableMetadata, TableDefinition, TableError, TableHandle};
use std::ops::Bound as Limit;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use storage_sync_codec::Table;

/// Name, key type, value type, rows (when it can be opened) and error of one table; without a name: of the list.
#[pyclass(frozen, get_all, module = "storage_sync._native")]
pub struct TableStat {
    name: String,
    key_type: String,
    value_type: String,
    rows: Option<u64>,
    error: Option<String>,
}

#[pymethods]
impl TableStat {
    fn __repr__(&self) -> String {
        format!("<TableStat {} {} -> {}>", self.name, self.key_type, self.value_type)
    }
}

/// Value types that tables of do-memory have, tried in this order.
enum Shape {
    Bytes,
    Text,
    Unsigned,
    Signed,
    Other(String, String),
}

impl Shape {
    fn of(transaction: &ReadTransaction, name: &str) -> Outcome<Self> {
        let (key, value) = match transaction.open_table(byte_table(name)) {
            Ok(_) => return Ok(Self::Bytes),
            Err(TableError::TableTypeMismatch { key, value, .. }) => (key.name().to_owned(), value.name().to_owned()),
            Err(error) => return Err(error.into()),
        };
        Ok(match (key.as_str(), value.as_str()) {
            ("&str", "&str") => Self::Text,
            ("&str", "u64") => Self::Unsigned,
            ("&str", "i64") => Self::Signed,
            _ => Self::Other(key, value),
        })
    }

    fn names(&self) -> (String, String) {
        let value = match self {
            Self::Bytes => "&[u8]",
            Self::Text => "&str",
            Self::Unsigned => "u64",
            Self::Signed => "i64",
            Self::Other(key, value) => return (key.clone(), value.clone()),
        };
        ("&str".to_owned(), value.to_owned())
    }
}

fn stat(transaction: &ReadTransaction, handle: impl TableHandle) -> TableStat {
    let name = handle.name().to_owned();
    let shape = Shape::of(transaction, &name);
    let rows = transaction.open_untyped_table(handle).map_err(Fault::from).and_then(|table| Ok(table.len()?));
    let error = shape.as_ref().err().or(rows.as_ref().err()).map(|fault| format!("{fault:?}"));
    let (key_type, value_type) = shape.map_or_else(|_| Default::default(), |shape| shape.names());
    TableStat { name, key_type, value_type, rows: rows.ok(), error }
}

/// All tables of the file; where redb cannot list them, those that it finds by a name that we know, and the failure.
fn stats(transaction: &ReadTransaction) -> Outcome<Vec<TableStat>> {
    match caught(|| Ok(transaction.list_tables()?.collect::<Vec<_>>())) {
        Ok(handles) => Ok(handles.into_iter().map(|handle| stat(transaction, handle)).collect()),
        Err(Fault::Panic(message)) => {
            let known = Table::ALL.map(|table| byte_table(table.name())).into_iter().chain(OURS);
            let found = known
                .filter_map(|table| caught(|| Ok(stat(transaction, table))).ok().filter(|found| found.error.is_none()));
            let unlisted = TableStat {
                name: String::new(),
                key_type: String::new(),
                value_type: String::new(),
                rows: None,
                error: Some(format!("its list of tables cannot be read: {message}")),
            };
            Ok(found.chain([unlisted]).collect())
        }
        Err(fault) => Err(fault),
    }
}

type Rows = Vec<(String, Vec<u8>)>;

fn page_of<V: redb::Value + 'static>(
    transaction: &ReadTransaction,
    name: &str,
    after: Option<&str>,
    limit: usize,
    raw: impl for<'a> Fn(V::SelfType<'a>) -> Vec<u8>,
) -> Outcome<Rows> {
    let Some(table) = open_if(transaction, TableDefinition::<&str, V>::new(name))? else {
        return Ok(Vec::new());
    };
    let start = after.map_or(Limit::Unbounded, Limit::Excluded);
    let mut rows = Vec::new();
    for row in table.range::<&str>((start, Limit::Unbounded))?.take(limit) {
        let (key, value) = row?;
        rows.push((key.value().to_owned(), raw(value.value())));
    }
    Ok(rows)
}

fn page(transaction: &ReadTransaction, name: &str, after: Option<&str>, limit: usize) -> Outcome<Rows> {
    match Shape::of(transaction, name) {
        Ok(Shape::Bytes) => page_of::<&[u8]>(transaction, name, after, limit, |value| value.to_vec()),
        Ok(Shape::Text) => page_of::<&str>(transaction, name, after, limit, |value| value.as_bytes().to_vec()),
        Ok(Shape::Unsigned) => page_of::<u64>(transaction, name, after, limit, |value| value.to_le_bytes().to_vec()),
        Ok(Shape::Signed) => page_of::<i64>(transaction, name, after, limit, |value| value.to_le_bytes().to_vec()),
        Ok(Shape::Other(key, value)) => Err(Fault::value(format!("table {name} has the types {key} -> {value}"))),
        Err(Fault::Table(error)) if matches!(*error, TableError::TableDoesNotExist(_)) => Ok(Vec::new()),
        Err(fault) => Err(fault),
    }
}

fn walk_of<V: redb::Value + 'static>(transaction: &ReadTransaction, name: &str) -> Outcome<()> {
    let Some(table) = open_if(transaction, TableDefinition::<&str, V>::new(name))? else { return Ok(()) };
    for row in table.range::<&str>(..)? {
        let (key, value) = row?;
        std::hint::black_box((key.value(), value.value()));
    }
    Ok(())
}

fn walk(transaction: &ReadTransaction, name: &str) -> Outcome<()> {
    match Shape::of(transaction, name)? {
        Shape::Bytes => walk_of::<&[u8]>(transaction, name),
        Shape::Text => walk_of::<&str>(transaction, name),
        Shape::Unsigned => walk_of::<u64>(transaction, name),
        Shape::Signed => walk_of::<i64>(transaction, name),
        // nobody's that we know
        Shape::Other(..) => Ok(()),
    }
}

/// An open redb file.
#[pyclass(frozen, module = "storage_sync._native")]
pub struct CacheFile {
    inner: Mutex<Option<Arc<OpenFile>>>,
}

impl CacheFile {
    fn file(&self) -> Outcome<Arc<OpenFile>> {
        lock(&self.inner).clone().ok_or_else(|| Fault::value("the file is closed"))
    }

    fn reading<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&ReadTransaction) -> Outcome<T> + Send,
    ) -> PyResult<T> {
        detached(py, || {
            let file = self.file()?;
            let transaction = Quiet::new(file.begin_read()?);
            work(&transaction)
        })
    }
}

#[pymethods]
impl CacheFile {
    #[staticmethod]
    #[pyo3(signature = (path, mode, cache_bytes = CACHE_BYTES))]
    fn open(py: Python<'_>, path: PathBuf, mode: &str, cache_bytes: usize) -> PyResult<Self> {
        let file = detached(py, || OpenFile::open(&path, Mode::parse(mode)?, cache_bytes))?;
        Ok(Self { inner: Mutex::new(Some(Arc::new(file))) })
    }

    #[getter]
    fn repaired(&self) -> PyResult<bool> {
        Ok(self.file()?.repaired)
    }

    fn tables(&self, py: Python<'_>) -> PyResult<Vec<TableStat>> {
        self.reading(py, |transaction| {
            let mut stats = stats(transaction)?;
            stats.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(stats)
        })
    }

    fn meta<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let rows = self.reading(py, |transaction| {
            page_of::<&[u8]>(transaction, META.name(), None, usize::MAX, |value| value.to_vec())
        })?;
        let dict = PyDict::new(py);
        for (key, value) in rows {
            dict.set_item(key, PyBytes::new(py, &value))?;
        }
        Ok(dict)
    }

    fn schema_version(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        self.reading(py, |transaction| {
            let Some(table) = open_if(transaction, SCHEMA)? else { return Ok(None) };
            Ok(table.get(VERSION)?.map(|value| value.value()))
        })
    }

    fn get<'py>(
        &self,
        py: Python<'py>,
        table: String,
        keys: Vec<String>,
    ) -> PyResult<Vec<Option<Bound<'py, PyBytes>>>> {
        let values = self.reading(py, |transaction| {
            let Some(table) = open_if(transaction, byte_table(&table))? else { return Ok(vec![None; keys.len()]) };
            let mut values = Vec::with_capacity(keys.len());
            for key in &keys {
                values.push(table.get(key.as_str())?.map(|value| value.value().to_vec()));
            }
            Ok(values)
        })?;
        Ok(values.into_iter().map(|value| value.map(|bytes| PyBytes::new(py, &bytes))).collect())
    }

    #[pyo3(signature = (table, after, limit))]
    fn page<'py>(
        &self,
        py: Python<'py>,
        table: String,
        after: Option<String>,
        limit: usize,
    ) -> PyResult<Vec<(String, Bound<'py, PyBytes>)>> {
        let rows = self.reading(py, |transaction| page(transaction, &table, after.as_deref(), limit))?;
        Ok(rows.into_iter().map(|(key, value)| (key, PyBytes::new(py, &value))).collect())
    }

    fn walk(&self, py: Python<'_>, table: String) -> PyResult<()> {
        self.reading(py, |transaction| walk(transaction, &table))
    }

    #[pyo3(signature = (after, limit))]
    fn quarantine(&self, py: Python<'_>, after: Option<String>, limit: usize) -> PyResult<Vec<(String, String)>> {
        self.reading(py, |transaction| {
            let start = after.map(|text| text.replacen('\0', "/", 1));
            let rows =
                page_of::<&[u8]>(transaction, QUARANTINE.name(), start.as_deref(), limit, |value| value.to_vec())?;
            Ok(rows
                .into_iter()
                .map(|(key, value)| {
                    let (table, row) = split_ledger_key(&key);
                    (format!("{table}\0{row}"), String::from_utf8_lossy(&value).into_owned())
                })
                .collect())
        })
    }

    fn embeddings(&self, py: Python<'_>, folder: PathBuf) -> PyResult<Embeddings> {
        self.reading(py, |transaction| Embeddings::read(transaction, &embeddings::place_in(&folder)))
    }

    fn check_integrity(&self, py: Python<'_>) -> PyResult<bool> {
        detached(py, || {
            let mut slot = lock(&self.inner);
            let file = slot.as_mut().ok_or_else(|| Fault::value("the file is closed"))?;
            let file = Arc::get_mut(file).ok_or_else(|| Fault::from(redb::DatabaseError::TransactionInProgress))?;
            file.check_integrity()
        })
    }

    fn scan(&self, py: Python<'_>) -> PyResult<Scan> {
        detached(py, || Ok(Scan::new(ScanState::run(self.file()?)?)))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || {
            let taken = lock(&self.inner).take();
            match taken.map(Arc::try_unwrap) {
                Some(Ok(file)) => file.close(),
                // A scan still reads it; the last one closes it.
                Some(Err(_)) | None => Ok(()),
            }
        })
    }
}

impl Drop for CacheFile {
    fn drop(&mut self) {
        if let Some(file) = lock(&self.inner).take() {
            drop(Quiet::new(file));
        }
    }
}
