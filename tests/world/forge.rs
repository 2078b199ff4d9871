//! A run that is another than its log says, in a directory that proves itself all the same.

use super::{DIR, shared};
use aerodb::Identity;
use aerodb::disk::SimDisk;
use aerodb::store::Store;
use aerodb::store::manifest::Manifest;
use aerodb::store::run::{Cache, Entry, Run, RunId, RunMeta, RunWriter};
use std::path::Path;
use std::sync::Arc;

/// Makes one run of a closed directory another, in file and manifest, as nothing on this disk could tell.
pub fn forge(disk: &SimDisk, which: impl Fn(&Manifest) -> usize) -> RunId {
    let directory = Store::directory(Path::new(DIR));
    let identity = Identity::read(disk, Path::new(DIR)).unwrap();
    let mut manifest = Manifest::read(disk, &directory, identity.database_id).unwrap();
    let index = which(&manifest);
    let info = &mut manifest.plan.runs[index];
    let run = Run::open(disk, &directory, *info, identity.database_id, Arc::new(Cache::new(1 << 20))).unwrap();
    let meta = RunMeta { database_id: identity.database_id, id: info.id, floor: run.floor() };
    let aside = Path::new("/aside");
    let scratch = SimDisk::new();
    let forged = shared(&scratch);
    forged.create_dir(aside).unwrap();
    let mut writer = RunWriter::create(&forged, aside, meta, identity.parameters.block_bytes).unwrap();
    let mut entries = run.sequential();
    let mut first = true;
    while let Some(Entry { key, commit, value }) = entries.next().unwrap() {
        let other = value.map(|value| value.iter().map(|byte| byte ^ u8::from(first)).collect::<Vec<u8>>());
        first &= value.is_none();
        writer.add(Entry { key, commit, value: other.as_deref() }).unwrap();
    }
    assert!(!first, "there was no value to change");
    let name = info.id.file_name();
    let (id, honest) = (info.id, *info);
    *info = writer.finish().unwrap();
    assert!(*info != honest);
    disk.overwrite(&directory.join(&name), scratch.contents(&aside.join(&name)).unwrap());
    disk.overwrite(&directory.join("MANIFEST"), manifest.encode());
    id
}
