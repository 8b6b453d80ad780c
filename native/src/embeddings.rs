//! Every embedding of one moment, for whoever inspects them: facts in columns, the numbers in a nameless file.

use crate::create::new_file;
use crate::errors::{Fault, Outcome};
use crate::keys::uuid_bytes;
use crate::ledger::value_digest;
use crate::panics::detached;
use crate::tables::{ReadBytes, byte_table, open_if};
use crate::vectors::numbers;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use redb::ReadTransaction;
use std::collections::HashMap;
use std::fs::{File, remove_file};
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use storage_sync_codec::{Owner, Table, embedding_owner, label, title};

type Id = [u8; 16];
/// Ids, titles, and the places of their labels.
type Lone = Vec<(String, Option<String>, Option<u32>)>;
/// Domain and tags.
type Label = (String, Vec<String>);

/// The value decodes; all its numbers are finite; one of them is not zero.
const DECODES: u8 = 1;
const FINITE: u8 = 2;
const NON_ZERO: u8 = 4;
const USABLE: u8 = DECODES | FINITE | NON_ZERO;

/// Octets that are read at once while vectors are compared.
const CHUNK: usize = 1 << 20;

/// What a key says of its owner, and whether that is in the file.
#[derive(Clone, Copy)]
enum Owned {
    None = 0,
    Episode = 1,
    Pattern = 2,
    EpisodeGone = 3,
    PatternGone = 4,
    /// A bare UUID that names neither.
    Bare = 5,
}

/// Owners in key order, and which of them an embedding names.
struct Owners {
    kind: Table,
    rows: Option<ReadBytes>,
    ids: Vec<Id>,
    named: Vec<bool>,
}

impl Owners {
    fn read(transaction: &ReadTransaction, table: Table) -> Outcome<Self> {
        let mut ids = Vec::new();
        let rows = open_if(transaction, byte_table(table.name()))?;
        if let Some(open) = &rows {
            for row in open.range::<&str>(..)? {
                ids.extend(uuid_bytes(row?.0.value().as_bytes()));
            }
        }
        let named = vec![false; ids.len()];
        Ok(Self { kind: table, rows, ids, named })
    }

    /// Whether it is there; it counts as named from now on.
    fn name(&mut self, id: &Id) -> bool {
        match self.ids.binary_search(id) {
            Ok(at) => {
                self.named[at] = true;
                true
            }
            Err(_) => false,
        }
    }

    /// Those that no embedding names.
    fn lone(&self, labels: &mut Labels) -> Outcome<Lone> {
        let pairs = self.ids.iter().zip(&self.named);
        let ids = pairs.filter(|(_, named)| !**named).map(|(id, _)| uuid_text(id));
        ids.map(|id| self.words(&id, labels).map(|(title, label)| (id, title, label))).collect()
    }

    /// Title and the place of the label.
    fn words(&self, id: &str, labels: &mut Labels) -> Outcome<(Option<String>, Option<u32>)> {
        let Some(found) = self.rows.as_ref().map(|rows| rows.get(id)).transpose()?.flatten() else {
            return Ok((None, None));
        };
        let value = found.value();
        Ok((title(self.kind, value), label(self.kind, value).map(|label| labels.place(label))))
    }
}

/// Each label once: many owners have the same.
#[derive(Default)]
struct Labels {
    all: Vec<Label>,
    places: HashMap<Label, u32>,
}

impl Labels {
    fn place(&mut self, label: Label) -> u32 {
        if let Some(place) = self.places.get(&label) {
            return *place;
        }
        let place = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(label.clone());
        self.places.insert(label, place);
        place
    }
}

fn uuid_text(id: &Id) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in id.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}

#[derive(Default)]
struct Columns {
    keys: Vec<String>,
    /// Where each row's octets end in the file.
    ends: Vec<u64>,
    flags: Vec<u8>,
    owners: Vec<u8>,
    norms: Vec<f64>,
    digests: Vec<u8>,
    titles: Vec<Option<String>>,
    /// Rows whose owner has a label, and its place; the others take no room.
    labelled: Vec<(u32, u32)>,
}

/// Every embedding of one moment. The numbers are read back from a file that has no name any more.
#[pyclass(frozen, module = "storage_sync._native")]
pub struct Embeddings {
    file: File,
    columns: Columns,
    lone_episodes: Lone,
    lone_patterns: Lone,
    labels: Vec<Label>,
}

