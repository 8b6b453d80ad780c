//! What a person calls an episode or a pattern.

use crate::table::Table;
use crate::types::{Pattern, Str, TaskType};
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
