//! One value of a row.

use crate::source_row::Value;
use crate::types::Str;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::Engine as _;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// The protocol leaves the padding out; a gateway may restore it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `{"type": …, "value" or "base64": …}`, keys in any order.
pub(super) struct Cell<'a>(pub Value<'a>);

/// A row as it is written: an array of cells.
pub(super) fn into_values(cells: Vec<Cell<'_>>) -> Vec<Value<'_>> {
    cells.into_iter().map(|cell| cell.0).collect()
}

enum Scalar<'a> {
    Nothing,
    Text(Str<'a>),
    Number(f64),
    Whole(i64),
}

impl<'de: 'a, 'a> Deserialize<'de> for Cell<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value with its type")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Cell<'de>, A::Error> {
        let mut kind: Option<Str<'de>> = None;
        let mut scalar = Scalar::Nothing;
        while let Some(key) = access.next_key::<Str<'de>>()? {
            match &*key {
                "type" => kind = Some(access.next_value()?),
                "value" | "base64" => scalar = access.next_value()?,
                _ => {
                    access.next_value::<IgnoredAny>()?;
                }
            }
        }
        let Some(kind) = kind else {
            return Err(A::Error::missing_field("type"));
        };
        value_of(&kind, scalar).map(Cell).map_err(A::Error::custom)
    }
}

fn value_of<'a>(kind: &str, scalar: Scalar<'a>) -> Result<Value<'a>, String> {
    Ok(match (kind, scalar) {
        ("null", _) => Value::Null,
        ("text", Scalar::Text(text)) => Value::Text(bytes_of(text)),
        ("integer", Scalar::Text(text)) => {
            Value::Integer(text.parse().map_err(|_| format!("`{}` is not an integer", text.0))?)
        }
        ("integer", Scalar::Whole(number)) => Value::Integer(number),
        ("float", Scalar::Number(number)) => Value::Real(Cow::Owned(sqlite_text(number).into_bytes())),
        ("float", Scalar::Whole(number)) => Value::Real(Cow::Owned(sqlite_text(number as f64).into_bytes())),
        // Infinities have no JSON; which of the two it was is lost.
        ("float", Scalar::Nothing) => Value::Real(Cow::Borrowed(b"Inf")),
        ("blob", Scalar::Text(text)) => {
            Value::Blob(Cow::Owned(BASE64.decode(text.as_bytes()).map_err(|_| "a blob that is not base64")?))
        }
        ("text" | "integer" | "float" | "blob", _) => return Err(format!("a value of type {kind} in another form")),
        (other, _) => return Err(format!("a value of the unknown type `{other}`")),
    })
}

fn bytes_of(text: Str<'_>) -> Cow<'_, [u8]> {
    match text.0 {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// SQLite's text of a real, `%!.15g`: what it concatenates when nobody asked for more digits. It has no negative zero,
/// and its own 15th digit is off by one for a few numbers.
pub fn sqlite_text(number: f64) -> String {
    if number == 0.0 {
        return "0.0".into();
    }
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Inf" } else { "-Inf" }.into();
    }
    let printed = format!("{number:.14e}");
    let (mantissa, exponent) = printed.split_once('e').unwrap_or((&printed, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..15).contains(&exponent) {
        // The digits before the point and those after it are 15 together, as in the mantissa.
        return trimmed(&format!("{number:.*}", usize::try_from(14 - exponent).unwrap_or(0)));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
}

/// Without trailing zeros, but with a digit after the point.
fn trimmed(digits: &str) -> String {
    match digits.split_once('.') {
        None => format!("{digits}.0"),
        Some((whole, fraction)) => match fraction.trim_end_matches('0') {
            "" => format!("{whole}.0"),
            kept => format!("{whole}.{kept}"),
        },
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl<'de> Visitor<'de> for ScalarVisitor {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number or null")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Str(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Str(Cow::Owned(text.to_owned()))))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Whole(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Scalar<'de>, E> {
                Ok(i64::try_from(number).map_or(Scalar::Number(number as f64), Scalar::Whole))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Number(number))
            }

            fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Nothing)
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}
