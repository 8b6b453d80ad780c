//! Times: chrono's, with a short way for the one spelling that do-memory writes.

use chrono::{DateTime, NaiveDate, Utc};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A time that prints, reads and serialises exactly as chrono's `DateTime<Utc>`. Rows hold a dozen of them, and
/// chrono's general reader and writer would be a fifth of the work on a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(DateTime<Utc>);

impl Stamp {
    pub const UNIX_EPOCH: Stamp = Stamp(DateTime::UNIX_EPOCH);

    pub fn from_timestamp(seconds: i64, nanos: u32) -> Option<Stamp> {
        DateTime::from_timestamp(seconds, nanos).map(Stamp)
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> i64 {
        self.0.timestamp()
    }

    pub fn nanos(self) -> u32 {
        self.0.timestamp_subsec_nanos()
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for Stamp {
    type Err = chrono::ParseError;

    fn from_str(text: &str) -> Result<Stamp, chrono::ParseError> {
        match read_common(text.as_bytes()) {
            Some(time) => Ok(Stamp(time)),
            None => text.parse().map(Stamp),
        }
    }
}

/// `2023-11-14T22:13:20Z`, with no fraction or one of 1 to 9 digits; None for every other spelling.
fn read_common(text: &[u8]) -> Option<DateTime<Utc>> {
    let (seconds, rest) = text.split_first_chunk::<19>()?;
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(at, byte)| seconds[at] != byte) {
        return None;
    }
    let nanos = match rest {
        b"Z" => 0,
        [b'.', digits @ .., b'Z'] if (1..=9).contains(&digits.len()) => {
            number(digits)? * 10_u32.pow(9 - digits.len() as u32)
        }
        _ => return None,
    };
    let two = |at: usize| number(&seconds[at..at + 2]);
    let date = NaiveDate::from_ymd_opt(number(&seconds[..4])? as i32, two(5)?, two(8)?)?;
    date.and_hms_nano_opt(two(11)?, two(14)?, two(17)?, nanos).map(|time| time.and_utc())
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number: u32, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then(|| number * 10 + u32::from(digit))
    })
}

/// The text of a time in the years that have four digits, and its length; None for others and for leap seconds.
fn write_common(time: DateTime<Utc>) -> Option<([u8; 30], usize)> {
    let (seconds, nanos) = (time.timestamp(), time.timestamp_subsec_nanos());
    let days = i32::try_from(seconds.div_euclid(86_400)).ok()?;
    let of_day = seconds.rem_euclid(86_400) as u32;
    let date = NaiveDate::from_epoch_days(days)?;
    let year = u32::try_from(chrono::Datelike::year(&date)).ok().filter(|year| *year <= 9999)?;
    if nanos >= 1_000_000_000 {
        return None;
    }
    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    put(&mut text[..4], year);
    put(&mut text[5..7], chrono::Datelike::month(&date));
    put(&mut text[8..10], chrono::Datelike::day(&date));
    put(&mut text[11..13], of_day / 3600);
    put(&mut text[14..16], of_day / 60 % 60);
    put(&mut text[17..19], of_day % 60);
    let end = match nanos {
        0 => 19,
        _ if nanos % 1_000_000 == 0 => 23,
        _ if nanos % 1_000 == 0 => 26,
        _ => 29,
    };
    put(&mut text[20..29], nanos);
    text[end] = b'Z';
    Some((text, end + 1))
}

fn put(digits: &mut [u8], mut number: u32) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match write_common(self.0) {
            Some((text, length)) => match std::str::from_utf8(&text[..length]) {
                Ok(text) => serializer.serialize_str(text),
                Err(_) => self.0.serialize(serializer),
            },
            None => self.0.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StampVisitor;

        impl Visitor<'_> for StampVisitor {
            type Value = Stamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 formatted date and time string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Stamp, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(StampVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn as_chrono(text: &str) {
        let ours = text.parse::<Stamp>().ok().map(|stamp| stamp.0);
        assert_eq!(ours, text.parse::<DateTime<Utc>>().ok(), "{text}");
    }

    #[test]
    fn odd_spellings_are_chronos() {
        for text in [
            "2023-11-14T22:13:20Z",
            "2023-11-14T22:13:20.1Z",
            "2023-11-14T22:13:20.123456789Z",
            "2023-11-14T22:13:20.1234567891Z",
            "2023-11-14T22:13:20.Z",
            "2023-11-14T22:13:20z",
            "2023-11-14t22:13:20Z",
            "2023-11-14 22:13:20Z",
            "2023-11-14T22:13:20+01:00",
            "2023-11-14T22:13:60Z",
            "2023-11-14T24:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-02-29T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999999Z",
            "+10000-01-01T00:00:00Z",
            "-0001-01-01T00:00:00Z",
            " 2023-11-14T22:13:20Z",
            "2023-11-14T22:13:20Z ",
            "2023-11-14T22:13:2/Z",
            "2023-1a-14T22:13:20Z",
            "",
        ] {
            as_chrono(text);
        }
    }

    proptest! {
        #[test]
        fn every_time_is_chronos(seconds in prop_oneof![-70_000_000_000_i64..300_000_000_000, -8_334_601_228_800_i64..8_210_266_876_799], nanos in 0_u32..2_000_000_000, unit in prop::sample::select(vec![1_u32, 1_000, 1_000_000, 1_000_000_000])) {
            let nanos = nanos / unit * unit;
            if let Some(stamp) = Stamp::from_timestamp(seconds, nanos) {
                let text = serde_json::to_string(&stamp).unwrap();
                prop_assert_eq!(&text, &serde_json::to_string(&stamp.0).unwrap());
                prop_assert_eq!(serde_json::from_str::<Stamp>(&text).unwrap(), stamp);
                prop_assert_eq!(format!("{stamp:?}"), format!("{:?}", stamp.0));
            }
        }

        #[test]
        fn damaged_times_are_chronos(at in 0_usize..30, byte in 32_u8..127) {
            let mut text = b"2023-11-14T22:13:20.123456789Z".to_vec();
            text[at] = byte;
            as_chrono(std::str::from_utf8(&text).unwrap());
        }
    }
}
