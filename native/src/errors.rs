//! What can go wrong, and how Python sees it: redb's own names, one class each.

use pyo3::exceptions::{PyBlockingIOError, PyException, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::{create_exception, intern};
use redb::{CommitError, CompactionError, DatabaseError as RedbDatabase, StorageError as RedbStorage};
use redb::{TableError as RedbTable, TransactionError};
use std::io;

create_exception!(storage_sync._native, NativeError, PyException);
create_exception!(storage_sync._native, NativePanic, NativeError);
create_exception!(storage_sync._native, DatabaseError, NativeError);
create_exception!(storage_sync._native, DatabaseAlreadyOpen, DatabaseError);
create_exception!(storage_sync._native, RepairAborted, DatabaseError);
create_exception!(storage_sync._native, UpgradeRequired, DatabaseError);
create_exception!(storage_sync._native, TransactionInProgress, DatabaseError);
create_exception!(storage_sync._native, StorageError, NativeError);
create_exception!(storage_sync._native, Corrupted, StorageError);
create_exception!(storage_sync._native, PreviousIo, StorageError);
create_exception!(storage_sync._native, StorageIo, StorageError);
create_exception!(storage_sync._native, TableError, NativeError);
create_exception!(storage_sync._native, TableTypeMismatch, TableError);
create_exception!(storage_sync._native, TableDoesNotExist, TableError);
create_exception!(storage_sync._native, CommitUnknown, NativeError);
create_exception!(storage_sync._native, Conflict, NativeError);
create_exception!(storage_sync._native, StreamError, NativeError);

pub type Outcome<T> = Result<T, Fault>;

/// Every failure inside the crate, before it becomes a Python exception.
#[derive(Debug)]
pub enum Fault {
    /// A caught panic: place and message.
    Panic(String),
    Database(Box<RedbDatabase>),
    Storage(Box<RedbStorage>),
    Table(Box<RedbTable>),
    /// `commit()` failed: it may be durable or not.
    CommitUnknown(String),
    Conflict(String),
    Stream {
        code: String,
        message: String,
    },
    /// An operating system error outside redb, with the path that it is about.
    Io(io::Error, String),
    /// A file moved while it was copied.
    Busy(String),
    /// An argument or a state that the caller got wrong.
    Value(String),
}

impl Fault {
    pub fn stream(code: &str, message: impl Into<String>) -> Self {
        Self::Stream { code: code.to_owned(), message: message.into() }
    }

    pub fn value(message: impl Into<String>) -> Self {
        Self::Value(message.into())
    }

    pub fn io(error: io::Error, path: &std::path::Path) -> Self {
        Self::Io(error, path.display().to_string())
    }

    /// Something else has the name: EEXIST, with what to do about it.
    pub fn taken(told: &str, path: &std::path::Path) -> Self {
        Self::io(io::Error::new(io::ErrorKind::AlreadyExists, told), path)
    }

    /// A second copy of this failure, for a caller who asks again after a thread has ended.
    pub fn again(&self) -> Self {
        match self {
            Self::Panic(text) => Self::Panic(text.clone()),
            Self::Database(error) => Self::Storage(Box::new(RedbStorage::Corrupted(error.to_string()))),
            Self::Storage(error) => Self::Storage(Box::new(repeat_storage(error))),
            Self::Table(error) => Self::Storage(Box::new(RedbStorage::Corrupted(error.to_string()))),
            Self::CommitUnknown(text) => Self::CommitUnknown(text.clone()),
            Self::Conflict(text) => Self::Conflict(text.clone()),
            Self::Stream { code, message } => Self::Stream { code: code.clone(), message: message.clone() },
            Self::Io(error, path) => Self::Io(repeat_io(error), path.clone()),
            Self::Busy(text) => Self::Busy(text.clone()),
            Self::Value(text) => Self::Value(text.clone()),
        }
    }
}

fn repeat_io(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

fn repeat_storage(error: &RedbStorage) -> RedbStorage {
    match error {
        RedbStorage::Io(inner) => RedbStorage::Io(repeat_io(inner)),
        RedbStorage::PreviousIo => RedbStorage::PreviousIo,
        other => RedbStorage::Corrupted(other.to_string()),
    }
}

impl From<RedbDatabase> for Fault {
    fn from(error: RedbDatabase) -> Self {
        match error {
            RedbDatabase::Storage(inner) => inner.into(),
            other => Self::Database(Box::new(other)),
        }
    }
}

impl From<RedbStorage> for Fault {
    fn from(error: RedbStorage) -> Self {
        Self::Storage(Box::new(error))
    }
}

impl From<RedbTable> for Fault {
    fn from(error: RedbTable) -> Self {
        match error {
            RedbTable::Storage(inner) => inner.into(),
            other => Self::Table(Box::new(other)),
        }
    }
}

impl From<TransactionError> for Fault {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Storage(inner) => inner.into(),
            _ => Self::Database(Box::new(RedbDatabase::TransactionInProgress)),
        }
    }
}

