//! Rows of every table: what they become, what they keep of the cached value, why they are refused.

use base64::Engine as _;
use proptest::prelude::*;
use std::borrow::Cow;
use storage_sync_codec::{
    check_value, decode_json, embedding_owner, embedding_values, encode_json, label, merge, only_projection,
    pattern_debug, row_digest, row_digests, session_stamp, source_key, title, Algorithm, DigestBatch, Merged, Owner,
    SourceRow, Table, Value, ValueState,
};

const ID: &str = "00112233-4455-6677-8899-aabbccddee01";
const OTHER: &str = "00112233-4455-6677-8899-aabbccddee02";
const THIRD: &str = "00112233-4455-6677-8899-aabbccddee03";
const CONTEXT: &str = r#"{"language":"rust","framework":null,"complexity":"Moderate","domain":"web","tags":["async"]}"#;
const REWARD: &str = r#"{"total":0.5,"base":1.0,"efficiency":1.0,"complexity_bonus":1.0,"quality_multiplier":1.0,"learning_bonus":0.0,"abstention_score":0.0}"#;
const EFFECT: &str = r#"{"times_retrieved":1,"times_applied":2,"success_when_applied":1,"failure_when_applied":1,"avg_reward_delta":0.25,"last_used":"2023-11-14T22:15:00Z","created_at":"2023-11-14T22:13:20Z"}"#;
const DEBUG: &str = r#"ErrorRecovery { id: 00112233-4455-6677-8899-aabbccddee01, error_type: "e\n\u{301}", recovery_steps: ["r"], success_rate: 0.5, context: TaskContext { language: Some("rust"), framework: None, complexity: Moderate, domain: "web", tags: [] }, effectiveness: PatternEffectiveness { times_retrieved: 1, times_applied: 2, success_when_applied: 1, failure_when_applied: 1, avg_reward_delta: 0.25, last_used: 2023-11-14T22:15:00.120Z, created_at: 2023-11-14T22:13:20Z } }"#;

fn text(text: &str) -> Value<'static> {
    Value::Text(Cow::Owned(text.as_bytes().to_vec()))
}

fn real(text: &str) -> Value<'static> {
    Value::Real(Cow::Owned(text.as_bytes().to_vec()))
}

fn blob(numbers: &[f32]) -> Value<'static> {
    Value::Blob(numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
}

fn step(parameters: &str) -> String {
    format!(
        r#"[{{"step_number":1,"timestamp":"2023-11-14T22:13:21.005Z","tool":"t","action":"a",{parameters},"result":"Timeout","latency_ms":3,"tokens_used":null,"metadata":{{"k":"v","l":"w"}}}}]"#
    )
}

