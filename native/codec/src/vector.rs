//! Embeddings: `Vec<f32>` in postcard (a varint count, then four little-endian bytes each) and as JSON text.

use std::fmt::Write as _;

/// Largest encoded embedding that do-memory stores.
pub(crate) const MAX_EMBEDDING_SIZE: usize = 1_000_000;

/// Count and bytes of an encoded embedding, if it is whole.
pub(crate) fn split(data: &[u8]) -> Result<&[u8], String> {
    let (count, rest) = postcard::take_from_bytes::<usize>(data).map_err(|error| error.to_string())?;
    match count.checked_mul(4) {
        Some(length) if length == rest.len() => Ok(rest),
        _ => Err(format!("{count} numbers announced, {} bytes there", rest.len())),
    }
}

/// An embedding as the cache holds it, from the little-endian bytes of its numbers.
pub(crate) fn encode(numbers: &[u8]) -> Vec<u8> {
    let mut count = numbers.len() / 4;
    let mut data = Vec::with_capacity(numbers.len() + 10);
    while count >= 0x80 {
        data.push(count as u8 | 0x80);
        count >>= 7;
    }
    data.push(count as u8);
    data.extend_from_slice(numbers);
    data
}

pub(crate) fn floats(numbers: &[u8]) -> impl Iterator<Item = f32> + '_ {
    numbers.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}

/// Little-endian bytes of a JSON array of finite numbers. Each is read as an f64 and narrowed, as do-memory and
/// libSQL's `vector32` both do.
pub(crate) fn from_json(text: &str) -> Result<Vec<u8>, String> {
    let bytes = text.as_bytes();
    let mut numbers = Vec::with_capacity(bytes.len() / 2);
    let mut at = skip_space(bytes, 0);
    if bytes.get(at) != Some(&b'[') {
        return Err("not a JSON array".into());
    }
    at = skip_space(bytes, at + 1);
    if bytes.get(at) == Some(&b']') {
        at += 1;
    } else {
        loop {
            let (number, length) =
                number(&bytes[at..]).ok_or_else(|| format!("element {} is not a number", numbers.len() / 4))?;
            let number = number as f32;
            if !number.is_finite() {
                return Err(format!("element {} is not finite", numbers.len() / 4));
            }
            numbers.extend_from_slice(&number.to_le_bytes());
            at = skip_space(bytes, at + length);
            match bytes.get(at) {
                Some(b',') => at = skip_space(bytes, at + 1),
                Some(b']') => {
                    at += 1;
                    break;
                }
                _ => return Err(format!("invalid JSON at byte {at}")),
            }
        }
    }
    if skip_space(bytes, at) != bytes.len() {
        return Err(format!("invalid JSON at byte {at}"));
    }
    Ok(numbers)
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\t' | b'\r')) {
        at += 1;
    }
    at
}

/// A number by JSON's grammar at the start, and its length.
fn number(bytes: &[u8]) -> Option<(f64, usize)> {
    short_decimal(bytes).or_else(|| any_number(bytes))
}

/// `12.345`: at most 15 digits and no exponent, as nearly every f32 prints. Both the digits and the power of ten are
/// exact in an f64, so that one division rounds right.
#[inline]
fn short_decimal(bytes: &[u8]) -> Option<(f64, usize)> {
    const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let negative = bytes.first() == Some(&b'-');
    let start = usize::from(negative);
    let (digits, whole_end) = digits(bytes, start, 0);
    let whole = whole_end - start;
    if whole == 0 || (whole > 1 && bytes[start] == b'0') || whole > 15 {
        return None;
    }
    let (digits, end) = match bytes.get(whole_end) {
        Some(b'.') => self::digits(bytes, whole_end + 1, digits),
        _ => return None,
    };
    let fraction = end - whole_end - 1;
    if fraction == 0 || whole + fraction > 15 || matches!(bytes.get(end), Some(b'e' | b'E')) {
        return None;
    }
    let value = digits as f64 / POWERS[fraction];
    Some((if negative { -value } else { value }, end))
}

