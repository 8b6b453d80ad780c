//! Rows of the primary that wait beside a cache which another process holds, with the manifest that proves them.
//!
//! The file: a mark, the rows, the manifest, a note for people, and a tail that says where the manifest begins and
//! proves it. Rows stand as the primary has them, so that they can be merged with whatever the cache holds later.

use crate::errors::{Fault, Outcome};
use crate::kept::{append_row, rows_of};
use crate::keys::{Digest, KeyList};
use crate::ledger::value_digest;
use crate::panics::detached;
use crate::scope::TABLES;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use storage_sync_codec::{SourceRow, Table, Value};

const MARK: &[u8; 16] = b"storage-sync w1\n";
const DIGEST: usize = 16;
/// Place of the manifest, length of the manifest, length of the note, digest over all three and their bytes.
const TAIL: usize = 8 + 8 + 8 + DIGEST;
const NOT_COUNTED: u64 = u64::MAX;
const MOST_ROW: usize = 1 << 30;
/// Nobody but the owner may write it; the caller gives it the cache's mode.
const PRIVATE: u32 = 0o600;

fn damaged(what: &str) -> Fault {
    Fault::stream("waiting", format!("the rows that wait are damaged: {what}"))
}

/// The manifest of one table.
#[derive(Default)]
pub struct Listed {
    /// Rows of the source table; None where they were not counted.
    pub primary_rows: Option<u64>,
    /// Every expected row, sorted.
    pub rows: KeyList,
}

/// A file that is being filled; nobody reads it under this name.
pub struct Spool {
    path: PathBuf,
    out: BufWriter<File>,
    length: u64,
    rows: u64,
}

impl Spool {
    pub fn create(path: &Path) -> Outcome<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(PRIVATE).custom_flags(NO_LINK);
        let file = options.open(path).map_err(|error| Fault::io(error, path))?;
        let mut spool = Self { path: path.to_owned(), out: BufWriter::new(file), length: 0, rows: 0 };
        spool.write(MARK)?;
        Ok(spool)
    }

    fn write(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.length += bytes.len() as u64;
        self.out.write_all(bytes).map_err(|error| Fault::io(error, &self.path))
    }

    pub fn keep(&mut self, row: &SourceRow<'_>) -> Outcome<()> {
        let payload = encode(row);
        let length = u32::try_from(payload.len()).map_err(|_| Fault::value("a row of more than 4 GiB"))?;
        self.write(&length.to_le_bytes())?;
        self.write(&value_digest(&payload))?;
        self.write(&payload)?;
        self.rows += 1;
        Ok(())
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Write manifest, note and tail, and make the file durable. `tables`: by number, None where out of scope.
    pub fn finish(mut self, tables: &[Option<Listed>], note: &[u8]) -> Outcome<()> {
        let mut manifest = Vec::new();
        for (table, listed) in Table::ALL.into_iter().zip(tables) {
            let Some(listed) = listed else { continue };
            let mut rows = Vec::new();
            for index in 0..listed.rows.len() {
                append_row(&mut rows, &listed.rows.key(index), &listed.rows.digest(index));
            }
            manifest.push(table.number());
            manifest.extend_from_slice(&listed.primary_rows.unwrap_or(NOT_COUNTED).to_le_bytes());
            manifest.extend_from_slice(&(rows.len() as u64).to_le_bytes());
            manifest.extend_from_slice(&rows);
        }
        let places = [self.length, manifest.len() as u64, note.len() as u64].map(u64::to_le_bytes).concat();
        manifest.extend_from_slice(note);
        manifest.extend_from_slice(&places);
        let proof = value_digest(&manifest);
        self.write(&manifest)?;
        self.write(&proof)?;
        let path = std::mem::take(&mut self.path);
        let file = self.out.into_inner().map_err(|error| Fault::io(error.into_error(), &path))?;
        file.sync_all().map_err(|error| Fault::io(error, &path))
    }
}

/// A symbolic link is somebody else's file.
const NO_LINK: i32 = libc::O_NOFOLLOW | libc::O_CLOEXEC;

