//! Typed access to the columns of a source row; what does not fit is refused with its column and a reason.

use crate::key::canonical_uuid;
use crate::payload;
use crate::source_row::{SourceRow, Value};
use crate::types::{Stamp, Str, F32};
use serde::Deserialize;
use std::borrow::Cow;
use uuid::Uuid;

/// What a select sends in place of a text or of all tags that the server cannot put into one value, before its octets.
const OVERSIZE: &[u8] = b"oversize:";

/// Largest row that do-memory accepts, and largest payload that is expanded: bytes.
pub(crate) const MAX_ROW_SIZE: usize = 10_000_000;

/// Why a row cannot be represented.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub column: String,
    pub reason: String,
}

pub(crate) type Fits<T> = Result<T, Refusal>;

/// The columns of one row, by their place in `Table::columns`.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'r> {
    row: &'r SourceRow<'r>,
}

impl<'r> Columns<'r> {
    /// Checks the row as a whole: one value a column, not more than do-memory accepts.
    pub fn of(row: &'r SourceRow<'r>) -> Fits<Columns<'r>> {
        let expected = row.table.columns();
        if row.columns.len() != expected.len() {
            let reason = format!("{} values for {} columns", row.columns.len(), expected.len());
            return Err(Refusal { column: "*".into(), reason });
        }
        let columns = Columns { row };
        let size = columns.size();
        if size > MAX_ROW_SIZE {
            let widest = (0..expected.len()).max_by_key(|&at| row.columns[at].len()).unwrap_or(0);
            return columns.refuse(widest, format!("the row has {size} bytes, more than do-memory's {MAX_ROW_SIZE}"));
        }
        Ok(columns)
    }

    pub fn refuse<T>(self, at: usize, reason: impl Into<String>) -> Fits<T> {
        Err(Refusal { column: self.row.table.columns()[at].name.into(), reason: reason.into() })
    }

    fn wrong_class<T>(self, at: usize, wanted: &str) -> Fits<T> {
        match &self.row.columns[at] {
            Value::Null => self.refuse(at, "NULL where a value is required"),
            Value::Blob(bytes) if bytes.starts_with(OVERSIZE) => self.refuse(at, oversize(bytes)),
            other => self.refuse(at, format!("a value of type {} where {wanted} is required", other.type_name())),
        }
    }

    /// Bytes of all columns: about what the encoded value will need.
    pub fn size(self) -> usize {
        self.row.columns.iter().map(Value::len).sum::<usize>() + self.row.tags.len()
    }

    pub fn is_null(self, at: usize) -> bool {
        matches!(self.row.columns[at], Value::Null)
    }

    fn optional<T>(self, at: usize, read: fn(Self, usize) -> Fits<T>) -> Fits<Option<T>> {
        if self.is_null(at) {
            return Ok(None);
        }
        read(self, at).map(Some)
    }

    pub fn text(self, at: usize) -> Fits<&'r str> {
        let Value::Text(bytes) = &self.row.columns[at] else {
            return self.wrong_class(at, "text");
        };
        match simdutf8::compat::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(error) => self.refuse(at, format!("text that is not UTF-8 at byte {}", error.valid_up_to())),
        }
    }

    pub fn string(self, at: usize) -> Fits<Str<'r>> {
        self.text(at).map(Str::from)
    }

    pub fn optional_string(self, at: usize) -> Fits<Option<Str<'r>>> {
        self.optional(at, Self::string)
    }

    pub fn integer(self, at: usize) -> Fits<i64> {
        match self.row.columns[at] {
            Value::Integer(number) => Ok(number),
            _ => self.wrong_class(at, "integer"),
        }
    }

    pub fn optional_byte(self, at: usize) -> Fits<Option<u8>> {
        let Some(number) = self.optional(at, Self::integer)? else {
            return Ok(None);
        };
        match u8::try_from(number) {
            Ok(byte) => Ok(Some(byte)),
            Err(_) => self.refuse(at, format!("{number} is not within 0 to 255")),
        }
    }

    /// A real, narrowed to do-memory's f32.
    pub fn real(self, at: usize) -> Fits<F32> {
        let Value::Real(text) = &self.row.columns[at] else {
            return self.wrong_class(at, "real");
        };
        match std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok()) {
            Some(number) => Ok(F32(number as f32)),
            None => self.refuse(at, "not a number"),
        }
    }

    pub fn optional_real(self, at: usize) -> Fits<Option<F32>> {
        self.optional(at, Self::real)
    }

    pub fn blob(self, at: usize) -> Fits<&'r [u8]> {
        match &self.row.columns[at] {
            Value::Blob(bytes) => Ok(bytes),
            _ => self.wrong_class(at, "blob"),
        }
    }

    pub fn optional_blob(self, at: usize) -> Fits<Option<&'r [u8]>> {
        self.optional(at, Self::blob)
    }

    /// Seconds since 1970.
    pub fn time(self, at: usize) -> Fits<Stamp> {
        let seconds = self.integer(at)?;
        match Stamp::from_timestamp(seconds, 0) {
            Some(stamp) => Ok(stamp),
            None => self.refuse(at, format!("{seconds} seconds is outside the range of times")),
        }
    }

    pub fn optional_time(self, at: usize) -> Fits<Option<Stamp>> {
        self.optional(at, Self::time)
    }

    /// An id in the one spelling that keys have.
    pub fn uuid(self, at: usize) -> Fits<Uuid> {
        match canonical_uuid(self.text(at)?) {
            Some(id) => Ok(id),
            None => self.refuse(at, "not a lower-case hyphenated UUID"),
        }
    }

    pub fn json<T: Deserialize<'r>>(self, at: usize) -> Fits<T> {
        self.parse(at, self.text(at)?)
    }

    /// JSON that may be NULL or `null`.
    pub fn optional_json<T: Deserialize<'r>>(self, at: usize) -> Fits<Option<T>> {
        if self.is_null(at) {
            return Ok(None);
        }
        self.json(at)
    }

    pub fn parse<'t, T: Deserialize<'t>>(self, at: usize, text: &'t str) -> Fits<T> {
        serde_json::from_str(text).or_else(|error| self.refuse(at, format!("invalid JSON: {error}")))
    }

    /// Text that a writer may have compressed.
    pub fn expanded(self, at: usize) -> Fits<Cow<'r, str>> {
        let text = self.text(at)?;
        let bytes = match payload::expand(text, MAX_ROW_SIZE) {
            None => return Ok(Cow::Borrowed(text)),
            Some(Ok(bytes)) => bytes,
            Some(Err(reason)) => return self.refuse(at, reason),
        };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(_) => self.refuse(at, "compressed payload that is not UTF-8"),
        }
    }

    /// The tags of an episode out of their canonical text `<octets>:<tag>,…`.
    pub fn tags(self) -> Fits<Vec<Str<'r>>> {
        let refusal = |reason| Refusal { column: "tags".into(), reason };
        if self.row.tags.starts_with(OVERSIZE) {
            return Err(refusal(oversize(&self.row.tags)));
        }
        split_tags(&self.row.tags).ok_or_else(|| refusal("tags that are not UTF-8 text".into()))
    }
}

