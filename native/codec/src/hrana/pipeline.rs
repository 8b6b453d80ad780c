//! Pipeline bodies: one JSON object, opened level by level so that never more than one row is held apart.

use super::cell::{into_values, Cell};
use super::{Event, FeedError, ServerError, StreamFault};
use crate::types::Str;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    results: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Outcome<'a> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
    #[serde(borrow)]
    response: Option<Response<'a>>,
    error: Option<ServerError>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Statement<'a> {
    #[serde(borrow)]
    rows: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    step_results: Vec<Option<Statement<'a>>>,
    #[serde(default)]
    step_errors: Vec<Option<ServerError>>,
}

/// A whole pipeline body, given as the events of a cursor. Each `execute` is a step and so is each step of a `batch`,
/// numbered from 0 across the body; a step that was skipped gives nothing. Other requests (`close`, …) are no steps;
/// one that fails is reported with the number that the next step would have.
pub fn parse_pipeline<E>(body: &[u8], on: &mut dyn FnMut(Event<'_>) -> Result<(), E>) -> Result<(), FeedError<E>> {
    let body: Body = parse(body)?;
    let mut step = 0;
    for result in body.results {
        let outcome: Outcome = parse(result.get().as_bytes())?;
        match (&*outcome.kind, outcome.response) {
            ("error", _) => {
                emit_error(outcome.error.unwrap_or_default(), step, on)?;
                step += 1;
            }
            ("ok", Some(response)) => match (&*response.kind, response.result) {
                ("execute", Some(result)) => {
                    let statement: Statement = parse(result.get().as_bytes())?;
                    emit_rows(statement, step, on)?;
                    step += 1;
                }
                ("batch", Some(result)) => step = emit_batch(parse(result.get().as_bytes())?, step, on)?,
                ("execute" | "batch", None) => return Err(shape("an answer without a result").into()),
                _ => {}
            },
            _ => return Err(shape("a result that is neither ok nor an error").into()),
        }
    }
    on(Event::End).map_err(FeedError::Handler)
}

fn shape(message: &str) -> StreamFault {
    StreamFault::new("shape", message)
}

fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, StreamFault> {
    serde_json::from_slice(text).map_err(|error| StreamFault::of(&error))
}

fn emit_error<E>(
    error: ServerError,
    step: usize,
    on: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
) -> Result<(), FeedError<E>> {
    let (code, message) = error.split();
    on(Event::StepError { step, code, message }).map_err(FeedError::Handler)
}

fn emit_rows<E>(
    statement: Statement<'_>,
    step: usize,
    on: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
) -> Result<(), FeedError<E>> {
    on(Event::StepBegin { step }).map_err(FeedError::Handler)?;
    for row in statement.rows {
        let cells: Vec<Cell> = parse(row.get().as_bytes())?;
        on(Event::Row(into_values(cells))).map_err(FeedError::Handler)?;
    }
    on(Event::StepEnd).map_err(FeedError::Handler)
}

/// Returns the number of the step after the batch.
fn emit_batch<E>(
    batch: Batch<'_>,
    first: usize,
    on: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
) -> Result<usize, FeedError<E>> {
    let mut errors = batch.step_errors.into_iter();
    let mut step = first;
    for statement in batch.step_results {
        if let Some(statement) = statement {
            emit_rows(statement, step, on)?;
        }
        if let Some(error) = errors.next().flatten() {
            emit_error(error, step, on)?;
        }
        step += 1;
    }
    for error in errors {
        if let Some(error) = error {
            emit_error(error, step, on)?;
        }
        step += 1;
    }
    Ok(step)
}
