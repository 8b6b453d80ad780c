//! The tables of the projection and the columns that feed them.

/// A table of the cache that the manifest covers; its number is its place in roots and manifests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    Episodes = 0,
    Summaries,
    Relationships,
    RecommendationSessions,
    RecommendationFeedback,
    Patterns,
    Heuristics,
    Procedural,
    EpisodePatternRelationships,
    Embeddings,
}

/// The storage class that a source column should have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Text,
    Integer,
    Real,
    Blob,
}

/// One source column, in canonical order within its table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
}

const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}

const fn integer(name: &'static str) -> Column {
    Column { name, kind: Kind::Integer }
}

const fn real(name: &'static str) -> Column {
    Column { name, kind: Kind::Real }
}

const fn blob(name: &'static str) -> Column {
    Column { name, kind: Kind::Blob }
}

impl Table {
    pub const ALL: [Table; 10] = [
        Table::Episodes,
        Table::Summaries,
        Table::Relationships,
        Table::RecommendationSessions,
        Table::RecommendationFeedback,
        Table::Patterns,
        Table::Heuristics,
        Table::Procedural,
        Table::EpisodePatternRelationships,
        Table::Embeddings,
    ];

    /// Name of the redb table.
    pub fn name(self) -> &'static str {
        match self {
            Table::Episodes => "episodes",
            Table::Summaries => "summaries",
            Table::Relationships => "relationships",
            Table::RecommendationSessions => "recommendation_sessions",
            Table::RecommendationFeedback => "recommendation_feedback",
            Table::Patterns => "patterns",
            Table::Heuristics => "heuristics",
            Table::Procedural => "procedural",
            Table::EpisodePatternRelationships => "episode_pattern_relationships",
            Table::Embeddings => "embeddings",
        }
    }

    pub fn from_name(name: &str) -> Option<Table> {
        Table::ALL.into_iter().find(|table| table.name() == name)
    }

    pub fn number(self) -> u8 {
        self as u8
    }

    pub fn from_number(number: u8) -> Option<Table> {
        Table::ALL.get(usize::from(number)).copied()
    }

    /// Source columns in canonical order; the tags of an episode are not among them.
    pub fn columns(self) -> &'static [Column] {
        match self {
            Table::Episodes => {
                const {
                    &[
                        text("episode_id"),
                        text("task_type"),
                        text("task_description"),
                        text("context"),
                        integer("start_time"),
                        integer("end_time"),
                        text("steps"),
                        text("outcome"),
                        text("reward"),
                        text("reflection"),
                        text("patterns"),
                        text("heuristics"),
                        text("checkpoints"),
                        text("metadata"),
                    ]
                }
            }
            Table::Summaries => {
                const {
                    &[
                        text("episode_id"),
                        text("summary_text"),
                        text("key_concepts"),
                        text("key_steps"),
                        blob("summary_embedding"),
                    ]
                }
            }
            Table::Relationships => {
                const {
                    &[
                        text("relationship_id"),
                        text("from_episode_id"),
                        text("to_episode_id"),
                        text("relationship_type"),
                        text("reason"),
                        text("created_by"),
                        integer("priority"),
                        real("weight"),
                        text("metadata"),
                        integer("created_at"),
                    ]
                }
            }
            Table::RecommendationSessions => const { &[text("session_id"), text("episode_id"), text("payload")] },
            Table::RecommendationFeedback => const { &[text("session_id"), text("payload")] },
            Table::Patterns => const { &[text("pattern_id"), text("pattern_type")] },
            Table::Heuristics => {
                const {
                    &[
                        text("heuristic_id"),
                        text("condition_text"),
                        text("action_text"),
                        real("confidence"),
                        text("evidence"),
                        integer("created_at"),
                        integer("updated_at"),
                    ]
                }
            }
            Table::Procedural => {
                const {
                    &[
                        text("procedural_id"),
                        text("name"),
                        text("description"),
                        text("context"),
                        text("steps"),
                        text("effectiveness"),
                        text("source_episodes"),
                        text("source_patterns"),
                        integer("created_at"),
                        integer("updated_at"),
                    ]
                }
            }
            Table::EpisodePatternRelationships => {
                const {
                    &[
                        text("relationship_id"),
                        text("episode_id"),
                        text("pattern_id"),
                        text("relationship_type"),
                        real("weight"),
                        text("metadata"),
                        integer("created_at"),
                    ]
                }
            }
            Table::Embeddings => {
                const {
                    &[
                        text("item_id"),
                        text("item_type"),
                        text("embedding_data"),
                        blob("embedding_vector"),
                        integer("dimension"),
                    ]
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_come_back() {
        for table in Table::ALL {
            assert_eq!(Table::from_name(table.name()), Some(table));
            assert_eq!(Table::from_number(table.number()), Some(table));
        }
        assert_eq!(Table::from_number(10), None);
        assert_eq!(Table::from_name("metadata"), None);
    }
}
