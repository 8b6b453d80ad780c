//! Response bodies of the primary: cursor lines and pipeline bodies (docs/primary.md#endpoints).

mod cell;
mod cursor;
mod pipeline;

pub use cell::sqlite_text;
pub use cursor::CursorParser;
pub use pipeline::parse_pipeline;

use crate::source_row::Value;
use serde::Deserialize;
use std::fmt;

/// A response that is not what the protocol says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamFault {
    /// `truncated` (no terminator), `shape` (valid JSON, wrong form) or `json` (not JSON).
    pub code: String,
    pub message: String,
}

impl StreamFault {
    fn new(code: &str, message: impl Into<String>) -> StreamFault {
        StreamFault { code: code.into(), message: message.into() }
    }

    fn of(error: &serde_json::Error) -> StreamFault {
        match error.classify() {
            serde_json::error::Category::Data => StreamFault::new("shape", format!("unexpected form: {error}")),
            _ => StreamFault::new("json", format!("not JSON: {error}")),
        }
    }
}

impl fmt::Display for StreamFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for StreamFault {}

/// Why feeding stopped: the stream is at fault, or whoever received its events gave up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FeedError<E> {
    Stream(StreamFault),
    Handler(E),
}

impl<E> From<StreamFault> for FeedError<E> {
    fn from(fault: StreamFault) -> Self {
        FeedError::Stream(fault)
    }
}

/// What a response says, in order.
#[derive(Clone, PartialEq, Debug)]
pub enum Event<'a> {
    StepBegin {
        step: usize,
    },
    /// A row of the step that began last.
    Row(Vec<Value<'a>>),
    StepEnd,
    /// The step failed, perhaps after some of its rows. `code` is empty when the server gives none.
    StepError {
        step: usize,
        code: String,
        message: String,
    },
    /// Ends the response in place of `End`.
    Error {
        code: String,
        message: String,
    },
    /// The terminator: all of the response has arrived.
    End,
}

/// The server's own words about a failure.
#[derive(Deserialize, Default)]
struct ServerError {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    code: Option<String>,
}

impl ServerError {
    fn split(self) -> (String, String) {
        (self.code.unwrap_or_default(), self.message.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
