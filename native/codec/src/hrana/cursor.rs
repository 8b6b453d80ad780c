//! Cursor bodies: one JSON object a line.

use super::cell::{into_values, Cell};
use super::{Event, FeedError, ServerError, StreamFault};
use crate::types::Str;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

/// A push parser for the lines of a cursor; chunks cut lines anywhere.
#[derive(Default)]
pub struct CursorParser {
    /// The beginning of a line whose end has not arrived.
    rest: Vec<u8>,
    ended: bool,
}

/// One line; which fields are there depends on the type.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    #[serde(default)]
    baton: Present,
    step: Option<usize>,
    #[serde(borrow)]
    row: Option<Vec<Cell<'a>>>,
    error: Option<ServerError>,
}

/// Whether a field was there, with whatever value.
#[derive(Default)]
struct Present(bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Present(true))
    }
}

impl CursorParser {
    /// A line that grows beyond this is not a row: cells end at 5 MB, rows that matter at 10.
    const LONGEST_LINE: usize = 64 << 20;

    pub fn new() -> CursorParser {
        CursorParser::default()
    }

    /// One piece of the body; `on` receives what became whole with it.
    pub fn feed<E>(
        &mut self,
        chunk: &[u8],
        on: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), FeedError<E>> {
        let mut chunk = chunk;
        if !self.rest.is_empty() {
            let Some(end) = line_end(chunk) else {
                return self.keep(chunk).map_err(FeedError::Stream);
            };
            let mut line = std::mem::take(&mut self.rest);
            line.extend_from_slice(&chunk[..end]);
            chunk = &chunk[end + 1..];
            self.line(&line, on)?;
            // The room is kept for the next cut line, unless it was an uncommon one.
            if line.capacity() <= 1 << 20 {
                line.clear();
                self.rest = line;
            }
        }
        while let Some(end) = line_end(chunk) {
            self.line(&chunk[..end], on)?;
            chunk = &chunk[end + 1..];
        }
        self.keep(chunk).map_err(FeedError::Stream)
    }

    /// The body is over: a fault when its terminator is missing.
    pub fn finish(self) -> Result<(), StreamFault> {
        if self.ended && self.rest.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        Err(StreamFault::new("truncated", "the response ended before its last line"))
    }

    fn keep(&mut self, piece: &[u8]) -> Result<(), StreamFault> {
        if self.rest.len() + piece.len() > Self::LONGEST_LINE {
            return Err(StreamFault::new("shape", "a line longer than any row can be"));
        }
        self.rest.extend_from_slice(piece);
        Ok(())
    }

    fn line<E>(&mut self, line: &[u8], on: &mut dyn FnMut(Event<'_>) -> Result<(), E>) -> Result<(), FeedError<E>> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        if self.ended {
            return Err(StreamFault::new("shape", "a line after the last one").into());
        }
        let parsed: Line = serde_json::from_slice(line).map_err(|error| StreamFault::of(&error))?;
        let Some(event) = event_of(parsed)? else {
            return Ok(());
        };
        self.ended = matches!(event, Event::End | Event::Error { .. });
        on(event).map_err(FeedError::Handler)
    }
}

fn line_end(chunk: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', chunk)
}

/// None for lines of a type that we do not know: a newer server may say more.
fn event_of(line: Line<'_>) -> Result<Option<Event<'_>>, StreamFault> {
    let Some(kind) = line.kind else {
        // The head of the response, which is for whoever keeps the stream.
        return if line.baton.0 { Ok(None) } else { Err(StreamFault::new("shape", "a line without a type")) };
    };
    let step = || line.step.ok_or_else(|| StreamFault::new("shape", format!("a {} without a step", kind.0)));
    Ok(Some(match &*kind {
        "row" => match line.row {
            Some(cells) => Event::Row(into_values(cells)),
            None => return Err(StreamFault::new("shape", "a row without values")),
        },
        "step_begin" => Event::StepBegin { step: step()? },
        "step_end" => Event::StepEnd,
        "step_error" => {
            let step = step()?;
            let (code, message) = line.error.unwrap_or_default().split();
            Event::StepError { step, code, message }
        }
        "error" => {
            let (code, message) = line.error.unwrap_or_default().split();
            Event::Error { code, message }
        }
        "replication_index" => Event::End,
        _ => return Ok(None),
    }))
}
