//! What is to be proven, and the digests that prove it (docs/protocol.md#digests).

use crate::errors::{Fault, Outcome};
use crate::keys::{Bucket, Digest, KeyList, hex_upper};
use pyo3::prelude::*;
use storage_sync_codec::{Algorithm, Table};

/// Version of the canonical encoding.
pub const ENCODING: u32 = 1;
/// How many tables there are; arrays by table number have this length.
pub const TABLES: usize = Table::ALL.len();

/// Into how many parts the rows can be divided at most: the ends of UUIDs make no more buckets.
pub const MOST_PARTS: u32 = 256;

/// One part of the rows: its number, from 1 on, and how many there are.
pub type Part = (u32, u32);

/// Whether the rows of a bucket are in the part, or in the whole when there is none.
pub fn holds(part: Option<Part>, bucket: Bucket) -> bool {
    part.is_none_or(|(number, of)| bucket.part(of) + 1 == number)
}

/// Digest function, window and switches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScopeParts {
    pub algorithm: Algorithm,
    pub window: u64,
    pub patterns: bool,
    pub embeddings: bool,
    /// Only these rows, which proves nothing of the others.
    pub part: Option<Part>,
}

impl ScopeParts {
    pub fn includes(&self, table: Table) -> bool {
        match table {
            Table::Patterns | Table::Heuristics | Table::Procedural | Table::EpisodePatternRelationships => {
                self.patterns
            }
            Table::Embeddings => self.embeddings,
            _ => true,
        }
    }

    pub fn tables(&self) -> impl Iterator<Item = Table> + use<> {
        let parts = *self;
        Table::ALL.into_iter().filter(move |table| parts.includes(*table))
    }

    fn text(&self) -> String {
        let (window, patterns, embeddings) = (self.window, u8::from(self.patterns), u8::from(self.embeddings));
        let part = self.part.map_or_else(String::new, |(number, of)| format!("part={number}/{of};"));
        format!("enc={ENCODING};window={window};patterns={patterns};embeddings={embeddings};{part}")
    }

    /// The one digest over the scope and its table roots; `parts` gives expected count and root of a table.
    pub fn root(&self, parts: impl Fn(Table) -> (u64, String)) -> String {
        let mut text = self.text();
        for table in self.tables() {
            let (expected, root) = parts(table);
            text.push_str(&format!("{}:{expected}:{root};", table.name()));
        }
        hex_upper(&self.algorithm.digest(text.as_bytes())).to_ascii_lowercase()
    }
}

/// Digest of one bucket: over the hex of its row digests in key order.
pub fn bucket_digest(algorithm: Algorithm, rows: impl Iterator<Item = Digest>) -> Digest {
    let mut hasher = algorithm.hasher();
    for digest in rows {
        hasher.update(hex_upper(&digest).as_bytes());
    }
    let mut out = [0; 16];
    out.copy_from_slice(&hasher.finalize()[..16]);
    out
}

/// Root of a table over its buckets in order; '' for none.
pub fn table_root(algorithm: Algorithm, buckets: impl Iterator<Item = (Bucket, Digest)>) -> String {
    let mut hasher = algorithm.hasher();
    let mut any = false;
    for (bucket, digest) in buckets {
        any = true;
        hasher.update(bucket.hex().as_bytes());
        hasher.update(hex_upper(&digest).as_bytes());
    }
    if any { hex_upper(&hasher.finalize()[..16]) } else { String::new() }
}

/// Buckets with their digests, in order, of rows that come in key order (equal keys in digest order).
pub fn bucketize(algorithm: Algorithm, mut rows: Vec<(Bucket, Digest)>) -> Vec<(Bucket, Digest)> {
    // Stable, so that the key order stays inside each bucket.
    rows.sort_by_key(|row| row.0);
    rows.chunk_by(|a, b| a.0 == b.0)
        .map(|chunk| (chunk[0].0, bucket_digest(algorithm, chunk.iter().map(|row| row.1))))
        .collect()
}

/// Root of a table of these rows, which are sorted.
pub fn root_of_rows(scope: &ScopeParts, rows: &KeyList) -> String {
    let buckets = bucketize(scope.algorithm, (0..rows.len()).map(|at| (rows.bucket(at), rows.digest(at))).collect());
    table_root(scope.algorithm, buckets.into_iter())
}

/// The root over tables of sorted rows, by table number.
pub fn root_of_tables(scope: &ScopeParts, tables: &[KeyList]) -> String {
    scope.root(|table| {
        let rows = &tables[usize::from(table.number())];
        (rows.len() as u64, root_of_rows(scope, rows))
    })
}

/// The scope as Python sees it.
#[pyclass(frozen, module = "storage_sync._native")]
pub struct Scope {
    pub parts: ScopeParts,
}

#[pymethods]
impl Scope {
    #[new]
    #[pyo3(signature = (*, digest, window, patterns, embeddings, part = None))]
    fn new(digest: &str, window: u64, patterns: bool, embeddings: bool, part: Option<Part>) -> PyResult<Self> {
        let algorithm = algorithm_named(digest)?;
        if part.is_some_and(|(number, of)| number == 0 || number > of || of > MOST_PARTS) {
            return Err(Fault::value("there is no such part").into());
        }
        Ok(Self { parts: ScopeParts { algorithm, window, patterns, embeddings, part } })
    }

    #[getter]
    fn tables(&self) -> Vec<&'static str> {
        self.parts.tables().map(Table::name).collect()
    }

    #[getter]
    fn window(&self) -> u64 {
        self.parts.window
    }

    #[getter]
    fn part(&self) -> Option<Part> {
        self.parts.part
    }

    #[getter]
    fn digest(&self) -> &'static str {
        self.parts.algorithm.name()
    }

    #[getter]
    fn config_hash(&self) -> String {
        let text = format!("digest={};{}", self.parts.algorithm.name(), self.parts.text());
        hex_upper(&blake3::hash(text.as_bytes()).as_bytes()[..16]).to_ascii_lowercase()
    }

    fn __repr__(&self) -> String {
        format!("<Scope digest={};{}>", self.parts.algorithm.name(), self.parts.text())
    }
}

pub fn algorithm_named(name: &str) -> Outcome<Algorithm> {
    Algorithm::from_name(name).ok_or_else(|| Fault::value(format!("no digest function is called {name:?}")))
}

pub fn table_named(name: &str) -> Outcome<Table> {
    Table::from_name(name).ok_or_else(|| Fault::value(format!("no table of the projection is called {name:?}")))
}