fn nameless(path: &Path) -> Outcome<File> {
    let named = |error| Fault::io(error, path);
    let file = new_file(path).map_err(named)?;
    remove_file(path).map_err(named)?;
    Ok(file)
}

fn floats(numbers: &[u8]) -> impl Iterator<Item = f32> + '_ {
    numbers.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}

/// Flags and norm of the numbers of one vector.
fn judge(numbers: &[u8]) -> (u8, f64) {
    let mut flags = DECODES | FINITE;
    let mut sum = 0.0;
    for number in floats(numbers) {
        if !number.is_finite() {
            return (flags & !FINITE, f64::NAN);
        }
        if number != 0.0 {
            flags |= NON_ZERO;
        }
        sum += f64::from(number) * f64::from(number);
    }
    (flags, sum.sqrt())
}

/// The id at the end of a key that names an owner.
fn tail(key: &str) -> &str {
    key.len().checked_sub(36).and_then(|at| key.get(at..)).unwrap_or(key)
}

fn owned(key: &str, episodes: &mut Owners, patterns: &mut Owners) -> Owned {
    match embedding_owner(key) {
        Owner::Episode(id) if episodes.name(id.as_bytes()) => Owned::Episode,
        Owner::Episode(_) => Owned::EpisodeGone,
        Owner::Pattern(id) if patterns.name(id.as_bytes()) => Owned::Pattern,
        Owner::Pattern(_) => Owned::PatternGone,
        Owner::Bare(id) if episodes.name(id.as_bytes()) => Owned::Episode,
        Owner::Bare(id) if patterns.name(id.as_bytes()) => Owned::Pattern,
        Owner::Bare(_) => Owned::Bare,
        Owner::None => Owned::None,
    }
}

fn fill(
    columns: &mut Columns,
    rows: &ReadBytes,
    file: &File,
    episodes: &mut Owners,
    patterns: &mut Owners,
    labels: &mut Labels,
) -> Outcome<()> {
    let unwritten = |error| Fault::Io(error, "the inspected vectors".to_owned());
    let mut writer = BufWriter::with_capacity(CHUNK, file);
    let mut end = 0;
    for row in rows.range::<&str>(..)? {
        let (key, value) = row?;
        let (key, value) = (key.value(), value.value());
        let (kept, flags, norm) = match numbers(value) {
            Some(found) => {
                let (flags, norm) = judge(found);
                (found, flags, norm)
            }
            None => (value, 0, f64::NAN),
        };
        writer.write_all(kept).map_err(unwritten)?;
        end += kept.len() as u64;
        columns.ends.push(end);
        columns.flags.push(flags);
        columns.norms.push(norm);
        let owner = owned(key, episodes, patterns);
        columns.owners.push(owner as u8);
        let (title, label) = match owner {
            Owned::Episode => episodes.words(tail(key), labels)?,
            Owned::Pattern => patterns.words(tail(key), labels)?,
            _ => (None, None),
        };
        if let (Some(label), Ok(row)) = (label, u32::try_from(columns.keys.len())) {
            columns.labelled.push((row, label));
        }
        columns.titles.push(title);
        columns.digests.extend_from_slice(&value_digest(value));
        columns.keys.push(key.to_owned());
    }
    writer.flush().map_err(unwritten)
}

impl Embeddings {
    pub fn read(transaction: &ReadTransaction, path: &Path) -> Outcome<Self> {
        let file = nameless(path)?;
        let mut episodes = Owners::read(transaction, Table::Episodes)?;
        let mut patterns = Owners::read(transaction, Table::Patterns)?;
        let mut columns = Columns::default();
        let mut labels = Labels::default();
        if let Some(rows) = open_if(transaction, byte_table(Table::Embeddings.name()))? {
            fill(&mut columns, &rows, &file, &mut episodes, &mut patterns, &mut labels)?;
        }
        let lone_episodes = episodes.lone(&mut labels)?;
        let lone_patterns = patterns.lone(&mut labels)?;
        Ok(Self { file, columns, lone_episodes, lone_patterns, labels: labels.all })
    }

    fn place(&self, row: usize) -> Outcome<(u64, usize)> {
        let ends = &self.columns.ends;
        let end = *ends.get(row).ok_or_else(|| Fault::value(format!("there is no row {row}")))?;
        let start = if row == 0 { 0 } else { ends[row - 1] };
        Ok((start, usize::try_from(end - start).unwrap_or(usize::MAX)))
    }