fn good(table: Table) -> SourceRow<'static> {
    let columns = match table {
        Table::Episodes => vec![
            text(ID),
            text("debugging"),
            text("fix é"),
            text(CONTEXT),
            Value::Integer(1_700_000_000),
            Value::Integer(1_700_000_060),
            text(&step(r#""parameters_json":"{\"n\":1}""#)),
            text(r#"{"Success":{"verdict":"v","artifacts":[]}}"#),
            text(REWARD),
            text("null"),
            text(&format!("[\"{OTHER}\"]")),
            text("[]"),
            text("[]"),
            text(r#"{"a":"1","b":"2"}"#),
        ],
        Table::Summaries => vec![text(ID), text("s"), text("[\"c\"]"), text("[]"), blob(&[0.5, -0.25])],
        Table::Relationships => vec![
            text(ID),
            text(OTHER),
            text(THIRD),
            text("depends_on"),
            text("why"),
            Value::Null,
            Value::Integer(5),
            real("0.5"),
            text(r#"{"k":"v"}"#),
            Value::Integer(1_700_000_000),
        ],
        Table::RecommendationSessions => vec![
            text(ID),
            text(OTHER),
            text(&format!(
                r#"{{"session_id":"{ID}","episode_id":"{OTHER}","timestamp":"2023-11-14T22:13:20.123456789Z","recommended_pattern_ids":["p"],"recommended_playbook_ids":[]}}"#
            )),
        ],
        Table::RecommendationFeedback => vec![
            text(ID),
            text(&format!(
                r#"{{"session_id":"{ID}","applied_pattern_ids":[],"consulted_episode_ids":["{OTHER}"],"outcome":{{"Failure":{{"reason":"r","error_details":null}}}},"agent_rating":0.5}}"#
            )),
        ],
        Table::Patterns => vec![text(ID), text(DEBUG)],
        Table::Heuristics => vec![
            text(ID),
            text("if"),
            text("then"),
            real("0.80000001192092896"),
            text(&format!(r#"{{"episode_ids":["{OTHER}"],"success_rate":1.0,"sample_size":1}}"#)),
            Value::Integer(1_700_000_000),
            Value::Integer(1_700_000_001),
        ],
        Table::Procedural => vec![
            text(ID),
            text("n"),
            text("d"),
            text(CONTEXT),
            text(r#"[{"order":1,"action":"a","tool_hint":"t","expected_result":null}]"#),
            text(EFFECT),
            text("[]"),
            text("[]"),
            Value::Integer(1_700_000_000),
            Value::Integer(1_700_000_001),
        ],
        Table::EpisodePatternRelationships => vec![
            text(ID),
            text(OTHER),
            text(THIRD),
            text("related_to"),
            Value::Null,
            text("{}"),
            Value::Integer(1_700_000_000),
        ],
        Table::Embeddings => vec![text(ID), text("episode"), text("[0.5,-0.1]"), blob(&[0.5, -0.1]), Value::Integer(2)],
    };
    let tags = if table == Table::Episodes { b"1:a,2:b,".as_slice() } else { b"" };
    SourceRow { table, columns, tags: Cow::Borrowed(tags) }
}

fn with(table: Table, changes: &[(usize, Value<'static>)]) -> SourceRow<'static> {
    let mut row = good(table);
    for (at, value) in changes {
        row.columns[*at] = value.clone();
    }
    row
}

fn fresh(row: &SourceRow) -> Vec<u8> {
    merge(row, None).unwrap().value.unwrap()
}

fn column_of(table: Table, name: &str) -> usize {
    table.columns().iter().position(|column| column.name == name).unwrap()
}

/// The cached value of a row, with some of its JSON text replaced.
fn edited(row: &SourceRow, edits: &[(&str, &str)]) -> Vec<u8> {
    let mut json = decode_json(row.table, &fresh(row)).unwrap();
    for (from, to) in edits {
        assert!(json.contains(from), "{from} in {json}");
        json = json.replacen(from, to, 1);
    }
    encode_json(row.table, &json).unwrap()
}

fn kept(row: &SourceRow, cached: &[u8]) {
    let merged = merge(row, Some(cached)).unwrap();
    assert_eq!((merged.value, merged.lost_local), (None, false), "{:?}", row.table);
}

#[test]
fn a_row_becomes_its_value_and_is_equal_to_it() {
    for table in Table::ALL {
        let row = good(table);
        let merged = merge(&row, None).unwrap();
        let key = if table == Table::Embeddings { format!("episode_{ID}") } else { ID.to_owned() };
        assert_eq!(merged.key, key);
        assert_eq!(merged.key.as_bytes(), source_key(&row));
        let data = merged.value.unwrap();
        assert_eq!(check_value(table, &key, &data), ValueState::Whole);
        assert_eq!(only_projection(table, &data), Ok(true));
        assert_eq!(encode_json(table, &decode_json(table, &data).unwrap()).unwrap(), data);
        kept(&row, &data);
        assert!(matches!(check_value(table, &key, &data[..data.len() - 1]), ValueState::Undecodable(_)));
        if table != Table::Embeddings {
            assert_eq!(check_value(table, OTHER, &data), ValueState::WrongKey(ID.into()));
        }
    }
}

#[test]
fn what_a_person_is_shown_of_a_value_is_its_own() {
    let label_of = |table| label(table, &fresh(&good(table)));
    let title_of = |table| title(table, &fresh(&good(table)));
    let named = |tags: &[&str]| Some(("web".to_owned(), tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>()));
    assert_eq!(
        (title_of(Table::Episodes), label_of(Table::Episodes)),
        (Some("fix é".into()), named(&["a", "async", "b,"]))
    );
    assert_eq!(title_of(Table::Patterns), Some("Error recovery for: e\n\u{301}".into()));
    assert_eq!(label_of(Table::Patterns), named(&[]));
    assert_eq!((title_of(Table::Heuristics), label_of(Table::Heuristics)), (None, None));
    assert_eq!(label(Table::Episodes, b"\xff"), None);
}

#[test]
fn an_episode_keeps_what_the_primary_cannot_hold() {
    let row = good(Table::Episodes);
    let local = [
        (r#""start_time":"2023-11-14T22:13:20Z""#, r#""start_time":"2023-11-14T22:13:20.5Z""#),
        (r#""end_time":"2023-11-14T22:14:20Z""#, r#""end_time":"2023-11-14T22:14:20.000000001Z""#),
        (r#""tags":["a","b,"]"#, r#""tags":["b,","a"]"#),
        (
            r#""applied_patterns":[]"#,
            r#""applied_patterns":[{"pattern_id":"00112233-4455-6677-8899-aabbccddee02","applied_at_step":1,"outcome":"Pending","notes":null}]"#,
        ),
        (
            r#""salient_features":null"#,
            r#""salient_features":{"critical_decisions":["d"],"tool_combinations":[["a"]],"error_recovery_patterns":[],"key_insights":[]}"#,
        ),
        (r#""a":"1","b":"2""#, r#""b":"2","a":"1""#),
    ];
    for edit in local {
        kept(&row, &edited(&row, &[edit]));
    }
    for edit in &local[..5] {
        assert_eq!(only_projection(Table::Episodes, &edited(&row, &[*edit])), Ok(false));
    }
    let cached = edited(&row, &local);
    kept(&row, &cached);

    let changed = with(Table::Episodes, &[(2, text("another"))]);
    let merged = merge(&changed, Some(&cached)).unwrap();
    let json = decode_json(Table::Episodes, &merged.value.unwrap()).unwrap();
    assert!(!merged.lost_local);
    for part in ["\"another\"", "22:13:20.500Z", "22:14:20.000000001Z", r#"["b,","a"]"#, "Pending", "\"d\""] {
        assert!(json.contains(part), "{part} in {json}");
    }
}

#[test]
fn an_episode_says_what_it_gives_up() {
    let row = good(Table::Episodes);
    let fraction = edited(&row, &[(r#"22:13:20Z","end"#, r#"22:13:20.5Z","end"#)]);
    let order = edited(&row, &[(r#"["a","b,"]"#, r#"["b,","a"]"#)]);
    let end = edited(&row, &[(r#"22:14:20Z"#, r#"22:14:20.5Z"#)]);
    let later = with(Table::Episodes, &[(4, Value::Integer(1_700_000_001))]);
    let open = with(Table::Episodes, &[(5, Value::Null)]);
    let mut tagged = good(Table::Episodes);
    tagged.tags = Cow::Borrowed(b"1:c");
    for (row, cached, lost) in [
        (&later, &fraction, true),
        (&later, &order, false),
        (&open, &end, true),
        (&open, &fraction, false),
        (&tagged, &order, true),
        (&tagged, &fraction, false),
        (&later, &fresh(&row), false),
    ] {
        let merged = merge(row, Some(cached)).unwrap();
        assert_eq!(merged.lost_local, lost);
        let value = merged.value.unwrap();
        assert_eq!(check_value(Table::Episodes, ID, &value), ValueState::Whole);
    }
}

#[test]
fn other_tables_keep_their_local_parts() {
    for (table, edits) in [
        (Table::Relationships, vec![("22:13:20Z", "22:13:20.5Z")]),
        (Table::Heuristics, vec![("22:13:20Z", "22:13:20.5Z"), ("22:13:21Z", "22:13:21.123456789Z")]),
        (Table::Procedural, vec![("22:13:21Z", "22:13:21.5Z")]),
        (Table::Summaries, vec![("1970-01-01T00:00:00Z", "2023-11-14T22:13:20.5Z")]),
        (
            Table::EpisodePatternRelationships,
            vec![
                ("22:13:20Z", "22:13:20.5Z"),
                (r#""reason":null"#, r#""reason":"r""#),
                (r#""created_by":null"#, r#""created_by":"c""#),
                (r#""priority":null"#, r#""priority":3"#),
            ],
        ),
    ] {
        let row = good(table);
        for edit in &edits {
            let cached = edited(&row, &[*edit]);
            kept(&row, &cached);
            assert_eq!(only_projection(table, &cached), Ok(false));
        }
        kept(&row, &edited(&row, &edits));
    }
    let cached = edited(&good(Table::EpisodePatternRelationships), &[(r#""reason":null"#, r#""reason":"r""#)]);
    let changed = with(Table::EpisodePatternRelationships, &[(4, real("0.5"))]);
    let merged = merge(&changed, Some(&cached)).unwrap();
    assert!(!merged.lost_local);
    assert!(decode_json(changed.table, &merged.value.unwrap()).unwrap().contains(r#""reason":"r""#));
    for (table, column) in [(Table::Heuristics, 6), (Table::Procedural, 9), (Table::Relationships, 9)] {
        let time = if table == Table::Relationships { "22:13:20" } else { "22:13:21" };
        let cached = edited(&good(table), &[(&format!("{time}Z"), &format!("{time}.5Z"))]);
        let merged = merge(&with(table, &[(column, Value::Integer(0))]), Some(&cached)).unwrap();
        assert!(merged.lost_local && merged.value.is_some(), "{table:?}");
    }
}

#[test]
fn a_changed_field_is_written() {
    for (table, at, value) in [
        (Table::Episodes, 8, Value::Null),
        (Table::Episodes, 8, text(&REWARD.replace("0.0}", "-0.0}"))),
        (Table::Episodes, 13, text(r#"{"a":"1","b":"3"}"#)),
        (Table::Summaries, 4, Value::Null),
        (Table::Relationships, 7, real("0.25")),
        (Table::Patterns, 1, text(&DEBUG.replace("delta: 0.25", "delta: NaN"))),
        (Table::Heuristics, 3, real("Inf")),
        (Table::EpisodePatternRelationships, 5, text(r#"{"k":"v"}"#)),
    ] {
        let row = with(table, &[(at, value)]);
        let merged = merge(&row, Some(&fresh(&good(table)))).unwrap();
        assert_eq!(merged.value.as_deref(), Some(fresh(&row).as_slice()), "{table:?}");
        kept(&row, &fresh(&row));
    }
    let row = with(Table::Embeddings, &[(2, text("[0.5,-0.2]")), (3, Value::Null)]);
    assert_eq!(
        embedding_values(&merge(&row, Some(&fresh(&good(row.table)))).unwrap().value.unwrap()),
        Ok(vec![0.5, -0.2])
    );
}

#[test]
fn a_damaged_cached_value_is_replaced() {
    for table in Table::ALL {
        let row = good(table);
        let data = fresh(&row);
        for cached in [&data[..data.len() - 1], &[data.as_slice(), b"x"].concat(), b""] {
            let merged = merge(&row, Some(cached)).unwrap();
            assert_eq!(merged.value.as_deref(), Some(data.as_slice()), "{table:?}");
            assert_eq!(merged.lost_local, table != Table::Embeddings);
        }
    }
}

#[test]
fn refusals_name_the_column() {
    let mut cases: Vec<(Table, &str, Value<'static>)> = Vec::new();
    for table in Table::ALL {
        for column in table.columns() {
            let nullable = matches!(
                (table, column.name),
                (Table::Episodes, "end_time" | "outcome" | "reward" | "reflection")
                    | (Table::Summaries, "summary_embedding")
                    | (_, "reason" | "created_by" | "priority" | "weight" | "embedding_vector")
            );
            if !nullable {
                cases.push((table, column.name, Value::Null));
            }
            for value in [text("x"), Value::Integer(7), real("1.5"), Value::Blob(Cow::Borrowed(b"abc"))] {
                if !format!("{:?}", column.kind).eq_ignore_ascii_case(value.type_name()) {
                    cases.push((table, column.name, value));
                }
            }
            if format!("{:?}", column.kind) == "Text" {
                cases.push((table, column.name, Value::Text(Cow::Borrowed(b"a\xff"))));
            }
        }
    }
    for name in
        ["context", "steps", "outcome", "reward", "reflection", "patterns", "heuristics", "checkpoints", "metadata"]
    {
        cases.push((Table::Episodes, name, text("{")));
        cases.push((Table::Episodes, name, text("")));
        cases.push((Table::Episodes, name, text("7")));
        cases.push((Table::Episodes, name, text("[] x")));
        cases.push((Table::Episodes, name, text(&"[".repeat(100_000))));
    }
    cases.extend([
        (Table::Episodes, "episode_id", text(&ID.to_uppercase())),
        (Table::Episodes, "episode_id", text(&format!("{{{ID}}}"))),
        (Table::Episodes, "episode_id", text(&ID.replace('-', ""))),
        (Table::Episodes, "episode_id", text("")),
        (Table::Episodes, "task_type", text("Debugging")),
        (Table::Episodes, "start_time", Value::Integer(i64::MAX)),
        (Table::Episodes, "end_time", Value::Integer(i64::MIN)),
        (Table::Episodes, "reward", text(&REWARD.replace("0.5", "\"x\""))),
        (Table::Episodes, "reward", text(r#"{"total":0.5}"#)),
        (Table::Episodes, "outcome", text(r#"{"Victory":{}}"#)),
        (Table::Episodes, "steps", text(&step(r#""parameters_xml":1"#))),
        (Table::Episodes, "metadata", text(r#"{"k":1}"#)),
        (Table::Episodes, "metadata", text("__compressed__:lz4:5\nAAAA")),
        (Table::Episodes, "patterns", text("__compressed__:gzip:99999999\nAAAA")),
        (Table::Episodes, "task_description", text(&"x".repeat(10_000_001))),
        (Table::Summaries, "summary_embedding", Value::Blob(Cow::Borrowed(b"12345"))),
        (Table::Relationships, "relationship_type", text("DependsOn")),
        (Table::Relationships, "from_episode_id", text("x")),
        (Table::Relationships, "priority", Value::Integer(256)),
        (Table::Relationships, "priority", Value::Integer(-1)),
        (Table::Relationships, "metadata", text("null")),
        (Table::RecommendationSessions, "session_id", text(THIRD)),
        (Table::RecommendationSessions, "episode_id", text(THIRD)),
        (Table::RecommendationFeedback, "session_id", text(THIRD)),
        (Table::Patterns, "pattern_id", text(THIRD)),
        (Table::Patterns, "pattern_type", text(&DEBUG.replace("0.5,", "0.50,"))),
        (Table::Heuristics, "evidence", text("{}")),
        (Table::Procedural, "effectiveness", text("{}")),
        (Table::Embeddings, "item_type", text("image")),
        (Table::Embeddings, "embedding_data", text("[0.5,NaN]")),
        (Table::Embeddings, "embedding_data", text("[0.5,null]")),
        (Table::Embeddings, "embedding_data", text("[0.5,1e39]")),
        (Table::Embeddings, "embedding_data", text("[]")),
        (Table::Embeddings, "embedding_data", text("__compressed__:lz4:3\nAAAA")),
        (Table::Embeddings, "embedding_data", text("__compressed__:lz4:1000001\nAAAA")),
        (Table::Embeddings, "embedding_vector", blob(&[0.5, -0.2])),
        (Table::Embeddings, "embedding_vector", blob(&[0.5])),
        (Table::Embeddings, "dimension", Value::Integer(3)),
        (Table::Embeddings, "dimension", Value::Integer(-2)),
    ]);
    for (table, name, value) in cases {
        let row = with(table, &[(column_of(table, name), value.clone())]);
        let shown = format!("{table:?} {name} {:.80?}", value);
        let refusal = merge(&row, None).expect_err(&shown);
        assert_eq!(refusal.column, name, "{shown}: {}", refusal.reason);
        assert!(!refusal.reason.is_empty() && refusal.reason.len() < 300, "{shown}: {}", refusal.reason);
    }
    let mut row = good(Table::Episodes);
    row.tags = Cow::Borrowed(b"1:\xff");
    assert_eq!(merge(&row, None).unwrap_err().column, "tags");
    row.columns.pop();
    assert!(merge(&row, None).is_err());
}

#[test]
fn what_do_memory_reads_is_accepted() {
    for (table, name, value) in [
        (Table::Episodes, "end_time", Value::Null),
        (Table::Episodes, "outcome", Value::Null),
        (Table::Episodes, "outcome", text("null")),
        (Table::Episodes, "start_time", Value::Integer(-1)),
        (Table::Episodes, "start_time", Value::Integer(253_402_300_800)),
        (Table::Episodes, "start_time", Value::Integer(8_210_266_876_799)),
        (Table::Episodes, "start_time", Value::Integer(-8_334_601_228_800)),
        (Table::Episodes, "task_description", text("a\0b\u{feff}")),
        (Table::Relationships, "priority", Value::Integer(255)),
        (Table::Relationships, "weight", real("-Inf")),
        (Table::Summaries, "summary_embedding", Value::Blob(Cow::Borrowed(b""))),
        (Table::Embeddings, "embedding_vector", Value::Null),
        (Table::Embeddings, "embedding_data", text(" [ 5e-1 , -0.1 ] ")),
        (Table::Embeddings, "item_id", text("query:authentication")),
    ] {
        let row = with(table, &[(column_of(table, name), value)]);
        let merged = merge(&row, None).unwrap_or_else(|refusal| panic!("{table:?} {name}: {}", refusal.reason));
        let data = merged.value.unwrap();
        assert_eq!(check_value(table, &merged.key, &data), ValueState::Whole, "{table:?} {name}");
        kept(&row, &data);
    }
    let zero = with(Table::Embeddings, &[(2, text("[0,0]")), (3, blob(&[0.0, 0.0]))]);
    assert_eq!(embedding_values(&fresh(&zero)), Ok(vec![0.0, 0.0]));
}

#[test]
fn legacy_rows_are_read() {
    let json = |row: &SourceRow| -> (String, Merged) {
        let merged = merge(row, None).unwrap();
        (decode_json(row.table, merged.value.as_ref().unwrap()).unwrap(), merged)
    };
    let old = with(Table::Episodes, &[(6, text(&step(r#""parameters":{"n": 1,"l":["x"]}"#)))]);
    let (text_of, merged) = json(&old);
    assert_eq!(merged.legacy, Some("steps"));
    assert!(text_of.contains(r#""parameters_json":"{\"n\": 1,\"l\":[\"x\"]}""#), "{text_of}");
    let old = with(Table::Episodes, &[(8, text(&REWARD.replace(r#","abstention_score":0.0"#, "")))]);
    let (text_of, merged) = json(&old);
    assert_eq!(merged.legacy, Some("reward"));
    assert!(text_of.contains(r#""reward":null"#), "{text_of}");
    assert_eq!(json(&good(Table::Episodes)).1.legacy, None);
}

#[test]
fn compressed_payloads_are_expanded() {
    let packed = |bytes: &[u8]| {
        let body = base64::engine::general_purpose::STANDARD.encode(lz4_flex::block::compress(bytes));
        text(&format!("__compressed__:lz4:{}\n{body}", bytes.len()))
    };
    let plain = good(Table::Episodes);
    let list = format!("[\"{OTHER}\"]");
    let row = with(
        Table::Episodes,
        &[(10, packed(list.as_bytes())), (11, packed(b"[]")), (13, packed(br#"{"a":"1","b":"2"}"#))],
    );
    assert_eq!(fresh(&row), fresh(&plain));
    let bytes: Vec<u8> = [0.5_f32, -0.1].iter().flat_map(|number| number.to_le_bytes()).collect();
    let row = with(Table::Embeddings, &[(2, packed(&bytes))]);
    assert_eq!(fresh(&row), fresh(&good(Table::Embeddings)));
    let bytes: Vec<u8> = [0.5_f32, f32::NAN].iter().flat_map(|number| number.to_le_bytes()).collect();
    assert_eq!(
        merge(&with(Table::Embeddings, &[(2, packed(&bytes)), (3, Value::Null)]), None).unwrap_err().column,
        "embedding_data"
    );
}

#[test]
fn an_embedding_may_have_a_megabyte() {
    for (count, fits) in [(249_999, true), (250_000, false)] {
        let row = with(
            Table::Embeddings,
            &[
                (2, text(&format!("[{}1]", "1,".repeat(count - 1)))),
                (3, Value::Null),
                (4, Value::Integer(count as i64)),
            ],
        );
        assert_eq!(merge(&row, None).is_ok(), fits, "{count}");
    }
}

#[test]
fn keys_name_their_owner() {
    let id = uuid::Uuid::parse_str(ID).unwrap();
    for (key, owner) in [
        (format!("episode_{ID}"), Owner::Episode(id)),
        (format!("pattern_{ID}"), Owner::Pattern(id)),
        (ID.into(), Owner::Bare(id)),
        (format!("emb_v1:local:a/b:c:384#r1:episode:{ID}"), Owner::Episode(id)),
        (format!("emb_v1:local:a/b:c:384#r1:pattern:{ID}"), Owner::Pattern(id)),
        (format!("emb_v1:local:a:384#r1:heuristic:{ID}"), Owner::None),
        ("query:authentication".into(), Owner::None),
        (format!("episode_{}", ID.to_uppercase()), Owner::None),
        ("é".repeat(30), Owner::None),
        (String::new(), Owner::None),
    ] {
        assert_eq!(embedding_owner(&key), owner, "{key}");
    }
    for (kind, key) in [("embedding", "x"), ("episode", "episode_x"), ("pattern", "pattern_x"), ("image", "image:x")] {
        assert_eq!(source_key(&with(Table::Embeddings, &[(0, text("x")), (1, text(kind))])), key.as_bytes());
    }
    let row = with(Table::Episodes, &[(0, Value::Text(Cow::Borrowed(b"\xff\x00")))]);
    assert_eq!(source_key(&row), b"\xff\x00");
}

#[test]
fn digests_are_over_the_canonical_text() {
    let row = SourceRow {
        table: Table::Relationships,
        columns: vec![
            Value::Null,
            text("a|b"),
            text(""),
            Value::Integer(-12),
            real("0.5"),
            Value::Blob(Cow::Borrowed(b"\0\xff")),
        ],
        tags: Cow::Borrowed(b""),
    };
    let canonical = b"null|text|3|a|b|text|0||integer|3|-12|real|3|0.5|blob|2|\0\xff";
    let episode =
        SourceRow { table: Table::Episodes, columns: vec![text("é"), Value::Null], tags: Cow::Borrowed(b"1:a") };
    for algorithm in [Algorithm::Sha3_256, Algorithm::Sha256, Algorithm::Blake3] {
        assert_eq!(row_digest(&row, algorithm), algorithm.digest(canonical)[..16]);
        assert_eq!(row_digest(&episode, algorithm), algorithm.digest("text|2|é|null|tags|1:a".as_bytes())[..16]);
        assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        hex(&Algorithm::Sha3_256.digest(b"abc")),
        "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"
    );
    assert_eq!(
        hex(&Algorithm::Sha256.digest(b"abc")),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(
        hex(&Algorithm::Blake3.digest(b"abc")),
        "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
    );
    for length in (0..600).chain([5_000, 100_000]) {
        let bytes: Vec<u8> = (0..length).map(|at| (at * 7 + at / 251) as u8).collect();
        let mut pieces = Algorithm::Sha3_256.hasher();
        bytes.chunks(1 + length % 137).for_each(|piece| pieces.update(piece));
        assert_eq!(pieces.finalize(), Algorithm::Sha3_256.digest(&bytes));
    }
}

#[test]
fn batches_digest_as_single_rows_do() {
    for algorithm in [Algorithm::Sha3_256, Algorithm::Sha256, Algorithm::Blake3] {
        let mut batch = DigestBatch::new(algorithm);
        for count in [0, 1, 3, 40] {
            let rows: Vec<_> = (0..count).map(|at| good(Table::ALL[at % 10])).collect();
            rows.iter().for_each(|row| batch.push(row));
            assert_eq!((batch.len(), batch.is_empty()), (count, count == 0));
            let single: Vec<_> = rows.iter().map(|row| row_digest(row, algorithm)).collect();
            assert_eq!(batch.finish(), single);
            assert_eq!(row_digests(&rows, algorithm), single);
            assert_eq!(batch.bytes(), 0);
        }
    }
}

#[test]
fn single_fields_are_read_out() {
    let stamp = session_stamp(&fresh(&good(Table::RecommendationSessions))).unwrap();
    assert_eq!(stamp, (OTHER.into(), ID.into(), 1_700_000_000, 123_456_789));
    assert_eq!(pattern_debug(&fresh(&good(Table::Patterns))).as_deref(), Ok(DEBUG));
    assert!(session_stamp(b"").is_err() && pattern_debug(b"\x09").is_err() && embedding_values(b"\x01").is_err());
}

fn any_value() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Value::Text(bytes.into())),
        "[\\[\\]{}:,\"a-e0-9._-]{0,30}".prop_map(|text| Value::Text(text.into_bytes().into())),
        "[-+0-9.eInf]{0,9}".prop_map(|text| Value::Real(text.into_bytes().into())),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Value::Blob(bytes.into())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_row_panics(number in 0u8..10, at in 0usize..14, value in any_value(), cut in 0usize..400, cached in prop::collection::vec(any::<u8>(), 0..60)) {
        let table = Table::from_number(number).unwrap();
        let mut row = good(table);
        let at = at % row.columns.len();
        row.columns[at] = value;
        let _ = merge(&row, Some(&cached));
        let mut row = good(table);
        if let Value::Text(bytes) | Value::Blob(bytes) = &mut row.columns[at] {
            let length = cut.min(bytes.len());
            bytes.to_mut().truncate(length);
        }
        let _ = merge(&row, None);
    }

    #[test]
    fn no_value_panics(number in 0u8..10, at in any::<prop::sample::Index>(), byte in any::<u8>(), noise in prop::collection::vec(any::<u8>(), 0..80)) {
        let table = Table::from_number(number).unwrap();
        let mut data = fresh(&good(table));
        let at = at.index(data.len());
        data[at] = byte;
        for data in [&data, &noise] {
            if let Ok(json) = decode_json(table, data) {
                let _ = encode_json(table, &json);
            }
            let _ = check_value(table, ID, data);
            let _ = only_projection(table, data);
            let _ = merge(&good(table), Some(data));
        }
    }

    #[test]
    fn no_debug_text_panics(at in 0..DEBUG.len(), noise in "[ {}\\[\\]:,\"\\\\a-zA-Z0-9.-]{0,12}") {
        let mut damaged = DEBUG.to_owned();
        if damaged.is_char_boundary(at) {
            damaged.insert_str(at, &noise);
        }
        let row = with(Table::Patterns, &[(1, text(&damaged))]);
        if let Ok(merged) = merge(&row, None) {
            prop_assert_eq!(pattern_debug(&merged.value.unwrap()).unwrap(), damaged);
        }
    }
}