/// Why a row is rejected of which the server sent only how long a part of it is.
fn oversize(sent: &[u8]) -> String {
    let octets = String::from_utf8_lossy(&sent[OVERSIZE.len()..]);
    format!("{octets} bytes in a row that is larger than the primary can send")
}

fn split_tags(mut text: &[u8]) -> Option<Vec<Str<'_>>> {
    let mut tags = Vec::new();
    while !text.is_empty() {
        if !tags.is_empty() {
            text = text.strip_prefix(b",")?;
        }
        let colon = text.iter().position(|&byte| byte == b':')?;
        let length: usize = std::str::from_utf8(&text[..colon]).ok()?.parse().ok()?;
        let (tag, rest) = text[colon + 1..].split_at_checked(length)?;
        tags.push(Str::from(std::str::from_utf8(tag).ok()?));
        text = rest;
    }
    Some(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(text: &[u8]) -> Option<Vec<String>> {
        split_tags(text).map(|tags| tags.iter().map(|tag| tag.to_string()).collect())
    }

    fn episode(text: &[u8], tags: &[u8]) -> SourceRow<'static> {
        let mut columns = vec![Value::Null; crate::Table::Episodes.columns().len()];
        columns[2] = Value::Text(Cow::Owned(text.to_vec()));
        SourceRow { table: crate::Table::Episodes, columns, tags: Cow::Owned(tags.to_vec()) }
    }

    #[test]
    fn the_largest_row_that_do_memory_accepts_is_accepted() {
        let text = vec![b'x'; MAX_ROW_SIZE - 4];
        assert!(Columns::of(&episode(&text, b"2:aa")).is_ok());
        let refusal = Columns::of(&episode(&text, b"3:aaa")).err().expect("too large");
        assert_eq!(refusal.column, "task_description");
        assert_eq!(refusal.reason, "the row has 10000001 bytes, more than do-memory's 10000000");
    }

    #[test]
    fn tags_of_which_only_the_length_came_are_rejected_with_it() {
        let row = episode(b"", b"oversize:6200123");
        let refusal = Columns::of(&row).and_then(Columns::tags).expect_err("no tags");
        assert_eq!(refusal.column, "tags");
        assert_eq!(refusal.reason, "6200123 bytes in a row that is larger than the primary can send");
    }

    #[test]
    fn tags_are_split_by_their_octets() {
        assert_eq!(tags(b""), Some(vec![]));
        assert_eq!(tags("1:a,3:b,c,0:,2:é".as_bytes()), Some(vec!["a".into(), "b,c".into(), "".into(), "é".into()]));
        for bad in [b"a".as_slice(), b"2:a", b"1:ab", b"1:a,", b"1:\xff", b"-1:", b"99999999999999999999:a", b":a"] {
            assert_eq!(tags(bad), None, "{bad:?}");
        }
    }
}
