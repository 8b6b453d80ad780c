//! Response bodies of the primary: cursor lines and pipeline bodies (`primary.md` 1.5 to 1.8).

use crate::value::Value;
use std::fmt;

/// A response that is not what the protocol says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamFault {
    /// The server's code, or `truncated`, `shape`, `json`.
    pub code: String,
    pub message: String,
}

impl fmt::Display for StreamFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for StreamFault {}

/// Why feeding stopped: the stream is at fault, or whoever received its events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FeedError<E> {
    Stream(StreamFault),
    Handler(E),
}

/// What a response says, in order.
#[derive(Clone, PartialEq, Debug)]
pub enum Event<'a> {
    StepBegin {
        step: usize,
    },
    Row(Vec<Value<'a>>),
    StepEnd,
    StepError {
        step: usize,
        code: String,
        message: String,
    },
    /// Ends the response.
    Error {
        code: String,
        message: String,
    },
    /// The terminator.
    End,
}

/// A push parser for the lines of a cursor; chunks cut lines anywhere.
#[derive(Default)]
pub struct CursorParser {
    rest: Vec<u8>,
    ended: bool,
}

impl CursorParser {
    pub fn new() -> CursorParser {
        CursorParser::default()
    }

    /// One piece of the body; `on` receives what became whole with it.
    pub fn feed<E>(
        &mut self,
        _chunk: &[u8],
        _on: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), FeedError<E>> {
        Ok(())
    }

    /// The body is over: a fault when its terminator is missing.
    pub fn finish(self) -> Result<(), StreamFault> {
        if self.ended && self.rest.is_empty() {
            return Ok(());
        }
        Err(StreamFault { code: "truncated".into(), message: "the response ended before its last line".into() })
    }
}

/// A whole pipeline body, given as the same events: each execute is a step, each step of a batch too.
pub fn parse_pipeline<E>(_body: &[u8], _on: &mut dyn FnMut(Event<'_>) -> Result<(), E>) -> Result<(), FeedError<E>> {
    Ok(())
}
