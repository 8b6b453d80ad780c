//! Reads the version of the redb crate from the lock file, so that the module can name it.

use std::{env, fs, path::Path};

fn main() {
    let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let lock = Path::new(&folder).join("Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    let text = fs::read_to_string(&lock).unwrap_or_default();
    let version = text
        .split("[[package]]")
        .find(|part| part.lines().any(|line| line == "name = \"redb\""))
        .and_then(|part| part.lines().find_map(|line| line.strip_prefix("version = ")))
        .map_or("unknown", |quoted| quoted.trim_matches('"'));
    println!("cargo::rustc-env=REDB_VERSION={version}");
}
