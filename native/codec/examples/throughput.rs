//! Megabytes a second of each stage, over a cursor body made here: parse, digest, merge, and all of them together.
//!
//! `cargo run --release --example throughput [episodes] [embeddings]`

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;
use storage_sync_codec::hrana::{CursorParser, Event, FeedError};
use storage_sync_codec::{merge, row_digest, Algorithm, DigestBatch, SourceRow, Table, Value};

const CHUNK: usize = 64 * 1024;
const REPEATS: usize = 9;

fn main() {
    let mut counts = std::env::args().skip(1).map_while(|count| count.parse().ok());
    let episodes = counts.next().unwrap_or(20_000);
    let embeddings = counts.next().unwrap_or(20_000);
    measure("episodes", Table::Episodes, episode_body(episodes));
    measure("embeddings", Table::Embeddings, embedding_body(embeddings));
}

fn measure(name: &str, table: Table, body: Vec<u8>) {
    let megabytes = body.len() as f64 / 1e6;
    let report = |stage: &str, work: &mut dyn FnMut()| {
        let best = (0..REPEATS).map(|_| timed(work)).fold(f64::INFINITY, f64::min);
        println!("{name:<11} {stage:<27} {:>7.1} ms  {:>7.0} MB/s", best * 1e3, megabytes / best);
    };
    println!("{name:<11} body of {megabytes:.1} MB");
    report("memory traffic (copy)", &mut || {
        black_box(body.to_vec());
    });
    report("parse", &mut || {
        each_row(&body, table, |row| {
            black_box(row);
        });
    });
    for algorithm in [Algorithm::Sha3_256, Algorithm::Sha256, Algorithm::Blake3] {
        report(&format!("parse, {}", algorithm.name()), &mut || {
            each_row(&body, table, |row| {
                black_box(row_digest(&row, algorithm));
            });
        });
    }
    report("parse, sha3-256 in batches", &mut || {
        let mut batch = DigestBatch::new(Algorithm::Sha3_256);
        each_row(&body, table, |row| {
            batch.push(&row);
            if batch.len() == 32 {
                black_box(batch.finish());
            }
        });
        black_box(batch.finish());
    });
    report("parse, merge", &mut || {
        each_row(&body, table, |row| {
            black_box(merged(&row, None));
        });
    });
    report("parse, sha3-256, merge", &mut || {
        each_row(&body, table, |row| {
            black_box(row_digest(&row, Algorithm::Sha3_256));
            black_box(merged(&row, None));
        });
    });
    let mut cached = Vec::new();
    each_row(&body, table, |row| cached.push(merged(&row, None)));
    report("parse, merge with equal", &mut || {
        let mut old = cached.iter();
        each_row(&body, table, |row| {
            let old = old.next().and_then(|value| value.as_deref());
            assert!(merged(&row, old).is_none(), "an equal row was written again");
        });
    });
}

fn merged(row: &SourceRow, cached: Option<&[u8]>) -> Option<Vec<u8>> {
    match merge(row, cached) {
        Ok(merged) => merged.value,
        Err(refusal) => panic!("{}: {}", refusal.column, refusal.reason),
    }
}

