//! The body of a response, cursor lines or a whole pipeline body, told apart by its first line.

use crate::errors::{Fault, Outcome};
use storage_sync_codec::hrana::{CursorParser, Event, FeedError, StreamFault, parse_pipeline};

/// The first line of a cursor is short; a body without a line end in this many bytes is a pipeline's.
const FIRST_LINE: usize = 16 << 10;
/// A pipeline body is one JSON text and must be held whole; servers stop at 10 MB.
const PIPELINE_LIMIT: usize = 64 << 20;

enum Form {
    /// Nothing known yet; what came so far.
    Open(Vec<u8>),
    Cursor(CursorParser),
    Pipeline(Vec<u8>),
}

/// One response on its way in.
pub struct Body {
    form: Form,
}

impl Body {
    pub fn new() -> Self {
        Self { form: Form::Open(Vec::new()) }
    }

    /// One piece of the body; `on` receives what became whole with it.
    pub fn feed(&mut self, chunk: &[u8], on: &mut dyn FnMut(Event<'_>) -> Outcome<()>) -> Outcome<()> {
        match &mut self.form {
            Form::Cursor(parser) => parser.feed(chunk, on).map_err(fault),
            Form::Pipeline(body) => gather(body, chunk),
            Form::Open(body) => {
                body.extend_from_slice(chunk);
                let line = body.iter().position(|byte| *byte == b'\n');
                match line {
                    Some(end) if !is_pipeline(&body[..end]) => {
                        let begun = std::mem::take(body);
                        let mut parser = CursorParser::new();
                        let fed = parser.feed(&begun, on).map_err(fault);
                        self.form = Form::Cursor(parser);
                        fed
                    }
                    None if body.len() < FIRST_LINE => Ok(()),
                    _ => {
                        self.form = Form::Pipeline(std::mem::take(body));
                        Ok(())
                    }
                }
            }
        }
    }

    /// The body is over.
    pub fn finish(self, on: &mut dyn FnMut(Event<'_>) -> Outcome<()>) -> Outcome<()> {
        match self.form {
            Form::Cursor(parser) => parser.finish().map_err(stream),
            Form::Open(body) if body.is_empty() => Err(Fault::stream("truncated", "the response is empty")),
            Form::Open(body) | Form::Pipeline(body) => parse_pipeline(&body, on).map_err(fault),
        }
    }
}

fn is_pipeline(line: &[u8]) -> bool {
    line.windows(9).any(|part| part == b"\"results\"")
}

fn gather(body: &mut Vec<u8>, chunk: &[u8]) -> Outcome<()> {
    if body.len() + chunk.len() > PIPELINE_LIMIT {
        return Err(Fault::stream("shape", "the response is longer than any server sends in one piece"));
    }
    body.extend_from_slice(chunk);
    Ok(())
}

fn stream(error: StreamFault) -> Fault {
    Fault::Stream { code: error.code, message: error.message }
}

fn fault(error: FeedError<Fault>) -> Fault {
    match error {
        FeedError::Stream(error) => stream(error),
        FeedError::Handler(fault) => fault,
    }
}
