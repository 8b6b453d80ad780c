//! The data plane of storage-sync: redb files, row decoding, postcard, merge, digests.
//!
//! The typed face is `storage_sync/_native.pyi`. Every function that touches a file or a batch releases the
//! interpreter lock, and no panic leaves this crate.

mod apply;
mod body;
mod copy;
mod create;
mod edit;
mod embeddings;
mod errors;
mod families;
mod file;
mod finish;
mod follow;
mod header;
mod kept;
mod keys;
mod ledger;
mod manifest;
mod memory;
mod newest;
mod open;
mod panics;
mod record;
mod row;
mod salvage;
mod scan;
mod scope;
mod sibling;
mod staging;
mod store;
mod tables;
mod terminal;
mod unnamed;
mod untouched;
mod values;
mod vectors;
mod waiting;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    panics::install_hook();
    memory::tune();
    errors::register(module)?;
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add("COMMIT", env!("BUILD_COMMIT"))?;
    module.add("TARGET", env!("BUILD_TARGET"))?;
    module.add("COMPILER", env!("BUILD_COMPILER"))?;
    module.add("REDB_VERSION", env!("REDB_VERSION"))?;
    module.add("ENCODING", scope::ENCODING)?;
    module.add("CACHE_SCHEMA_VERSION", tables::CACHE_SCHEMA_VERSION)?;
    module.add_class::<header::Header>()?;
    module.add_class::<copy::CopyInfo>()?;
    module.add_class::<file::TableStat>()?;
    module.add_class::<file::CacheFile>()?;
    module.add_class::<embeddings::Embeddings>()?;
    module.add_class::<scan::ScanTable>()?;
    module.add_class::<scan::Scan>()?;
    module.add_class::<scope::Scope>()?;
    module.add_class::<manifest::Comparison>()?;
    module.add_class::<kept::KeptManifest>()?;
    module.add_class::<waiting::Waiting>()?;
    module.add_class::<staging::StepSpec>()?;
    module.add_class::<staging::Changes>()?;
    module.add_class::<staging::Staging>()?;
    module.add_class::<apply::Applied>()?;
    module.add_class::<salvage::Salvage>()?;
    module.add_function(wrap_pyfunction!(header::read_header, module)?)?;
    module.add_function(wrap_pyfunction!(copy::copy_file, module)?)?;
    module.add_function(wrap_pyfunction!(values::source_columns, module)?)?;
    module.add_function(wrap_pyfunction!(values::decode_value, module)?)?;
    module.add_function(wrap_pyfunction!(values::digest, module)?)?;
    module.add_function(wrap_pyfunction!(values::title, module)?)?;
    module.add_function(wrap_pyfunction!(values::label, module)?)?;
    module.add_function(wrap_pyfunction!(salvage::is_whole, module)?)?;
    module.add_function(wrap_pyfunction!(scan::root_of, module)?)?;
    module.add_function(wrap_pyfunction!(follow::belongings, module)?)?;
    module.add_function(wrap_pyfunction!(scan::prove, module)?)?;
    module.add_function(wrap_pyfunction!(apply::apply, module)?)?;
    module.add_function(wrap_pyfunction!(edit::edit, module)?)?;
    module.add_function(wrap_pyfunction!(edit::detach, module)?)?;
    module.add_function(wrap_pyfunction!(edit::compact, module)?)?;
    module.add_function(wrap_pyfunction!(sibling::finish_sibling, module)?)?;
    module.add_function(wrap_pyfunction!(terminal::guard_terminal, module)?)?;
    Ok(())
}