/// The decimal digits from a place on, appended to those before, and where they end. Wraps when there are too many.
#[inline]
fn digits(bytes: &[u8], mut at: usize, mut number: u64) -> (u64, usize) {
    while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    (number, at)
}

fn any_number(bytes: &[u8]) -> Option<(f64, usize)> {
    let digits_from = usize::from(bytes.first() == Some(&b'-'));
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    // The parser below is laxer than JSON: it takes `.5`, `5.`, `007`, `+5` and `inf`.
    if !digit(digits_from) || (bytes[digits_from] == b'0' && digit(digits_from + 1)) {
        return None;
    }
    let (value, length) = fast_float2::parse_partial::<f64, _>(bytes).ok()?;
    let token = &bytes[..length];
    if !token.last()?.is_ascii_digit() {
        return None;
    }
    if let Some(point) = token.iter().position(|&byte| byte == b'.') {
        if !digit(point + 1) {
            return None;
        }
    }
    Some((value, length))
}

/// JSON text as serde_json prints a `Vec<f32>`.
pub(crate) fn to_json(numbers: &[u8]) -> Result<String, String> {
    let mut text = String::with_capacity(numbers.len() * 3 + 2);
    text.push('[');
    for (at, number) in floats(numbers).enumerate() {
        if at > 0 {
            text.push(',');
        }
        let printed = serde_json::to_string(&number).map_err(|error| error.to_string())?;
        text.write_str(&printed).map_err(|error| error.to_string())?;
    }
    text.push(']');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<Vec<f32>> {
        from_json(text).ok().map(|numbers| floats(&numbers).collect())
    }

    #[test]
    fn the_grammar_is_that_of_json() {
        assert_eq!(read(" [ 1 , -0.5,2e3, 1E-2,0.1e+1 ] "), Some(vec![1.0, -0.5, 2000.0, 0.01, 1.0]));
        assert_eq!(read("[]"), Some(vec![]));
        for text in [
            "",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1]]",
            "[1] 2",
            "[.5]",
            "[5.]",
            "[+5]",
            "[05]",
            "[-]",
            "[1e]",
            "[1.e5]",
            "[inf]",
            "[NaN]",
            "[nan]",
            "[infinity]",
            "[-inf]",
            "[null]",
            "[\"1\"]",
            "[1 2]",
            "[[1]]",
            "{}",
            "[1e39]",
            "[1e999]",
            "[0x1]",
            "[1_0]",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_as_serde_json_does(numbers in prop::collection::vec(any::<f32>().prop_filter("finite", |n| n.is_finite()), 0..40)) {
            let text = serde_json::to_string(&numbers).unwrap();
            prop_assert_eq!(read(&text).unwrap(), serde_json::from_str::<Vec<f32>>(&text).unwrap());
            prop_assert_eq!(to_json(&from_json(&text).unwrap()).unwrap(), text);
        }

        #[test]
        fn accepts_what_serde_json_accepts(text in "\\[[-+.0-9eE, ]{0,12}\\]") {
            let theirs = serde_json::from_str::<Vec<f32>>(&text).ok().filter(|list| list.iter().all(|n| n.is_finite()));
            prop_assert_eq!(read(&text), theirs);
        }

        #[test]
        fn numbers_are_rounded_right(text in "-?(0|[1-9][0-9]{0,17})(\\.[0-9]{1,18})?([eE][-+]?[0-9]{1,2})?") {
            let (value, length) = number(text.as_bytes()).unwrap();
            prop_assert_eq!((value.to_bits(), length), (text.parse::<f64>().unwrap().to_bits(), text.len()));
        }

        #[test]
        fn encoding_is_that_of_postcard(numbers in prop::collection::vec(any::<f32>(), 0..300)) {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            let data = encode(&bytes);
            prop_assert_eq!(&data, &postcard::to_stdvec(&numbers).unwrap());
            prop_assert_eq!(split(&data).unwrap(), bytes.as_slice());
        }
    }
}
