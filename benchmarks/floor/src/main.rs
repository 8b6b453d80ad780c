//! The floor under a first sync: `redb-floor insert ROWS NEW.redb` puts encoded rows into a new file in one durable
//! transaction, `redb-floor scan FILE` reads every row, `redb-floor check FILE` is redb's own check of integrity, which
//! may write. Prints seconds.
//!
//! ROWS holds frames: lengths of table name, key and value (u32 LE each), then the three.

use std::error::Error;
use std::fs;
use std::time::Instant;

use redb::{Database, ReadOnlyDatabase, ReadableDatabase, ReadableTable, TableDefinition, TableHandle};

const CACHE_BYTES: usize = 16 << 20;

fn insert(rows: &str, target: &str) -> Result<f64, Box<dyn Error>> {
    let data = fs::read(rows)?;
    let started = Instant::now();
    let database = Database::builder().set_cache_size(CACHE_BYTES).create(target)?;
    let transaction = database.begin_write()?;
    let mut at = 0;
    let mut open: Option<(String, redb::Table<'_, &str, &[u8]>)> = None;
    while at < data.len() {
        let mut parts: [&[u8]; 3] = [&[]; 3];
        let mut body = at + 12;
        for (index, part) in parts.iter_mut().enumerate() {
            let length = u32::from_le_bytes(data[at + 4 * index..at + 4 * index + 4].try_into()?) as usize;
            *part = &data[body..body + length];
            body += length;
        }
        at = body;
        let name = std::str::from_utf8(parts[0])?;
        if open.as_ref().is_none_or(|(current, _)| current != name) {
            drop(open.take());
            let definition: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(name);
            open = Some((name.to_owned(), transaction.open_table(definition)?));
        }
        if let Some((_, table)) = open.as_mut() {
            table.insert(std::str::from_utf8(parts[1])?, parts[2])?;
        }
    }
    drop(open);
    transaction.commit()?;
    drop(database);
    Ok(started.elapsed().as_secs_f64())
}

fn scan(path: &str) -> Result<f64, Box<dyn Error>> {
    let started = Instant::now();
    let database = ReadOnlyDatabase::open(path)?;
    let transaction = database.begin_read()?;
    let mut bytes = 0;
    for handle in transaction.list_tables()? {
        let definition: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(handle.name());
        let Ok(table) = transaction.open_table(definition) else {
            continue;
        };
        for row in table.iter()? {
            bytes += row?.1.value().iter().map(|byte| u64::from(*byte)).sum::<u64>();
        }
    }
    std::hint::black_box(bytes);
    Ok(started.elapsed().as_secs_f64())
}

fn check(path: &str) -> Result<f64, Box<dyn Error>> {
    let started = Instant::now();
    let sound = Database::open(path)?.check_integrity()?;
    if !sound {
        return Err("the file was not sound".into());
    }
    Ok(started.elapsed().as_secs_f64())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["insert", rows, target] => insert(rows, target)?,
        ["scan", path] => scan(path)?,
        ["check", path] => check(path)?,
        _ => return Err("usage: redb-floor insert ROWS NEW.redb | scan FILE | check FILE".into()),
    };
    println!("{seconds}");
    Ok(())
}