/// A complete file, to be merged and applied.
#[pyclass(frozen, module = "storage_sync._native")]
pub struct Waiting {
    path: PathBuf,
    note: Vec<u8>,
    manifest_at: u64,
    tables: Vec<Option<Listed>>,
}

impl Waiting {
    pub fn table(&self, table: Table) -> Option<&Listed> {
        self.tables[usize::from(table.number())].as_ref()
    }

    fn open(path: &Path) -> Outcome<Self> {
        let told = |error| Fault::io(error, path);
        let mut file = OpenOptions::new().read(true).custom_flags(NO_LINK).open(path).map_err(told)?;
        let length = file.metadata().map_err(told)?.len();
        if length < (MARK.len() + TAIL) as u64 {
            return Err(damaged("the file is too short"));
        }
        let mut mark = [0; MARK.len()];
        file.read_exact(&mut mark).map_err(told)?;
        if mark != *MARK {
            return Err(Fault::stream("foreign", "the file is not ours"));
        }
        let mut tail = [0; TAIL];
        file.seek(SeekFrom::Start(length - TAIL as u64)).map_err(told)?;
        file.read_exact(&mut tail).map_err(told)?;
        let number = |at: usize| u64::from_le_bytes(tail[at..at + 8].try_into().unwrap_or_default());
        let (manifest_at, manifest_length, note_length) = (number(0), number(8), number(16));
        let ends = [manifest_length, note_length, TAIL as u64].iter().try_fold(manifest_at, |a, b| a.checked_add(*b));
        if ends != Some(length) || manifest_at < MARK.len() as u64 {
            return Err(damaged("its parts do not add up"));
        }
        file.seek(SeekFrom::Start(manifest_at)).map_err(told)?;
        let mut bytes = Vec::new();
        file.take(length - manifest_at).read_to_end(&mut bytes).map_err(told)?;
        let (proven, proof) = bytes.split_at_checked(bytes.len().saturating_sub(DIGEST)).unwrap_or_default();
        if value_digest(proven) != proof {
            return Err(damaged("the manifest is not what was written"));
        }
        let cut = |length: u64| usize::try_from(length).unwrap_or(usize::MAX);
        let (manifest, rest) =
            proven.split_at_checked(cut(manifest_length)).ok_or_else(|| damaged("the manifest is too short"))?;
        let note = rest.get(..cut(note_length)).ok_or_else(|| damaged("the note is too short"))?.to_vec();
        Ok(Self { path: path.to_owned(), note, manifest_at, tables: parse(manifest)? })
    }

