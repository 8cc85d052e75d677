//! What can go wrong in the store.

/// Why the store did not do what it was asked.
///
/// Texts may name files, hosts, tables and ids, never a secret; they are for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database is away, frozen, locked by somebody else or out of space. Nothing was half
    /// done; the same call may succeed later.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The database refused a statement for a reason that repeating does not mend.
    #[error("the store refused a statement: {0}")]
    Refused(String),
    /// A row contradicts what the program can have written.
    #[error("the column {column} of the row {row} in the table {table} makes no sense")]
    Contradiction {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The key of the row.
        row: String,
    },
    /// The schema is not the one this program needs.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The configured address is not one that can be opened.
    #[error("[store] url: {0}")]
    Url(String),
    /// The file of the database, or its folder, could not be made.
    #[error("{path}: {cause}")]
    File {
        /// The file or folder.
        path: String,
        /// What the operating system said.
        cause: String,
    },
}

/// Why a schema does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Migrations are missing, and the configuration forbids to apply them.
    #[error(
        "the schema of the store is old (the migration {first_missing} is missing) and [store] \
         migrate is off; run the command migrate, or set migrate to auto"
    )]
    Old {
        /// The first migration that is missing.
        first_missing: String,
    },
    /// A migration was applied with another text than the one this program carries.
    #[error("the migration {name} in the store is not the one of this program")]
    Changed {
        /// The migration.
        name: String,
    },
}
