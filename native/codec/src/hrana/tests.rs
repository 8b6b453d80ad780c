use super::cell::sqlite_text;
use super::*;
use proptest::prelude::*;

fn owned(event: Event<'_>) -> Event<'static> {
    match event {
        Event::StepBegin { step } => Event::StepBegin { step },
        Event::Row(values) => Event::Row(values.into_iter().map(Value::into_owned).collect()),
        Event::StepEnd => Event::StepEnd,
        Event::StepError { step, code, message } => Event::StepError { step, code, message },
        Event::Error { code, message } => Event::Error { code, message },
        Event::End => Event::End,
    }
}

fn cursor(body: &[u8], cut: usize) -> Result<Vec<Event<'static>>, StreamFault> {
    let mut parser = CursorParser::new();
    let mut events = Vec::new();
    for chunk in body.chunks(cut) {
        parser
            .feed::<()>(chunk, &mut |event| {
                events.push(owned(event));
                Ok(())
            })
            .map_err(|error| match error {
                FeedError::Stream(fault) => fault,
                FeedError::Handler(()) => unreachable!("the handler never fails"),
            })?;
    }
    parser.finish().map(|()| events)
}

fn pipeline(body: &str) -> Result<Vec<Event<'static>>, FeedError<()>> {
    let mut events = Vec::new();
    parse_pipeline(body.as_bytes(), &mut |event| {
        events.push(owned(event));
        Ok(())
    })
    .map(|()| events)
}

fn text(text: &str) -> Value<'static> {
    Value::Text(text.as_bytes().to_vec().into())
}

const BODY: &str = concat!(
    r#"{"baton":"x","base_url":null}"#,
    "\n",
    r#"{"type":"step_begin","step":0,"cols":[{"name":"a","decltype":"TEXT"}]}"#,
    "\n",
    r#"{"type":"row","row":[{"type":"text","value":"a\"\n\u00e9\ud83d\ude80"},{"type":"integer","value":"-9223372036854775808"},{"type":"null"},{"value":1.5,"type":"float"},{"base64":"AP8","type":"blob"}]}"#,
    "\n\r\n",
    r#"{"row":[{"type":"text","value":"plain","x":[{}]}],"type":"row"}"#,
    "\n",
    r#"{"type":"step_end","affected_row_count":0,"last_insert_rowid":1}"#,
    "\n",
    r#"{"type":"a_new_kind","of":["line"]}"#,
    "\n",
    r#"{"type":"step_error","step":1,"error":{"message":"no such table: x","code":"SQLITE_UNKNOWN","more":1}}"#,
    "\n",
    r#"{"type":"replication_index","replication_index":7}"#,
    "\n",
);

#[test]
fn lines_may_be_cut_anywhere() {
    let lines = BODY.split_once('\n').unwrap().1;
    let expected = vec![
        Event::StepBegin { step: 0 },
        Event::Row(vec![
            text("a\"\né🚀"),
            Value::Integer(i64::MIN),
            Value::Null,
            Value::Real(b"1.5".to_vec().into()),
            Value::Blob(vec![0, 255].into()),
        ]),
        Event::Row(vec![text("plain")]),
        Event::StepEnd,
        Event::StepError { step: 1, code: "SQLITE_UNKNOWN".into(), message: "no such table: x".into() },
        Event::End,
    ];
    for cut in 1..=lines.len() {
        assert_eq!(cursor(lines.as_bytes(), cut).unwrap(), expected, "{cut}");
    }
}

#[test]
fn the_first_line_with_the_baton_is_no_event() {
    assert_eq!(cursor(BODY.as_bytes(), 4096).unwrap().len(), 6);
    let events =
        cursor(b"{\"baton\":\"x\",\"base_url\":null}\n{\"type\":\"error\",\"error\":{\"message\":\"m\"}}\n", 9);
    assert_eq!(events.unwrap(), vec![Event::Error { code: "".into(), message: "m".into() }]);
}

#[test]
fn a_cut_body_is_truncated() {
    for end in 0..BODY.len() - 1 {
        match cursor(&BODY.as_bytes()[..end], 1000) {
            Err(fault) => assert_eq!(fault.code, "truncated", "{end}"),
            Ok(_) => panic!("{end}"),
        }
    }
}