    /// Every row in the order in which it was kept.
    pub fn each(&self, mut visit: impl FnMut(SourceRow<'static>) -> Outcome<()>) -> Outcome<()> {
        let told = |error| Fault::io(error, &self.path);
        let mut file = OpenOptions::new().read(true).custom_flags(NO_LINK).open(&self.path).map_err(told)?;
        file.seek(SeekFrom::Start(MARK.len() as u64)).map_err(told)?;
        let mut input = BufReader::new(file.take(self.manifest_at - MARK.len() as u64));
        while let Some(payload) = frame(&mut input).map_err(told)? {
            visit(decode(&payload.ok_or_else(|| damaged("a row is not what was written"))?)?)?;
        }
        Ok(())
    }
}

/// The next row's bytes; Some(None) for damage, None at the end.
fn frame(input: &mut impl Read) -> std::io::Result<Option<Option<Vec<u8>>>> {
    let mut length = [0; 4];
    let mut read = 0;
    while read < length.len() {
        match input.read(&mut length[read..])? {
            0 if read == 0 => return Ok(None),
            0 => return Ok(Some(None)),
            more => read += more,
        }
    }
    let length = u32::from_le_bytes(length) as usize;
    let mut bytes = Vec::new();
    if length > MOST_ROW {
        return Ok(Some(None));
    }
    input.take((DIGEST + length) as u64).read_to_end(&mut bytes)?;
    if bytes.len() != DIGEST + length || value_digest(&bytes[DIGEST..]) != bytes[..DIGEST] {
        return Ok(Some(None));
    }
    Ok(Some(Some(bytes.split_off(DIGEST))))
}

fn parse(mut manifest: &[u8]) -> Outcome<Vec<Option<Listed>>> {
    let mut tables: Vec<Option<Listed>> = (0..TABLES).map(|_| None).collect();
    let short = || damaged("a table's manifest is too short");
    while let Some((number, rest)) = manifest.split_first() {
        let table = Table::from_number(*number).ok_or_else(|| damaged("it names an unknown table"))?;
        let (primary_rows, rest) = rest.split_at_checked(8).ok_or_else(short)?;
        let (length, rest) = rest.split_at_checked(8).ok_or_else(short)?;
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        let length = usize::try_from(number(length)).unwrap_or(usize::MAX);
        let (data, rest) = rest.split_at_checked(length).ok_or_else(short)?;
        let mut rows = KeyList::new();
        let found: Vec<(&[u8], Digest)> = rows_of(data).ok_or_else(short)?;
        found.into_iter().for_each(|(key, digest)| rows.push(key, digest, 0));
        rows.sort();
        tables[usize::from(table.number())] =
            Some(Listed { primary_rows: Some(number(primary_rows)).filter(|rows| *rows != NOT_COUNTED), rows });
        manifest = rest;
    }
    Ok(tables)
}

fn put(out: &mut Vec<u8>, class: u8, bytes: &[u8]) {
    out.push(class);
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn encode(row: &SourceRow<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(row.bytes() + 8 * row.columns.len() + 16);
    out.push(row.table.number());
    for value in &row.columns {
        match value {
            Value::Null => put(&mut out, b'n', &[]),
            Value::Integer(number) => put(&mut out, b'i', &number.to_le_bytes()),
            Value::Real(bytes) => put(&mut out, b'r', bytes),
            Value::Text(bytes) => put(&mut out, b't', bytes),
            Value::Blob(bytes) => put(&mut out, b'b', bytes),
        }
    }
    put(&mut out, b'g', &row.tags);
    out
}

fn decode(payload: &[u8]) -> Outcome<SourceRow<'static>> {
    let wrong = || damaged("a row cannot be read");
    let (number, mut rest) = payload.split_first().ok_or_else(wrong)?;
    let table = Table::from_number(*number).ok_or_else(wrong)?;
    let mut next = || -> Outcome<(u8, Vec<u8>)> {
        let (head, behind) = rest.split_at_checked(5).ok_or_else(wrong)?;
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let (bytes, behind) = behind.split_at_checked(length).ok_or_else(wrong)?;
        rest = behind;
        Ok((head[0], bytes.to_vec()))
    };
    let mut columns = Vec::with_capacity(table.columns().len());
    for _ in table.columns() {
        let (class, bytes) = next()?;
        columns.push(match class {
            b'n' => Value::Null,
            b'i' => Value::Integer(i64::from_le_bytes(bytes.try_into().map_err(|_| wrong())?)),
            b'r' => Value::Real(Cow::Owned(bytes)),
            b't' => Value::Text(Cow::Owned(bytes)),
            b'b' => Value::Blob(Cow::Owned(bytes)),
            _ => return Err(wrong()),
        });
    }
    let (b'g', tags) = next()? else { return Err(wrong()) };
    if !rest.is_empty() {
        return Err(wrong());
    }
    Ok(SourceRow { table, columns, tags: Cow::Owned(tags) })
}

#[pymethods]
impl Waiting {
    #[staticmethod]
    #[pyo3(name = "open")]
    fn open_at(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        detached(py, || Self::open(&path))
    }

    #[getter]
    fn note<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> SourceRow<'static> {
        let mut columns = vec![Value::Null; Table::Episodes.columns().len()];
        columns[0] = Value::Text(Cow::Borrowed(b"e1"));
        columns[1] = Value::Integer(-7);
        columns[2] = Value::Real(Cow::Borrowed(b"0.5"));
        columns[3] = Value::Blob(Cow::Borrowed(&[0xFF, 0]));
        SourceRow { table: Table::Episodes, columns, tags: Cow::Borrowed(b"1:a") }
    }

    #[test]
    fn rows_come_back_and_every_cut_is_seen() {
        let bytes = encode(&row());
        assert_eq!(decode(&bytes).expect("a row"), row());
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err());
        }
    }
}