fn timed(work: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn each_row(body: &[u8], table: Table, mut on: impl FnMut(SourceRow<'_>)) {
    let mut parser = CursorParser::new();
    let mut handle = |event: Event<'_>| -> Result<(), ()> {
        if let Event::Row(mut columns) = event {
            let tags = match columns.len() > table.columns().len() {
                true => match columns.pop() {
                    Some(Value::Text(tags)) => tags,
                    _ => Default::default(),
                },
                false => Default::default(),
            };
            on(SourceRow { table, columns, tags });
        }
        Ok(())
    };
    for chunk in body.chunks(CHUNK) {
        if let Err(FeedError::Stream(fault)) = parser.feed(chunk, &mut handle) {
            panic!("{fault}");
        }
    }
    if let Err(fault) = parser.finish() {
        panic!("{fault}");
    }
}

fn uuid(number: usize) -> String {
    format!("{:08x}-0000-4000-8000-{:012x}", number, number * 7)
}

fn push_text(line: &mut String, value: &str) {
    let quoted = serde_json::to_string(value).unwrap_or_default();
    let _ = write!(line, ",{{\"type\":\"text\",\"value\":{quoted}}}");
}

fn row(body: &mut Vec<u8>, cells: &str) {
    body.extend_from_slice(b"{\"type\":\"row\",\"row\":[");
    body.extend_from_slice(cells.trim_start_matches(',').as_bytes());
    body.extend_from_slice(b"]}\n");
}

fn end(mut body: Vec<u8>) -> Vec<u8> {
    body.extend_from_slice(b"{\"type\":\"replication_index\",\"replication_index\":1}\n");
    body
}

fn episode_body(count: usize) -> Vec<u8> {
    let mut body = b"{\"type\":\"step_begin\",\"step\":0,\"cols\":[]}\n".to_vec();
    for number in 0..count {
        let steps: Vec<String> = (1..=8)
            .map(|step| {
                format!(
                    "{{\"step_number\":{step},\"timestamp\":\"2026-10-24T04:40:{:02}.966030451Z\",\"tool\":\"read_file\",\
                     \"action\":\"Look for the failing assertion\",\"parameters_json\":\"{{\\\"n\\\":{number},\\\"path\\\":\
                     \\\"src/m35.rs\\\",\\\"é\\\":0.6498975157737732}}\",\"result\":{{\"Success\":{{\"output\":\"ok ok ok ok ok\"}}}},\
                     \"latency_ms\":{},\"tokens_used\":2091,\"metadata\":{{\"model\":\"v7\",\"region\":\"v7\"}}}}",
                    step * 7,
                    step * 1000
                )
            })
            .collect();
        let mut cells = String::new();
        push_text(&mut cells, &uuid(number));
        push_text(&mut cells, "analysis");
        push_text(&mut cells, "Measure again 🚀 in the migration");
        push_text(
            &mut cells,
            r#"{"language":"python","framework":null,"complexity":"Simple","domain":"data-pipeline","tags":["a","naïve"]}"#,
        );
        let _ =
            write!(cells, ",{{\"type\":\"integer\",\"value\":\"{}\"}},{{\"type\":\"null\"}}", 1_792_816_827 + number);
        push_text(&mut cells, &format!("[{}]", steps.join(",")));
        push_text(&mut cells, r#"{"Success":{"verdict":"The migration works","artifacts":["src/migration.rs"]}}"#);
        push_text(
            &mut cells,
            r#"{"total":0.5,"base":1.0,"efficiency":1.0,"complexity_bonus":1.0,"quality_multiplier":1.0,"learning_bonus":0.0,"abstention_score":0.0,"raw_reward":0.3,"normalized_reward":0.7,"decayed_reward":0.2,"effective_reward":0.1}"#,
        );
        push_text(
            &mut cells,
            r#"{"successes":["it worked"],"improvements":[],"insights":["measure"],"generated_at":"2026-10-24T05:00:00.123456789Z"}"#,
        );
        push_text(&mut cells, &format!("[\"{}\",\"{}\"]", uuid(number + 1), uuid(number + 2)));
        push_text(&mut cells, "[]");
        push_text(&mut cells, "[]");
        push_text(&mut cells, r#"{"source":"bench","owner":"nobody"}"#);
        push_text(&mut cells, "1:a,4:perf");
        row(&mut body, &cells);
    }
    end(body)
}

fn embedding_body(count: usize) -> Vec<u8> {
    let mut body = b"{\"type\":\"step_begin\",\"step\":0,\"cols\":[]}\n".to_vec();
    let mut seed = 1_u32;
    for number in 0..count {
        let mut numbers = Vec::with_capacity(384);
        for _ in 0..384 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            numbers.push((seed >> 8) as f32 / 8_388_608.0 * 0.1 - 0.1);
        }
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let mut cells = String::new();
        push_text(&mut cells, &uuid(number));
        push_text(&mut cells, "episode");
        push_text(&mut cells, &serde_json::to_string(&numbers).unwrap_or_default());
        let blob = base64::Engine::encode(&base64::engine::general_purpose::STANDARD_NO_PAD, bytes);
        let _ =
            write!(cells, ",{{\"type\":\"blob\",\"base64\":\"{blob}\"}},{{\"type\":\"integer\",\"value\":\"384\"}}");
        row(&mut body, &cells);
    }
    end(body)
}
