//! Values on their own: encode, decode, digest.

use crate::errors::{Fault, Outcome};
use crate::panics::detached;
use crate::scope::{algorithm_named, table_named};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use storage_sync_codec::{CodecError, Kind};

fn unfit(error: CodecError) -> Fault {
    Fault::value(error.to_string())
}

#[pyfunction]
pub fn source_columns(table: &str) -> PyResult<Vec<(&'static str, &'static str)>> {
    let columns = table_named(table)?.columns().iter().map(|column| (column.name, kind_name(column.kind)));
    Ok(columns.collect())
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Integer => "integer",
        Kind::Real => "real",
        Kind::Blob => "blob",
    }
}

#[pyfunction]
pub fn decode_value(py: Python<'_>, table: &str, data: &[u8]) -> PyResult<String> {
    let table = table_named(table)?;
    detached(py, || storage_sync_codec::decode_json(table, data).map_err(unfit))
}

#[pyfunction]
pub fn digest<'py>(py: Python<'py>, algorithm: &str, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let algorithm = algorithm_named(algorithm)?;
    let whole = detached(py, || -> Outcome<[u8; 32]> { Ok(algorithm.digest(data)) })?;
    Ok(PyBytes::new(py, &whole))
}

#[pyfunction]
pub fn title(py: Python<'_>, table: &str, data: &[u8]) -> PyResult<Option<String>> {
    let table = table_named(table)?;
    detached(py, || Ok(storage_sync_codec::title(table, data)))
}

#[pyfunction]
pub fn label(py: Python<'_>, table: &str, data: &[u8]) -> PyResult<Option<(String, Vec<String>)>> {
    let table = table_named(table)?;
    detached(py, || Ok(storage_sync_codec::label(table, data)))
}
