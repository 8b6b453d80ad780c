//! Every golden line, both ways: JSON to bytes and bytes to JSON.

use super::*;
use crate::cached_value::{belongs_to, decode, encode, names_others};
use crate::Table;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/golden/postcard.jsonl");

#[derive(Deserialize)]
struct Line {
    r#type: String,
    json_text: String,
    hex: String,
    len: usize,
}

/// `longer` is the golden value and one byte more.
fn both_ways<'a, T: Serialize + Deserialize<'a> + PartialEq + std::fmt::Debug>(line: &'a Line, longer: &'a [u8]) {
    let data = &longer[..line.len];
    let from_text: T = serde_json::from_str(&line.json_text).unwrap();
    assert_eq!(encode(&from_text, 0).unwrap(), data, "{}", line.r#type);
    let from_data: T = decode(data).unwrap();
    assert_eq!(serde_json::to_string(&from_data).unwrap(), line.json_text);
    assert_eq!(from_data, from_text);
    for end in 0..data.len() {
        assert!(decode::<T>(&data[..end]).is_err(), "{} cut to {end}", line.r#type);
    }
    assert!(decode::<T>(longer).is_err(), "{} with a byte too many", line.r#type);
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn golden_lines_round_trip() {
    let text = std::fs::read_to_string(GOLDEN).unwrap();
    let mut seen = 0;
    for line in text.lines() {
        let line: Line = serde_json::from_str(line).unwrap();
        let mut data = unhex(&line.hex);
        assert_eq!(data.len(), line.len);
        data.push(0);
        let data = data.as_slice();
        match line.r#type.split("::").next().unwrap() {
            "uuid" => both_ways::<Uuid>(&line, data),
            "datetime_secs" | "datetime_ms" | "datetime_us" | "datetime_ns" => both_ways::<Stamp>(&line, data),
            "timedelta_42ms" | "timedelta_-1500ms" => both_ways::<TimeDelta>(&line, data),
            "vec_f32" => both_ways::<Vec<F32>>(&line, data),
            "option_u8" => both_ways::<Option<u8>>(&line, data),
            "u64_300" => both_ways::<u64>(&line, data),
            "TaskContext" => both_ways::<TaskContext>(&line, data),
            "ExecutionStep" => both_ways::<ExecutionStep>(&line, data),
            "TaskOutcome" => both_ways::<TaskOutcome>(&line, data),
            "ExecutionResult" => both_ways::<ExecutionResult>(&line, data),
            "RewardScore" => both_ways::<RewardScore>(&line, data),
            "PatternEffectiveness" => both_ways::<PatternEffectiveness>(&line, data),
            "CheckpointMeta" => both_ways::<CheckpointMeta>(&line, data),
            "Episode" => both_ways::<Episode>(&line, data),
            "Pattern" => both_ways::<Pattern>(&line, data),
            "Heuristic" => both_ways::<Heuristic>(&line, data),
            "EpisodeSummary" => both_ways::<EpisodeSummary>(&line, data),
            "EpisodeRelationship" => both_ways::<EpisodeRelationship>(&line, data),
            "RecommendationSession" => both_ways::<RecommendationSession>(&line, data),
            "RecommendationFeedback" => both_ways::<RecommendationFeedback>(&line, data),
            "ProceduralMemory" => both_ways::<ProceduralMemory>(&line, data),
            other => panic!("no type for {other}"),
        }
        seen += 1;
    }
    assert_eq!(seen, 31);
}

#[test]
fn maps_keep_their_order_and_compare_without_it() {
    let one: Map = serde_json::from_str(r#"{"b":"1","a":"2","b":"3"}"#).unwrap();
    assert_eq!(serde_json::to_string(&one).unwrap(), r#"{"b":"3","a":"2"}"#);
    let other: Map = serde_json::from_str(r#"{"a":"2","b":"3"}"#).unwrap();
    assert_eq!(one, other);
    for text in [r#"{"a":"2"}"#, r#"{"a":"2","b":"4"}"#, r#"{"a":"2","c":"3"}"#, r#"{"a":"2","b":"3","c":""}"#] {
        assert_ne!(one, serde_json::from_str::<Map>(text).unwrap());
    }
    let many: Vec<String> = (0..40).map(|at| format!("\"k{}\":\"v{at}\"", at % 25)).collect();
    let many = format!("{{{}}}", many.join(","));
    let many: Map = serde_json::from_str(&many).unwrap();
    let decoded = encode(&many, 0).unwrap();
    assert_eq!(decode::<Map>(&decoded).unwrap(), many);
    assert_eq!(decoded[0], 25);
}

#[test]
fn floats_are_equal_by_their_bits() {
    assert_ne!(F32(0.0), F32(-0.0));
    assert_eq!(F32(f32::NAN), F32(f32::NAN));
}

#[test]
fn a_row_belongs_to_what_its_value_names() {
    let text = std::fs::read_to_string(GOLDEN).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for line in text.lines() {
        let line: Line = serde_json::from_str(line).unwrap();
        let name = line.r#type.split("::").next().unwrap();
        let value: serde_json::Value = serde_json::from_str(&line.json_text).unwrap();
        let named = |field: &str| value[field].as_str().unwrap().to_owned();
        let (table, owners) = match name {
            "Episode" => {
                let began = chrono::DateTime::parse_from_rfc3339(&named("start_time")).unwrap();
                (Table::Episodes, (began.timestamp().to_string(), String::new()))
            }
            "EpisodeRelationship" => (Table::Relationships, (named("from_episode_id"), named("to_episode_id"))),
            "RecommendationSession" => (Table::RecommendationSessions, (named("episode_id"), String::new())),
            _ => continue,
        };
        assert_eq!(belongs_to(table, &unhex(&line.hex)).unwrap(), owners, "{}", line.r#type);
        seen.insert(name.to_owned());
    }
    assert_eq!(seen.len(), 3);
    for table in Table::ALL {
        assert_eq!(belongs_to(table, b"").is_err(), names_others(table), "only these values are decoded: {table:?}");
    }
}
