//! What a person calls an episode or a pattern, and files it under.

use crate::table::Table;
use crate::types::{Episode, Pattern, Str, TaskContext, TaskType};
use uuid::Uuid;

/// Characters of a title that are kept.
const LONGEST: usize = 200;

/// The task of a cached episode, the main words of a cached pattern; None for other tables and undecodable values.
pub fn title(table: Table, data: &[u8]) -> Option<String> {
    match table {
        // The task stands at the front: the steps after it are most of the value and are not read.
        Table::Episodes => {
            postcard::take_from_bytes::<(Uuid, TaskType, Str)>(data).ok().map(|(found, _)| cut(&found.2))
        }
        Table::Patterns => postcard::from_bytes::<Pattern>(data).ok().map(|pattern| cut(&of_pattern(&pattern))),
        _ => None,
    }
}

/// Domain and tags of a cached episode or pattern, in order and each tag once; None without a context, for other
/// tables and for undecodable values.
pub fn label(table: Table, data: &[u8]) -> Option<(String, Vec<String>)> {
    match table {
        Table::Episodes => {
            let episode = postcard::from_bytes::<Episode>(data).ok()?;
            Some(labelled(&episode.context, &episode.tags))
        }
        Table::Patterns => match postcard::from_bytes::<Pattern>(data).ok()? {
            Pattern::ToolSequence { context, .. }
            | Pattern::DecisionPoint { context, .. }
            | Pattern::ErrorRecovery { context, .. } => Some(labelled(&context, &[])),
            Pattern::ContextPattern { .. } => None,
        },
        _ => None,
    }
}

fn labelled(context: &TaskContext, more: &[Str]) -> (String, Vec<String>) {
    let mut tags: Vec<String> = context.tags.iter().chain(more).map(|tag| cut(tag)).collect();
    tags.sort_unstable();
    tags.dedup();
    (cut(&context.domain), tags)
}

fn of_pattern(pattern: &Pattern) -> String {
    match pattern {
        Pattern::ToolSequence { tools, .. } => {
            let names: Vec<&str> = tools.iter().map(|tool| &**tool).collect();
            format!("Tool sequence: {}", names.join(" -> "))
        }
        Pattern::DecisionPoint { condition, action, .. } => format!("Decision: {} -> {}", &**condition, &**action),
        Pattern::ErrorRecovery { error_type, .. } => format!("Error recovery for: {}", &**error_type),
        Pattern::ContextPattern { recommended_approach, .. } => format!("Context: {}", &**recommended_approach),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}
