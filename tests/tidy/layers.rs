//! Which module may import which: the layers of the architecture, checked on the code that ships.
//!
//! Imports point down, or stay within the module. Words, doors and formats may also use their own layer; in stores and
//! components two modules of a layer do not know each other, except where [`SIBLINGS`] says so and why. A module that no layer
//! names is a violation: a new part is placed before it is written.

use crate::paths::{first_words, paths};
use crate::source::Source;

const LAYERS: &[(&str, bool, &[&str])] = &[
    ("words", true, &["position", "commit_id", "id", "reason", "rules", "error", "limits", "config"]),
    ("doors", true, &["sync", "queue", "published", "observed", "clock", "disk", "entropy", "wire"]),
    ("formats", true, &["codec", "frame", "chunk", "record", "batch", "gate", "resp", "json"]),
    ("stores", false, &["wal", "store", "identity", "replica_state"]),
    ("components", false, &["committer", "maintenance", "feeder", "receiver", "validator", "applier", "bootstrap"]),
    (
        "composition",
        true,
        &[
            "recovery",
            "node",
            "follower_node",
            "database",
            "backup",
            "verify",
            "compare",
            "status",
            "supervisor",
            "server",
            "http",
            "explain",
            "begin",
            "replica",
            "cli",
            "main",
            "lib",
        ],
    ),
];

/// Who may use a module of the same layer all the same.
const SIBLINGS: &[(&str, &str, &str)] = &[
    ("wal", "identity", "segment headers and MARK carry the database id, and segments are sized by the parameters"),
    ("store", "identity", "runs and MANIFEST carry the database id, and are shaped by the parameters"),
];

struct Layer {
    rank: usize,
    name: &'static str,
    siblings: bool,
}

fn layer(module: &str) -> Option<Layer> {
    LAYERS
        .iter()
        .enumerate()
        .find(|(_, (_, _, modules))| modules.contains(&module))
        .map(|(rank, (name, siblings, _))| Layer { rank, name, siblings: *siblings })
}

/// Whether the layer of a file is one of bytes and facts only, which must not be able to panic.
pub(crate) fn is_pure(source: &Source) -> bool {
    let layer = source.module().and_then(layer);
    let pure_layer = layer.is_some_and(|layer| ["words", "formats", "stores"].contains(&layer.name));
    pure_layer || source.path.ends_with("/machine.rs")
}

/// Every import that points up or aside, and every module without a place.
pub(crate) fn violations(sources: &[Source]) -> Vec<String> {
    let modules: Vec<&str> = sources.iter().filter_map(Source::module).collect();
    let mut found = Vec::new();
    for source in sources {
        let Some(module) = source.module() else { continue };
        let Some(from) = layer(module) else {
            found.push(format!(
                "{}: no layer names the module `{module}`; place it in tests/tidy/layers.rs",
                source.path
            ));
            continue;
        };
        let product = source.product();
        for (at, imported) in first_words(&product, "crate").into_iter().chain(first_words(&product, "aerodb")) {
            // What lib.rs re-exports belongs to it: below the composition the module is named, so that its layer is seen.
            let target = if modules.contains(&imported.as_str()) { imported.as_str() } else { "lib" };
            let Some(to) = layer(target).filter(|_| target != module) else { continue };
            let excepted = SIBLINGS.iter().any(|(user, used, _)| *user == module && *used == target);
            if to.rank > from.rank || (to.rank == from.rank && !from.siblings && !excepted) {
                let (from, to) = (from.name, to.name);
                found.push(format!("{}: `{module}` ({from}) imports `{imported}` ({to})", source.at(at)));
            }
        }
        let inline_modules = !crate::source::words(&product, "mod").is_empty();
        let depth = source.path.matches('/').count() - usize::from(source.path.ends_with("/mod.rs"));
        for (at, path) in paths(&product, "super") {
            let supers = path.iter().take_while(|word| *word == "super").count() + 1;
            if supers >= depth && !inline_modules {
                found.push(format!("{}: `super` leads to the root: name the module from `crate`", source.at(at)));
            }
        }
    }
    found
}

#[test]
fn an_import_that_points_up_or_aside_or_has_no_place_is_found() {
    let tree = |path: &str, raw: &str| {
        let others = ["error", "wal", "store", "identity", "committer", "maintenance", "database"];
        let mut sources: Vec<Source> = others.iter().map(|name| Source::new(&format!("src/{name}.rs"), "")).collect();
        sources.push(Source::new(path, raw));
        violations(&sources).len()
    };
    assert_eq!(tree("src/wal/writer.rs", "use crate::{error::Error, identity::Id}; use super::reader;"), 0);
    assert_eq!(tree("src/wal/writer.rs", "use crate::{error::Error, store::Run};"), 1);
    assert_eq!(tree("src/wal/writer.rs", "fn f() { crate::database::open() }"), 1);
    assert_eq!(tree("src/wal/writer.rs", "#[cfg(test)] mod tests { use crate::database::open; }"), 0);
    assert_eq!(tree("src/wal/writer.rs", "use crate::Database;"), 1);
    assert_eq!(tree("src/committer/worker.rs", "use crate::maintenance::Seal;"), 1);
    assert_eq!(tree("src/committer/worker.rs", "use super::super::maintenance::Seal;"), 1);
    assert_eq!(tree("src/identity.rs", "use super::wal;"), 1);
    assert_eq!(tree("src/wal/mod.rs", "pub use super::store;"), 1);
    assert_eq!(tree("src/node.rs", "use crate::{committer, maintenance, database::Database};"), 0);
    assert_eq!(tree("src/helpers.rs", ""), 1);
}
