//! The directory tree of the simulated disk: which name leads to which node, now and on the platter.
//!
//! Nodes are what a file system calls inodes: a name only points to one, so an open file survives its name, and a removed name
//! that was never synced leads to its file again after a crash. A clone of the tree is an image of the whole disk and shares
//! everything with it.
//!
//! Invariants:
//! * the current names of a directory are its durable names with every unsynced change applied in order;
//! * a rename is one change, even between two directories: the platter never holds half of it;
//! * syncing a directory brings down all its changes, and of other directories those that its renames build on;
//! * the name of a new directory is durable when its *parent* was synced; until then all below it can vanish;
//! * identifiers are never used twice.
//!
//! Errors are those the operating system would give, in the order in which Linux checks.

use super::crash::{Crash, Dice};
use super::file::FileNode;
use crate::sync::Arc;
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

pub(super) type NodeId = u64;

const ROOT: NodeId = 0;

type Names = BTreeMap<OsString, NodeId>;

#[derive(Clone)]
enum Node {
    File(Arc<FileNode>),
    Directory(Directory),
}

#[derive(Clone, Default)]
struct Directory {
    current: Arc<Names>,
    durable: Arc<Names>,
}

/// What one call did to names: it survives whole or not at all.
#[derive(Clone)]
struct NameChange(Vec<Edit>);

#[derive(Clone)]
struct Edit {
    directory: NodeId,
    name: OsString,
    target: Option<NodeId>,
}

impl Edit {
    fn apply(&self, names: &mut Arc<Names>) {
        let names = Arc::make_mut(names);
        match self.target {
            Some(target) => names.insert(self.name.clone(), target),
            None => names.remove(&self.name),
        };
    }
}

#[derive(Clone)]
pub(super) struct Tree {
    nodes: BTreeMap<NodeId, Node>,
    next: NodeId,
    unsynced: Arc<Vec<NameChange>>,
}

impl Tree {
    pub(super) fn new() -> Tree {
        let nodes = BTreeMap::from([(ROOT, Node::Directory(Directory::default()))]);
        Tree { nodes, next: ROOT + 1, unsynced: Arc::default() }
    }

    /// The file of a handle or a lookup.
    pub(super) fn file(&self, id: NodeId) -> &FileNode {
        match self.nodes.get(&id) {
            Some(Node::File(file)) => file,
            Some(Node::Directory(_)) | None => panic!("node {id} is held as a file"),
        }
    }

    /// The same, to be changed; images keep the old one.
    pub(super) fn file_mut(&mut self, id: NodeId) -> &mut FileNode {
        match self.nodes.get_mut(&id) {
            Some(Node::File(file)) => Arc::make_mut(file),
            Some(Node::Directory(_)) | None => panic!("node {id} is held as a file"),
        }
    }

