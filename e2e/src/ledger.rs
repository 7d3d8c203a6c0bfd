//! The database of the service in tests on nodes: what was written, by whom, with which token, and when.
//!
//! The rule of the fence is the database's own: a write with an older token than the newest it has seen is refused. What
//! was refused is kept as well, so that a test can tell a fence that held from one that nobody came to.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use crate::process::boottime_ns;

/// A connection to the database.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
}

/// One write, or the try of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The Pod.
    pub who: String,
    /// The fencing token that it came with.
    pub token: u64,
    /// CLOCK_BOOTTIME, read while no other write could happen.
    pub boottime_ns: u64,
    /// Whether the fence let it through.
    pub accepted: bool,
}

impl Ledger {
    /// Opens the database, and makes it where there is none.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path).with_context(|| format!("opening {}", path.display()))?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // What a machine's crash would lose is of no use to anybody: no wait for the disk.
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.execute_batch(TABLES).context("making the tables")?;
        Ok(Self { connection })
    }

    /// Writes one entry, if the fence lets it through.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn write(&mut self, who: &str, token: u64) -> Result<bool> {
        // The lock first: the order of entries is that of their times.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let token = i64::try_from(token)?;
        let accepted = transaction.execute("UPDATE fence SET token = ?1 WHERE token <= ?1", [token])? == 1;
        let now = i64::try_from(boottime_ns())?;
        transaction.execute(
            "INSERT INTO entry (who, token, boottime_ns, accepted) VALUES (?1, ?2, ?3, ?4)",
            params![who, token, now, accepted],
        )?;
        transaction.commit()?;
        Ok(accepted)
    }

    /// All entries, in the order in which they were written.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let mut query =
            self.connection.prepare("SELECT who, token, boottime_ns, accepted FROM entry ORDER BY id")?;
        let rows = query.query_map([], entry)?;
        rows.collect::<Result<_, _>>().context("reading the entries")
    }

    /// The newest entry.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn last(&self) -> Result<Option<Entry>> {
        let newest = "SELECT who, token, boottime_ns, accepted FROM entry ORDER BY id DESC LIMIT 1";
        self.connection.query_row(newest, [], entry).optional().context("reading the newest entry")
    }
}

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        who: row.get(0)?,
        token: row.get::<_, i64>(1)?.unsigned_abs(),
        boottime_ns: row.get::<_, i64>(2)?.unsigned_abs(),
        accepted: row.get(3)?,
    })
}

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS fence (token INTEGER NOT NULL);
    INSERT INTO fence (token) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM fence);
    CREATE TABLE IF NOT EXISTS entry (
        id INTEGER PRIMARY KEY, who TEXT NOT NULL, token INTEGER NOT NULL,
        boottime_ns INTEGER NOT NULL, accepted INTEGER NOT NULL
    );";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_older_than_the_newest_is_refused_and_noted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let mut old = Ledger::open(&path).unwrap();
        let mut new = Ledger::open(&path).unwrap();
        assert!(old.write("app-0", 7).unwrap());
        assert!(new.write("app-1", 9).unwrap());
        assert!(!old.write("app-0", 7).unwrap());
        let accepted: Vec<_> =
            new.entries().unwrap().iter().map(|entry| (entry.token, entry.accepted)).collect();
        assert_eq!(accepted, [(7, true), (9, true), (7, false)]);
        assert_eq!(old.last().unwrap().unwrap().who, "app-0");
    }
}
