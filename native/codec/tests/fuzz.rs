//! Whatever bytes come, a decoder says what they are or refuses them: no panic, no long work, no other answer for the
//! same bytes in other pieces.
//!
//! Each file below `corpus/<target>` is played as it is and in changed forms; `FUZZ_SECONDS` goes on with further ones
//! (`make fuzz`). What fails is kept in the corpus under the name of its digest.

use std::borrow::Cow;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};
use storage_sync_codec::hrana::{parse_pipeline, CursorParser};
use storage_sync_codec::{
    check_value, decode_json, embedding_values, encode_json, merge, only_projection, pattern_debug, row_digest,
    session_stamp, Algorithm, SourceRow, Table, Value,
};

const KEY: &str = "00112233-4455-6677-8899-aabbccddee01";
/// Changed forms of each file when no time is asked for.
const EACH: usize = 300;
const LONGEST: usize = 64 << 10;
const SLOWEST: Duration = Duration::from_secs(2);
/// Between the columns of a row's file.
const NEXT: u8 = 0x1f;

/// A cached value: the number of its table, then its bytes.
fn value(data: &[u8]) {
    let Some((table, data)) = with_table(data) else { return };
    if let Ok(json) = decode_json(table, data) {
        let _ = encode_json(table, &json);
    }
    let _ = check_value(table, KEY, data);
    let _ = only_projection(table, data);
    let _ = pattern_debug(data);
    let _ = session_stamp(data);
    let _ = embedding_values(data);
}

/// A row of the primary: the number of its table, then each column with its type before it. Debug texts, JSON, numbers
/// and vectors are all columns.
fn row(data: &[u8]) {
    let Some((table, data)) = with_table(data) else { return };
    let mut columns: Vec<Value> = data.split(|byte| *byte == NEXT).map(column).collect();
    columns.resize(table.columns().len(), Value::Null);
    let row = SourceRow { table, columns, tags: Cow::Borrowed(b"") };
    let merged = merge(&row, None);
    if let Some(made) = merged.as_ref().ok().and_then(|merged| merged.value.as_ref()) {
        assert!(decode_json(table, made).is_ok(), "what was made cannot be read");
        let again = merge(&row, Some(made)).expect("a row that was accepted");
        assert!(again.value.as_ref().is_none_or(|value| value == made), "the same row makes other bytes");
    }
    let _ = row_digest(&row, Algorithm::Blake3);
}

fn column(piece: &[u8]) -> Value<'_> {
    match piece.split_first() {
        Some((b't', rest)) => Value::Text(rest.into()),
        Some((b'b', rest)) => Value::Blob(rest.into()),
        Some((b'r', rest)) => Value::Real(rest.into()),
        Some((b'i', rest)) => {
            Value::Integer(std::str::from_utf8(rest).ok().and_then(|text| text.parse().ok()).unwrap_or_default())
        }
        _ => Value::Null,
    }
}

fn with_table(data: &[u8]) -> Option<(Table, &[u8])> {
    let (number, rest) = data.split_first()?;
    Table::from_number(number.wrapping_sub(b'0')).map(|table| (table, rest))
}

/// The body of a pipeline's answer.
fn pipeline(data: &[u8]) {
    let _ = parse_pipeline::<()>(data, &mut |_| Ok(()));
}

/// The body of a cursor's answer, whole and byte by byte.
fn cursor(data: &[u8]) {
    let whole = events(data, data.len().max(1));
    assert_eq!(whole, events(data, 1), "other events in other pieces");
    assert_eq!(whole, events(data, 7), "other events in other pieces");
}

fn events(data: &[u8], piece: usize) -> Vec<String> {
    let mut seen = Vec::new();
    let mut parser = CursorParser::new();
    for chunk in data.chunks(piece) {
        let fed = parser.feed::<()>(chunk, &mut |event| {
            seen.push(format!("{event:?}"));
            Ok(())
        });
        if let Err(error) = fed {
            seen.push(format!("{error:?}"));
            return seen;
        }
    }
    seen.push(format!("{:?}", parser.finish()));
    seen
}

type Target = (&'static str, fn(&[u8]));
const TARGETS: [Target; 4] = [("value", value), ("row", row), ("pipeline", pipeline), ("cursor", cursor)];

/// Xorshift: the same changes in every run with the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

const WORDS: [&[u8]; 12] = [
    b"\xff\xff\xff\xff\x0f",
    b"\x80",
    b"null",
    b"-1",
    b"9223372036854775808",
    b"1e999",
    b"{",
    b"]",
    b"\\u0000",
    b"\"",
    b"NaN",
    b"\x1f",
];

fn changed(data: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut made = data.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(made.len() + 1);
        match random.below(7) {
            0 if at < made.len() => made[at] ^= 1 << random.below(8),
            1 if at < made.len() => made[at] = random.below(256) as u8,
            2 => made.truncate(at),
            3 => drop(made.splice(at..at, WORDS[random.below(WORDS.len())].iter().copied())),
            4 => drop(made.drain(at..(at + random.below(9)).min(made.len()))),
            5 => {
                let from = random.below(other.len() + 1);
                let piece = &other[from..(from + random.below(60)).min(other.len())];
                drop(made.splice(at..at, piece.iter().copied()));
            }
            _ => {
                let piece: Vec<u8> = made[at..(at + random.below(40)).min(made.len())].to_vec();
                drop(made.splice(at..at, piece));
            }
        }
    }
    made.truncate(LONGEST);
    made
}

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}

fn files(name: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(corpus(name)).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a file of the corpus")).collect()
}

fn play((name, target): Target, data: &[u8]) {
    let begun = Instant::now();
    let ended = catch_unwind(AssertUnwindSafe(|| target(data)));
    if ended.is_ok() && begun.elapsed() < SLOWEST {
        return;
    }
    let kept = corpus(name).join(format!("found-{}", blake3::hash(data).to_hex().as_str().split_at(16).0));
    fs::write(&kept, data).expect("the corpus can be written");
    panic!("{name}: {} fails, in {:?}", kept.display(), begun.elapsed());
}

#[test]
fn no_bytes_are_more_than_a_refusal() {
    let seconds: u64 = env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut random =
        Random(env::var("FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(88_172_645_463_325_252));
    for target in TARGETS {
        let files = files(target.0);
        assert!(files.len() > 3, "a corpus of {}", target.0);
        let ends = Instant::now() + Duration::from_secs(seconds) / TARGETS.len() as u32;
        let mut played = 0u64;
        for data in &files {
            play(target, data);
            for _ in 0..EACH {
                let other = &files[random.below(files.len())];
                play(target, &changed(data, other, &mut random));
                played += 1;
            }
        }
        while Instant::now() < ends {
            let (data, other) = (&files[random.below(files.len())], &files[random.below(files.len())]);
            play(target, &changed(data, other, &mut random));
            played += 1;
        }
        println!("{}: {} files, {played} changed forms", target.0, files.len());
    }
}
