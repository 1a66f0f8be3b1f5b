//! Which agent a host runs, and whether it may write.
//!
//! A *schema* numbers what agents write in the store: it rises when a kind or a field comes that those before do not know. The store says from which on an
//! agent may write (`min_writer`). One below goes on with what it knows, and with the news of the store as far as it can read them; it writes nothing.

/// An agent, as its host's record tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Version of the program, such as `0.1.0`.
    pub version: String,
    /// The last schema it knows; never 0.
    pub schema: u32,
}

/// Why an agent may not write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Outdated {
    /// It is older than those for whom the store is.
    #[error("this agent (poplind {version}) knows schema {schema}, and the store takes writes from schema {least} on")]
    Older {
        /// Version of the program.
        version: String,
        /// The last schema it knows.
        schema: u32,
        /// The first schema that may write.
        least: u32,
    },
    /// Nobody knows for whom the store is.
    #[error(
        "this agent (poplind {version}) knows schema {schema}, and from which schema on the store takes writes cannot be read"
    )]
    Unclear {
        /// Version of the program.
        version: String,
        /// The last schema it knows.
        schema: u32,
    },
}

impl Outdated {
    /// What to try.
    pub const ADVICE: &str = "start a poplind that knows that schema on this host; or, to go back with the whole fabric, `poplin store schema --set N` with the \
                              schema of the oldest agent that shall write; what runs goes on meanwhile";
}

/// From which schema on agents may write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinWriter {
    /// The store does not say: nobody is kept from it.
    #[default]
    Unsaid,
    /// From this one on.
    From(u32),
    /// What stands there cannot be read: nobody may but who mends it.
    Unreadable,
}

impl MinWriter {
    /// Whether an agent may write, or why not.
    pub fn admits(self, release: &Release) -> Result<(), Outdated> {
        let Release { version, schema } = release.clone();
        match self {
            MinWriter::From(least) if schema < least => Err(Outdated::Older { version, schema, least }),
            MinWriter::Unreadable => Err(Outdated::Unclear { version, schema }),
            MinWriter::Unsaid | MinWriter::From(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_may_write_from_the_schema_on_that_the_store_names() {
        let release = Release { version: "0.1.0".to_owned(), schema: 2 };

        for open in [MinWriter::Unsaid, MinWriter::From(1), MinWriter::From(2)] {
            assert_eq!(open.admits(&release), Ok(()));
        }
        let refused = MinWriter::From(3).admits(&release).unwrap_err().to_string();
        assert!(refused.contains("schema 2") && refused.contains("schema 3"), "{refused}");
        assert!(MinWriter::Unreadable.admits(&release).is_err());
    }
}
