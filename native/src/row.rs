//! From the columns of a response to a source row (`source_columns` in `_native.pyi`).

use crate::errors::{Fault, Outcome};
use std::borrow::Cow;
use storage_sync_codec::{Kind, SourceRow, Table, Value};

fn shape(table: Table, what: &str) -> Fault {
    Fault::stream("shape", format!("a row of {} {what}", table.name()))
}

fn text_of<'a>(table: Table, value: Option<Value<'a>>) -> Outcome<Cow<'a, [u8]>> {
    match value {
        Some(Value::Text(bytes) | Value::Blob(bytes)) => Ok(bytes),
        _ => Err(shape(table, "names no storage class")),
    }
}

/// A value from its `typeof` and its bytes.
fn typed<'a>(table: Table, class: &[u8], value: Option<Value<'a>>) -> Outcome<Value<'a>> {
    let bytes = match value {
        Some(Value::Text(bytes) | Value::Blob(bytes)) => bytes,
        Some(Value::Null) if class == b"null" => return Ok(Value::Null),
        _ => return Err(shape(table, "has no bytes where bytes are expected")),
    };
    match class {
        b"integer" => std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| text.parse().ok())
            .map(Value::Integer)
            .ok_or_else(|| shape(table, "has an integer that is not a number")),
        b"real" => Ok(Value::Real(bytes)),
        b"text" => Ok(Value::Text(bytes)),
        b"blob" => Ok(Value::Blob(bytes)),
        _ => Err(shape(table, "names an unknown storage class")),
    }
}

/// Columns in the order of a fetch's select list, to a row.
pub fn assemble<'a>(table: Table, columns: Vec<Value<'a>>, as_bytes: bool) -> Outcome<SourceRow<'a>> {
    let mut arrived = columns.into_iter();
    let mut row = Vec::with_capacity(table.columns().len());
    for column in table.columns() {
        let value = if as_bytes {
            let class = text_of(table, arrived.next())?;
            typed(table, &class, arrived.next())?
        } else {
            let value = arrived.next().ok_or_else(|| shape(table, "has too few columns"))?;
            if column.kind == Kind::Real { real(table, value, arrived.next())? } else { value }
        };
        row.push(value);
    }
    let tags = if table == Table::Episodes { tags(table, &mut arrived, as_bytes)? } else { Cow::Borrowed(&[][..]) };
    if arrived.next().is_some() {
        return Err(shape(table, "has too many columns"));
    }
    Ok(SourceRow { table, columns: row, tags })
}

/// A real arrives as its 17 digits, told from text by the `typeof` that follows.
fn real<'a>(table: Table, value: Value<'a>, class: Option<Value<'a>>) -> Outcome<Value<'a>> {
    let class = text_of(table, class)?;
    Ok(match value {
        Value::Text(digits) if *class == *b"real" => Value::Real(digits),
        other => other,
    })
}

fn tags<'a>(table: Table, arrived: &mut impl Iterator<Item = Value<'a>>, as_bytes: bool) -> Outcome<Cow<'a, [u8]>> {
    let first = text_of(table, arrived.next())?;
    if !as_bytes {
        return Ok(first);
    }
    match arrived.next() {
        Some(value) => text_of(table, Some(value)),
        // The canonical text of the tags may come by itself.
        None => Ok(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_and_plain_columns_give_the_same_row() {
        let text = |value: &'static str| Value::Text(Cow::Borrowed(value.as_bytes()));
        let blob = |value: &'static str| Value::Blob(Cow::Borrowed(value.as_bytes()));
        let plain = vec![
            text("h"),
            text("c"),
            text("a"),
            text("0.5"),
            text("real"),
            text("{}"),
            Value::Integer(7),
            Value::Null,
        ];
        let as_bytes = vec![
            text("text"),
            blob("h"),
            text("text"),
            blob("c"),
            text("text"),
            blob("a"),
            text("real"),
            blob("0.5"),
            text("text"),
            blob("{}"),
            text("integer"),
            blob("7"),
            text("null"),
            Value::Null,
        ];
        let plain = assemble(Table::Heuristics, plain, false).expect("a row");
        assert_eq!(plain, assemble(Table::Heuristics, as_bytes, true).expect("a row"));
        assert!(assemble(Table::Heuristics, vec![text("h")], false).is_err());
    }
}
