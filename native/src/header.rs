//! The first 320 bytes of a redb file, read without a lock and without redb (format 3).

use crate::errors::{Fault, Outcome};
use crate::panics::detached;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Length of the header with both commit slots.
pub const HEADER_BYTES: usize = 320;
const MAGIC: [u8; 9] = [b'r', b'e', b'd', b'b', 0x1A, 0x0A, 0xA9, 0x0D, 0x0A];
const RECOVERY_REQUIRED: u8 = 2;
/// redb repairs such a file too when it opens it, and does not open it for reading alone.
const PRIMARY_UNFLUSHED: u8 = 8;
const TWO_PHASE: u8 = 4;
const SLOTS: [usize; 2] = [64, 192];
const SLOT_CHECKED: usize = 112;

/// What the first 320 bytes say.
#[pyclass(frozen, module = "storage_sync._native")]
pub struct Header {
    #[pyo3(get)]
    length: u64,
    #[pyo3(get)]
    magic: &'static str,
    #[pyo3(get)]
    recovery_required: bool,
    #[pyo3(get)]
    two_phase: bool,
    #[pyo3(get)]
    page_size: u32,
    #[pyo3(get)]
    format_versions: (u8, u8),
    #[pyo3(get)]
    slot_checksums_ok: (bool, bool),
    #[pyo3(get)]
    layout_length: u64,
    bytes: Vec<u8>,
}

#[pymethods]
impl Header {
    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.bytes)
    }

    fn __repr__(&self) -> String {
        format!("<Header {} of {} bytes>", self.magic, self.length)
    }
}

/// The raw header and the length of the file; shorter than 320 bytes when the file is.
pub fn read_raw(path: &Path) -> Outcome<(Vec<u8>, u64)> {
    let file = File::open(path).map_err(|error| Fault::io(error, path))?;
    read_raw_of(&file, path)
}

/// As `read_raw`, of a file that is open at its beginning.
pub fn read_raw_of(file: &File, path: &Path) -> Outcome<(Vec<u8>, u64)> {
    let length = file.metadata().map_err(|error| Fault::io(error, path))?.len();
    let mut raw = Vec::with_capacity(HEADER_BYTES);
    file.take(HEADER_BYTES as u64).read_to_end(&mut raw).map_err(|error| Fault::io(error, path))?;
    Ok((raw, length))
}

fn u32_at(raw: &[u8], at: usize) -> u32 {
    raw.get(at..at + 4).and_then(|part| part.try_into().ok()).map_or(0, u32::from_le_bytes)
}

pub fn kind_of(raw: &[u8]) -> &'static str {
    let distance: u32 = raw.iter().zip(MAGIC).map(|(have, want)| (have ^ want).count_ones()).sum();
    if raw.starts_with(b"SQLite format 3\0") {
        "sqlite"
    } else if raw.starts_with(&[0x1F, 0x8B]) {
        "gzip"
    } else if raw.len() < HEADER_BYTES {
        "short"
    } else if distance == 0 {
        "redb"
    } else if distance <= 2 {
        "near"
    } else if raw.iter().all(|byte| *byte == 0) {
        "zeros"
    } else if std::str::from_utf8(raw).map_or_else(|error| error.error_len().is_none(), |_| true)
        && !raw.iter().any(|byte| *byte < 9)
    {
        "text"
    } else {
        "other"
    }
}

fn slot_ok(raw: &[u8], at: usize) -> bool {
    let checked = raw.get(at..at + SLOT_CHECKED);
    let sum = raw.get(at + SLOT_CHECKED..at + SLOT_CHECKED + 16).and_then(|part| <[u8; 16]>::try_from(part).ok());
    match (checked, sum) {
        (Some(data), Some(sum)) => xxhash_rust::xxh3::xxh3_128(data) == u128::from_le_bytes(sum),
        _ => false,
    }
}

/// Bytes that the region counts ask for: one page of header, then full regions, then a part of one.
fn layout_length(raw: &[u8]) -> u64 {
    let page = u64::from(u32_at(raw, 12));
    let header_pages = u64::from(u32_at(raw, 16));
    let region_pages = u64::from(u32_at(raw, 20));
    let full = u64::from(u32_at(raw, 24));
    let trailing = u64::from(u32_at(raw, 28));
    let trailing_pages = if trailing > 0 { header_pages + trailing } else { 0 };
    let pages = full.saturating_mul(header_pages + region_pages).saturating_add(trailing_pages);
    page.saturating_mul(pages.saturating_add(1))
}

fn parse(raw: Vec<u8>, length: u64) -> Header {
    let flags = raw.get(9).copied().unwrap_or(0);
    let version = |slot: usize| raw.get(SLOTS[slot]).copied().unwrap_or(0);
    Header {
        length,
        magic: kind_of(&raw),
        recovery_required: flags & (RECOVERY_REQUIRED | PRIMARY_UNFLUSHED) != 0,
        two_phase: flags & TWO_PHASE != 0,
        page_size: u32_at(&raw, 12),
        format_versions: (version(0), version(1)),
        slot_checksums_ok: (slot_ok(&raw, SLOTS[0]), slot_ok(&raw, SLOTS[1])),
        layout_length: layout_length(&raw),
        bytes: raw,
    }
}

#[pyfunction]
pub fn read_header(py: Python<'_>, path: PathBuf) -> PyResult<Header> {
    detached(py, move || {
        let (raw, length) = read_raw(&path)?;
        Ok(parse(raw, length))
    })
}