impl From<CommitError> for Fault {
    fn from(error: CommitError) -> Self {
        Self::CommitUnknown(error.to_string())
    }
}

impl From<CompactionError> for Fault {
    fn from(error: CompactionError) -> Self {
        match error {
            CompactionError::Storage(inner) => inner.into(),
            _ => Self::Database(Box::new(RedbDatabase::TransactionInProgress)),
        }
    }
}

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Panic(text) => NativePanic::new_err(text),
            Fault::Database(error) => database(*error),
            Fault::Storage(error) => storage(*error),
            Fault::Table(error) => table(*error),
            Fault::CommitUnknown(text) => CommitUnknown::new_err(text),
            Fault::Conflict(text) => Conflict::new_err(text),
            Fault::Stream { code, message } => with_code(&code, &message),
            Fault::Io(error, path) => match error.raw_os_error() {
                // OSError picks its own subclass (FileNotFoundError, PermissionError …) from the number.
                Some(number) => PyOSError::new_err((number, plain(&error), path)),
                None if error.kind() == io::ErrorKind::AlreadyExists => {
                    PyOSError::new_err((libc::EEXIST, error.to_string(), path))
                }
                None => PyOSError::new_err(format!("{error}: {path}")),
            },
            Fault::Busy(text) => PyBlockingIOError::new_err(text),
            Fault::Value(text) => PyValueError::new_err(text),
        }
    }
}

/// The system's words without Rust's "(os error 2)".
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn database(error: RedbDatabase) -> PyErr {
    let text = error.to_string();
    match error {
        RedbDatabase::DatabaseAlreadyOpen | RedbDatabase::LockProtocolMismatch => DatabaseAlreadyOpen::new_err(text),
        RedbDatabase::RepairAborted => RepairAborted::new_err(text),
        RedbDatabase::UpgradeRequired(_) => UpgradeRequired::new_err(text),
        RedbDatabase::TransactionInProgress => TransactionInProgress::new_err(text),
        RedbDatabase::Storage(inner) => storage(inner),
        _ => DatabaseError::new_err(text),
    }
}

fn storage(error: RedbStorage) -> PyErr {
    match error {
        RedbStorage::Corrupted(text) => Corrupted::new_err(text),
        RedbStorage::PreviousIo => PreviousIo::new_err(RedbStorage::PreviousIo.to_string()),
        RedbStorage::Io(inner) => io_error(&inner),
        other => StorageError::new_err(other.to_string()),
    }
}

fn table(error: RedbTable) -> PyErr {
    let text = error.to_string();
    match error {
        RedbTable::TableTypeMismatch { .. }
        | RedbTable::TypeDefinitionChanged { .. }
        | RedbTable::TableIsMultimap(_)
        | RedbTable::TableIsNotMultimap(_) => TableTypeMismatch::new_err(text),
        RedbTable::TableDoesNotExist(_) => TableDoesNotExist::new_err(text),
        RedbTable::Storage(inner) => storage(inner),
        _ => TableError::new_err(text),
    }
}

fn io_error(error: &io::Error) -> PyErr {
    Python::attach(|py| {
        let raised = StorageIo::new_err(error.to_string());
        let value = raised.value(py);
        let filled = value
            .setattr(intern!(py, "errno"), error.raw_os_error())
            .and_then(|()| value.setattr(intern!(py, "kind"), format!("{:?}", error.kind())));
        match filled {
            Ok(()) => raised,
            Err(failed) => failed,
        }
    })
}

fn with_code(code: &str, message: &str) -> PyErr {
    Python::attach(|py| {
        let raised = StreamError::new_err(message.to_owned());
        match raised.value(py).setattr(intern!(py, "code"), code) {
            Ok(()) => raised,
            Err(failed) => failed,
        }
    })
}

/// Add every class to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    for (name, class) in [
        ("NativeError", py.get_type::<NativeError>()),
        ("NativePanic", py.get_type::<NativePanic>()),
        ("DatabaseError", py.get_type::<DatabaseError>()),
        ("DatabaseAlreadyOpen", py.get_type::<DatabaseAlreadyOpen>()),
        ("RepairAborted", py.get_type::<RepairAborted>()),
        ("UpgradeRequired", py.get_type::<UpgradeRequired>()),
        ("TransactionInProgress", py.get_type::<TransactionInProgress>()),
        ("StorageError", py.get_type::<StorageError>()),
        ("Corrupted", py.get_type::<Corrupted>()),
        ("PreviousIo", py.get_type::<PreviousIo>()),
        ("StorageIo", py.get_type::<StorageIo>()),
        ("TableError", py.get_type::<TableError>()),
        ("TableTypeMismatch", py.get_type::<TableTypeMismatch>()),
        ("TableDoesNotExist", py.get_type::<TableDoesNotExist>()),
        ("CommitUnknown", py.get_type::<CommitUnknown>()),
        ("Conflict", py.get_type::<Conflict>()),
        ("StreamError", py.get_type::<StreamError>()),
    ] {
        module.add(name, class)?;
    }
    Ok(())
}