    fn octets(&self, start: u64, length: usize) -> Outcome<Vec<u8>> {
        let mut data = vec![0; length];
        let unread = |error| Fault::Io(error, "the inspected vectors".to_owned());
        self.file.read_exact_at(&mut data, start).map_err(unread)?;
        Ok(data)
    }

    fn compare(&self, row: usize) -> Outcome<Vec<f64>> {
        let (start, length) = self.place(row)?;
        let own: Vec<f32> = floats(&self.octets(start, length)?).collect();
        let columns = &self.columns;
        let comparable = |other: usize| other != row && columns.flags[other] == USABLE;
        let mut found = vec![f64::NAN; columns.keys.len()];
        if columns.flags[row] != USABLE {
            return Ok(found);
        }
        let mut first = 0;
        while first < found.len() {
            let (from, mut length) = self.place(first)?;
            let mut next = first + 1;
            while next < found.len() && length < CHUNK {
                length += self.place(next)?.1;
                next += 1;
            }
            let data = self.octets(from, length)?;
            for (other, slot) in found.iter_mut().enumerate().take(next).skip(first) {
                let (start, length) = self.place(other)?;
                if length == own.len() * 4 && comparable(other) {
                    let at = usize::try_from(start - from).unwrap_or(usize::MAX);
                    *slot = dot(&own, &data[at..at + length]) / (columns.norms[row] * columns.norms[other]);
                }
            }
            first = next;
        }
        Ok(found)
    }
}

/// Sum of the products, in lanes that the compiler can keep apart.
fn dot(own: &[f32], numbers: &[u8]) -> f64 {
    let mut lanes = [0.0f64; 8];
    let whole = own.len() / 8 * 8;
    for (ours, theirs) in own[..whole].chunks_exact(8).zip(numbers.chunks_exact(32)) {
        for (index, lane) in lanes.iter_mut().enumerate() {
            let at = index * 4;
            let other = f32::from_le_bytes([theirs[at], theirs[at + 1], theirs[at + 2], theirs[at + 3]]);
            *lane += f64::from(ours[index]) * f64::from(other);
        }
    }
    let rest = own[whole..].iter().zip(floats(&numbers[whole * 4..]));
    lanes.iter().sum::<f64>() + rest.map(|(ours, other)| f64::from(*ours) * f64::from(other)).sum::<f64>()
}

fn packed<'py>(py: Python<'py>, numbers: impl Iterator<Item = [u8; 8]>) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &numbers.flatten().collect::<Vec<u8>>())
}

#[pymethods]
impl Embeddings {
    fn __len__(&self) -> usize {
        self.columns.keys.len()
    }

    #[getter]
    fn keys(&self) -> Vec<&str> {
        self.columns.keys.iter().map(String::as_str).collect()
    }

    #[getter]
    fn ends<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        packed(py, self.columns.ends.iter().map(|end| end.to_le_bytes()))
    }

    #[getter]
    fn norms<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        packed(py, self.columns.norms.iter().map(|norm| norm.to_le_bytes()))
    }

    #[getter]
    fn flags<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.columns.flags)
    }

    #[getter]
    fn owners<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.columns.owners)
    }

    #[getter]
    fn digests<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.columns.digests)
    }

    #[getter]
    fn titles(&self) -> Vec<Option<&str>> {
        self.columns.titles.iter().map(Option::as_deref).collect()
    }

    #[getter]
    fn labels(&self) -> Vec<Label> {
        self.labels.clone()
    }

    #[getter]
    fn labelled<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let pairs = self.columns.labelled.iter().flat_map(|(row, label)| [row.to_le_bytes(), label.to_le_bytes()]);
        PyBytes::new(py, &pairs.flatten().collect::<Vec<u8>>())
    }

    #[getter]
    fn lone_episodes(&self) -> Lone {
        self.lone_episodes.clone()
    }

    #[getter]
    fn lone_patterns(&self) -> Lone {
        self.lone_patterns.clone()
    }

    fn value<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Bound<'py, PyBytes>> {
        let data = detached(py, || {
            let (start, length) = self.place(row)?;
            self.octets(start, length)
        })?;
        Ok(PyBytes::new(py, &data))
    }

    fn cosines<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Bound<'py, PyBytes>> {
        let found = detached(py, || self.compare(row))?;
        Ok(packed(py, found.iter().map(|number| number.to_le_bytes())))
    }
}

/// Where the nameless file is made: a name that nobody else has for the moment that it has one.
pub fn place_in(folder: &Path) -> PathBuf {
    let stamp = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    folder.join(format!("vectors-{}-{}", std::process::id(), stamp.as_nanos()))
}
