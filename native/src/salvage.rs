//! A new file for rows that were read out of a damaged one, so that they can be scanned like those of any cache.

use crate::create::new_file;
use crate::errors::{Fault, Outcome};
use crate::open::{CACHE_BYTES, PrivateFile};
use crate::panics::{Quiet, caught, detached, lock};
use crate::scope::table_named;
use crate::store::create_tables;
use crate::tables::{LEDGER, META, METADATA, QUARANTINE, byte_table};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use redb::{Builder, Database, TableHandle};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use storage_sync_codec::{Table, ValueState, check_value};

/// Rows that are not carried over wait here under `<table>` NUL `<key>`.
const ASIDE: &str = "storage_sync_aside";

/// The open file; nobody else uses it, and it is never synced.
#[pyclass(frozen, module = "storage_sync._native")]
pub struct Salvage {
    database: Mutex<Option<Quiet<Database>>>,
}

fn create(path: &Path) -> Outcome<Quiet<Database>> {
    let file = new_file(path).map_err(|error| Fault::io(error, path))?;
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    let database = Quiet::new(builder.create_with_backend(PrivateFile(file))?);
    let transaction = database.begin_write()?;
    create_tables(&transaction)?;
    transaction.open_table(byte_table(ASIDE))?;
    transaction.commit()?;
    Ok(database)
}

fn takes(table: &str) -> bool {
    let ours = [META.name(), LEDGER.name(), QUARANTINE.name(), METADATA.name(), ASIDE];
    Table::from_name(table).is_some() || ours.contains(&table)
}

fn put(database: &Database, table: &str, rows: &[(String, PyBackedBytes)]) -> Outcome<()> {
    if !takes(table) {
        return Err(Fault::value(format!("there is no table {table:?} to put rows into")));
    }
    let transaction = database.begin_write()?;
    {
        let mut open = transaction.open_table(byte_table(table))?;
        for (key, value) in rows {
            open.insert(key.as_str(), value.as_ref())?;
        }
    }
    transaction.commit()?;
    Ok(())
}

#[pymethods]
impl Salvage {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let database = detached(py, || create(&path))?;
        Ok(Self { database: Mutex::new(Some(database)) })
    }

    fn put(&self, py: Python<'_>, table: String, rows: Vec<(String, PyBackedBytes)>) -> PyResult<()> {
        detached(py, || {
            let slot = lock(&self.database);
            let database = slot.as_ref().ok_or_else(|| Fault::value("the file is closed"))?;
            put(database, &table, &rows)
        })
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || match lock(&self.database).take() {
            Some(database) => {
                let database = database.into_inner();
                caught(move || Ok(database.close()?))
            }
            None => Ok(()),
        })
    }
}

/// Whether the bytes decode whole and hold the id that their key names.
#[pyfunction]
pub fn is_whole(table: &str, key: &str, data: &[u8]) -> PyResult<bool> {
    Ok(check_value(table_named(table)?, key, data) == ValueState::Whole)
}
