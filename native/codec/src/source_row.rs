//! One row of the primary as it arrives.

use crate::table::Table;
use std::borrow::Cow;

/// One SQLite value; bytes are borrowed from the response where they can be.
#[derive(Clone, PartialEq, Debug)]
pub enum Value<'a> {
    Null,
    Integer(i64),
    /// The text that SQLite prints for it: `printf('%!.17g')` where the column is declared real.
    Real(Cow<'a, [u8]>),
    /// Bytes as stored; they may not be UTF-8.
    Text(Cow<'a, [u8]>),
    Blob(Cow<'a, [u8]>),
}

impl Value<'_> {
    /// SQLite's `typeof`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Integer(_) => "integer",
            Value::Real(_) => "real",
            Value::Text(_) => "text",
            Value::Blob(_) => "blob",
        }
    }

    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Integer(number) => Value::Integer(number),
            Value::Real(text) => Value::Real(Cow::Owned(text.into_owned())),
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::Blob(bytes) => Value::Blob(Cow::Owned(bytes.into_owned())),
        }
    }

    /// Bytes of a text, real or blob; nothing for the others.
    pub(crate) fn len(&self) -> usize {
        match self {
            Value::Null | Value::Integer(_) => 0,
            Value::Real(bytes) | Value::Text(bytes) | Value::Blob(bytes) => bytes.len(),
        }
    }
}

/// A row of one table: its source columns in the order of `Table::columns`.
#[derive(Clone, PartialEq, Debug)]
pub struct SourceRow<'a> {
    pub table: Table,
    pub columns: Vec<Value<'a>>,
    /// Canonical tags text, `<octets>:<tag>` joined by `,` in tag order; empty for all but episodes.
    pub tags: Cow<'a, [u8]>,
}

impl SourceRow<'_> {
    /// Bytes of its texts, reals and blobs, tags included.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(Value::len).sum::<usize>() + self.tags.len()
    }

    /// A row that outlives the response that it came in.
    pub fn into_owned(self) -> SourceRow<'static> {
        SourceRow {
            table: self.table,
            columns: self.columns.into_iter().map(Value::into_owned).collect(),
            tags: Cow::Owned(self.tags.into_owned()),
        }
    }
}
