//! Facts of the build that the module can name: the version of redb from the lock file, target, compiler, commit.

use std::{env, fs, path::Path, process::Command};

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
    println!("cargo::rerun-if-env-changed=STORAGE_SYNC_COMMIT");
    let commit = env::var("STORAGE_SYNC_COMMIT").unwrap_or_default();
    println!("cargo::rustc-env=BUILD_COMMIT={commit}");
    println!("cargo::rustc-env=BUILD_TARGET={}", env::var("TARGET").unwrap_or_default());
    println!("cargo::rustc-env=BUILD_COMPILER={}", compiler());
}

/// As in `rustc 1.95.0`; empty where it does not say.
fn compiler() -> String {
    let program = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let said = Command::new(program).arg("--version").output();
    let text = said.map_or_else(|_| String::new(), |out| String::from_utf8_lossy(&out.stdout).into_owned());
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}