#[test]
fn other_forms_are_named() {
    for (line, code) in [
        ("<html>", "json"),
        ("{\"type\":\"row\"", "json"),
        ("[]", "shape"),
        ("{\"type\":\"row\"}", "shape"),
        ("{\"type\":\"row\",\"row\":[{\"value\":\"x\"}]}", "shape"),
        ("{\"type\":\"row\",\"row\":[{\"type\":\"text\"}]}", "shape"),
        ("{\"type\":\"row\",\"row\":[{\"type\":\"uuid\",\"value\":\"x\"}]}", "shape"),
        ("{\"type\":\"row\",\"row\":[{\"type\":\"integer\",\"value\":\"1.5\"}]}", "shape"),
        ("{\"type\":\"row\",\"row\":[{\"type\":\"blob\",\"base64\":\"*\"}]}", "shape"),
        ("{\"type\":\"row\",\"row\":[{\"type\":\"text\",\"value\":\"\\ud800\"}]}", "json"),
        ("{\"type\":\"step_begin\"}", "shape"),
        ("{\"type\":\"replication_index\"}\n{\"type\":\"step_end\"}", "shape"),
    ] {
        assert_eq!(cursor(format!("{line}\n").as_bytes(), 7).unwrap_err().code, code, "{line}");
    }
    let deep = format!("{{\"type\":\"row\",\"x\":{}", "[".repeat(200_000));
    assert_eq!(cursor(format!("{deep}\n").as_bytes(), 1 << 20).unwrap_err().code, "json");
}

#[test]
fn a_handler_that_gives_up_stops_the_feeding() {
    let mut seen = 0;
    let stopped = CursorParser::new().feed(BODY.as_bytes(), &mut |_| {
        seen += 1;
        Err("enough")
    });
    assert_eq!(stopped, Err(FeedError::Handler("enough")));
    assert_eq!(seen, 1);
}

#[test]
fn pipeline_results_are_steps() {
    let body = r#"{"baton":null,"base_url":null,"results":[
        {"type":"ok","response":{"type":"execute","result":{"cols":[],"rows":[[{"type":"integer","value":"1"}],[{"type":"null"}]],"affected_row_count":0}}},
        {"type":"error","error":{"message":"m","code":"C"}},
        {"type":"ok","response":{"result":{"step_errors":[null,{"message":"bad"},null],"step_results":[{"rows":[]},null,null]},"type":"batch"}},
        {"type":"ok","response":{"type":"execute","result":{"rows":[[{"type":"text","value":"\""}]]}}},
        {"type":"ok","response":{"type":"close"}}]}"#;
    assert_eq!(
        pipeline(body).unwrap(),
        vec![
            Event::StepBegin { step: 0 },
            Event::Row(vec![Value::Integer(1)]),
            Event::Row(vec![Value::Null]),
            Event::StepEnd,
            Event::StepError { step: 1, code: "C".into(), message: "m".into() },
            Event::StepBegin { step: 2 },
            Event::StepEnd,
            Event::StepError { step: 3, code: "".into(), message: "bad".into() },
            Event::StepBegin { step: 5 },
            Event::Row(vec![text("\"")]),
            Event::StepEnd,
            Event::End,
        ]
    );
    for (body, code) in [
        ("{", "json"),
        ("[]", "shape"),
        ("{\"results\":[{\"type\":\"maybe\"}]}", "shape"),
        ("{\"error\":\"x\"}", "shape"),
        ("{\"results\":[{\"type\":\"ok\",\"response\":{\"type\":\"execute\"}}]}", "shape"),
    ] {
        match pipeline(body) {
            Err(FeedError::Stream(fault)) => assert_eq!(fault.code, code, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn reals_print_as_in_sqlite() {
    for (number, printed) in [
        (0.0, "0.0"),
        (1.5, "1.5"),
        (-2.0, "-2.0"),
        (0.1, "0.1"),
        (0.800000011920929, "0.800000011920929"),
        (1e15, "1.0e+15"),
        (123_456_789_012_345.0, "123456789012345.0"),
        (1e-4, "0.0001"),
        (-0.0, "0.0"),
        (1e-5, "1.0e-05"),
        (1.25e300, "1.25e+300"),
        (0.1 + 0.2, "0.3"),
        (999_999_999_999_999.9, "1.0e+15"),
        (f64::INFINITY, "Inf"),
    ] {
        assert_eq!(sqlite_text(number), printed);
    }
}

proptest! {
    #[test]
    fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..200), cut in 1usize..50) {
        let _ = cursor(&body, cut);
        let _ = parse_pipeline::<()>(&body, &mut |_| Ok(()));
    }

    #[test]
    fn no_damaged_body_panics(at in 0..BODY.len(), byte in any::<u8>(), cut in 1usize..99) {
        let mut body = BODY.as_bytes().to_vec();
        body[at] = byte;
        let _ = cursor(&body, cut);
    }
}