    fn directory(&self, id: NodeId) -> Result<&Directory, Errno> {
        match self.nodes.get(&id) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) | None => Err(Errno::NOTDIR),
        }
    }

    fn is_directory(&self, id: NodeId) -> bool {
        self.directory(id).is_ok()
    }

    /// The nodes from the root to the one of this path.
    fn trail(&self, path: &Path) -> Result<Vec<NodeId>, Errno> {
        let mut trail = vec![ROOT];
        let mut last = ROOT;
        for component in path.components() {
            match component {
                Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
                Component::ParentDir => {
                    self.directory(last)?;
                    if trail.len() > 1 {
                        trail.pop();
                    }
                }
                Component::Normal(name) => {
                    trail.push(*self.directory(last)?.current.get(name).ok_or(Errno::NOENT)?);
                }
            }
            last = trail.last().copied().unwrap_or(ROOT);
        }
        Ok(trail)
    }

    fn find(&self, path: &Path) -> Result<NodeId, Errno> {
        self.trail(path).map(|trail| trail.last().copied().unwrap_or(ROOT))
    }

    /// The directory that a path's last name stands in, and that name.
    fn slot<'a>(&self, path: &'a Path) -> Result<(NodeId, &'a OsStr), Errno> {
        let name = path.file_name().ok_or(Errno::BUSY)?;
        let parent = self.find(path.parent().unwrap_or(Path::new("")))?;
        self.directory(parent)?;
        Ok((parent, name))
    }

    /// The node of this name, if there is one.
    fn at(&self, (directory, name): (NodeId, &OsStr)) -> Option<NodeId> {
        self.directory(directory).ok()?.current.get(name).copied()
    }

    fn change(&mut self, edits: Vec<Edit>) {
        for edit in &edits {
            if let Some(Node::Directory(directory)) = self.nodes.get_mut(&edit.directory) {
                edit.apply(&mut directory.current);
            }
        }
        Arc::make_mut(&mut self.unsynced).push(NameChange(edits));
    }

    fn add(&mut self, (directory, name): (NodeId, &OsStr), node: Node) -> NodeId {
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, node);
        self.change(vec![Edit { directory, name: name.to_owned(), target: Some(id) }]);
        id
    }

    /// The file of this path.
    pub(super) fn open(&self, path: &Path) -> Result<NodeId, Errno> {
        let id = self.find(path)?;
        if self.is_directory(id) { Err(Errno::ISDIR) } else { Ok(id) }
    }

    /// The file of this path, created if there is none; and whether it was.
    pub(super) fn open_or_create(&mut self, path: &Path) -> Result<(NodeId, bool), Errno> {
        let slot = self.slot(path)?;
        match self.at(slot) {
            Some(id) if self.is_directory(id) => Err(Errno::ISDIR),
            Some(id) => Ok((id, false)),
            None => Ok((self.add(slot, Node::File(Arc::default())), true)),
        }
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> Result<(), Errno> {
        if self.find(path).is_ok_and(|id| self.is_directory(id)) {
            return Ok(());
        }
        let slot = self.slot(path)?;
        if self.at(slot).is_some() {
            return Err(Errno::EXIST);
        }
        self.add(slot, Node::Directory(Directory::default()));
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> Result<(), Errno> {
        let (directory, name) = self.slot(path)?;
        let id = self.at((directory, name)).ok_or(Errno::NOENT)?;
        if self.is_directory(id) {
            return Err(Errno::ISDIR);
        }
        self.change(vec![Edit { directory, name: name.to_owned(), target: None }]);
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Errno> {
        let (from_slot, to_slot) = (self.slot(from)?, self.slot(to)?);
        let id = self.at(from_slot).ok_or(Errno::NOENT)?;
        let moves_directory = self.is_directory(id);
        if moves_directory && self.trail(to.parent().unwrap_or(Path::new("")))?.contains(&id) {
            return Err(Errno::INVAL);
        }
        if let Some(replaced) = self.at(to_slot) {
            if replaced == id {
                return Ok(());
            }
            match (moves_directory, self.directory(replaced)) {
                (true, Err(_)) => return Err(Errno::NOTDIR),
                (false, Ok(_)) => return Err(Errno::ISDIR),
                (true, Ok(directory)) if !directory.current.is_empty() => return Err(Errno::NOTEMPTY),
                (true, Ok(_)) | (false, Err(_)) => {}
            }
        }
        self.change(vec![
            Edit { directory: from_slot.0, name: from_slot.1.to_owned(), target: None },
            Edit { directory: to_slot.0, name: to_slot.1.to_owned(), target: Some(id) },
        ]);
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> Result<Vec<String>, Errno> {
        let directory = self.directory(self.find(path)?)?;
        let mut names: Vec<String> = directory.current.keys().map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Makes the names in a directory durable. As on Linux a file may be named instead: then it is the file that is synced.
    pub(super) fn sync(&mut self, path: &Path) -> Result<(), Errno> {
        let id = self.find(path)?;
        if !self.is_directory(id) {
            self.file_mut(id).sync();
            return Ok(());
        }
        let mut directories = BTreeSet::from([id]);
        let (mut covered, mut others) = (Vec::new(), Vec::new());
        for change in self.unsynced.iter().rev() {
            if change.0.iter().any(|edit| directories.contains(&edit.directory)) {
                directories.extend(change.0.iter().map(|edit| edit.directory));
                covered.push(change.clone());
            } else {
                others.push(change.clone());
            }
        }
        for edit in covered.iter().rev().flat_map(|change| &change.0) {
            if let Some(Node::Directory(directory)) = self.nodes.get_mut(&edit.directory) {
                edit.apply(&mut directory.durable);
            }
        }
        others.reverse();
        self.unsynced = Arc::new(others);
        Ok(())
    }

    /// Drops the nodes that no name can lead to any more, except those still open.
    pub(super) fn forget_nameless(&mut self, open: BTreeSet<NodeId>) {
        let mut named = open;
        named.insert(ROOT);
        for node in self.nodes.values() {
            if let Node::Directory(directory) = node {
                named.extend(directory.current.values().chain(directory.durable.values()));
            }
        }
        named.extend(self.unsynced.iter().flat_map(|change| &change.0).filter_map(|edit| edit.target));
        self.nodes.retain(|id, _| named.contains(id));
    }

    /// The tree after power loss.
    pub(super) fn crash(&self, variant: Crash, seed: u64) -> Tree {
        let mut dice = Dice::new(seed, ROOT);
        let changes = self.unsynced.len() as u64;
        let torn_at = if variant == Crash::Torn { dice.below(changes + 1) } else { 0 };
        let mut survives = |index: u64| match variant {
            Crash::Dropped | Crash::NamesDropped => false,
            Crash::Kept | Crash::NamesKept | Crash::Zeroed => true,
            Crash::Torn => index < torn_at,
            Crash::Sectors => dice.below(2) == 0,
        };
        let mut surviving: BTreeMap<NodeId, Vec<&Edit>> = BTreeMap::new();
        for (index, change) in (0..).zip(self.unsynced.iter()) {
            if survives(index) {
                change.0.iter().for_each(|edit| surviving.entry(edit.directory).or_default().push(edit));
            }
        }
        let mut nodes = BTreeMap::new();
        let mut reached = vec![ROOT];
        while let Some(id) = reached.pop() {
            let Some(node) = self.nodes.get(&id) else { continue };
            let node = match node {
                Node::File(file) => match file.crash(variant, &mut Dice::new(seed, id)) {
                    Some(file) => Node::File(Arc::new(file)),
                    None => node.clone(),
                },
                Node::Directory(directory) => {
                    let mut names = Arc::clone(&directory.durable);
                    for edit in surviving.get(&id).into_iter().flatten() {
                        edit.apply(&mut names);
                    }
                    reached.extend(names.values());
                    Node::Directory(Directory { current: Arc::clone(&names), durable: names })
                }
            };
            nodes.insert(id, node);
        }
        Tree { nodes, next: self.next, unsynced: Arc::default() }
    }

    /// The paths of all files, sorted.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        let mut directories = vec![(ROOT, PathBuf::from("/"))];
        while let Some((id, path)) = directories.pop() {
            let names = self.directory(id).into_iter().flat_map(|directory| directory.current.iter());
            for (name, child) in names {
                if self.is_directory(*child) {
                    directories.push((*child, path.join(name)));
                } else {
                    paths.push(path.join(name));
                }
            }
        }
        paths.sort_unstable();
        paths
    }

    /// Durably sets the contents of a file, past all calls and faults; creates it, and the directories to it, where needed.
    pub(super) fn place(&mut self, path: &Path, file: FileNode) -> Result<(), Errno> {
        if let Some(parent) = path.parent()
            && self.find(parent) == Err(Errno::NOENT)
        {
            self.place_dir(parent)?;
        }
        let (id, _) = self.open_or_create(path)?;
        *self.file_mut(id) = file;
        self.settle_name(path)
    }

    fn place_dir(&mut self, path: &Path) -> Result<(), Errno> {
        if let Some(parent) = path.parent()
            && self.find(parent) == Err(Errno::NOENT)
        {
            self.place_dir(parent)?;
        }
        self.create_dir(path)?;
        self.settle_name(path)
    }

    /// Durably removes a file, past all calls and faults.
    pub(super) fn unplace(&mut self, path: &Path) -> Result<(), Errno> {
        match self.remove(path) {
            // The name may be gone and the removal not durable yet.
            Ok(()) | Err(Errno::NOENT) => self.settle_name(path),
            Err(errno) => Err(errno),
        }
    }

    /// Makes the present state of one name durable, whatever is still unsynced around it.
    fn settle_name(&mut self, path: &Path) -> Result<(), Errno> {
        let (directory, name) = self.slot(path)?;
        let settled = Edit { directory, name: name.to_owned(), target: self.at((directory, name)) };
        for change in Arc::make_mut(&mut self.unsynced) {
            change.0.retain(|edit| edit.directory != directory || edit.name != name);
        }
        Arc::make_mut(&mut self.unsynced).retain(|change| !change.0.is_empty());
        if let Some(Node::Directory(found)) = self.nodes.get_mut(&directory) {
            settled.apply(&mut found.durable);
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn files(&self) -> impl Iterator<Item = &FileNode> {
        self.nodes.values().filter_map(|node| match node {
            Node::File(file) => Some(file.as_ref()),
            Node::Directory(_) => None,
        })
    }
}
