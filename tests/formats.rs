//! The hex examples of `docs/formats.md`, decoded from the page and made anew by the code (FMT-IDENTITY, FMT-SEGMENT, FMT-SEAL,
//! FMT-RECORD, FMT-HISTORY, FMT-POSITION, FMT-BATCH, FMT-MARK, FMT-RUN, FMT-MANIFEST, FMT-REPLICA).
//!
//! `AERODB_BLESS=1 cargo test --test formats` writes them into the page. A difference without that is a change of format: it needs a
//! new format version.

use aerodb::disk::{Disk, SimDisk};
use aerodb::record::{self, Content, Kind, Proof, Purpose};
use aerodb::store::manifest::Manifest;
use aerodb::store::run::{Cache, Entry, Run, RunId, RunInfo, RunMeta, RunWriter, Version, key_hash};
use aerodb::wal::{self, Lineage, Mark};
use aerodb::{Batch, CommitId, Id, Identity, LogPoint, Parameters, Position, Role};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

const PAGE: &str = "docs/formats.md";
const DATABASE: Id = Id(*b"example database");

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap()
}

/// The bytes in the form of the page.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut before: Option<&[u8]> = None;
    let mut starred = false;
    for (index, line) in bytes.chunks(16).enumerate() {
        if before == Some(line) {
            if !starred {
                text += "*\n";
            }
            starred = true;
            continue;
        }
        starred = false;
        before = Some(line);
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let ascii: String = line.iter().map(|byte| if byte.is_ascii_graphic() { *byte as char } else { '.' }).collect();
        writeln!(text, "{:06x}  {:<47}  {ascii}", index * 16, hex.join(" ")).unwrap();
    }
    writeln!(text, "{:06x}", bytes.len()).unwrap();
    text
}

/// The bytes that a dump stands for.
fn parse(text: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut repeats = false;
    for line in text.lines() {
        if line == "*" {
            repeats = true;
            continue;
        }
        let offset = usize::from_str_radix(&line[..6], 16).unwrap();
        while repeats && bytes.len() < offset {
            let last = bytes[bytes.len() - 16..].to_vec();
            bytes.extend(last);
        }
        repeats = false;
        assert_eq!(bytes.len(), offset, "a line stands at another offset");
        let hex = line.get(8..55).unwrap_or_default();
        bytes.extend(hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()));
    }
    bytes
}

/// The example of this name on the page; where it differs from what the code makes, it is blessed or the test fails.
fn example(name: &str, made: &[u8]) -> Vec<u8> {
    let page = page();
    let begin = format!("<!-- example: {name} -->\n");
    let start = page.find(&begin).unwrap_or_else(|| panic!("{PAGE} has no example {name}")) + begin.len();
    let end = start + page[start..].find("<!-- end -->").unwrap();
    let block = format!("```\n{}```\n", dump(made));
    if std::env::var_os("AERODB_BLESS").is_some() {
        let blessed = format!("{}{block}{}", &page[..start], &page[end..]);
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE), blessed).unwrap();
        return made.to_vec();
    }
    let text = page[start..end].trim_start_matches("```\n").trim_end_matches("```\n");
    let bytes = parse(text);
    assert!(bytes == made, "the example {name} of {PAGE} is not what the code makes; it makes\n{block}");
    bytes
}

fn two_commits() -> (Vec<u8>, LogPoint, LogPoint) {
    let start = record::genesis(DATABASE, 1);
    let mut batch = Batch::new();
    batch.put(b"apple", b"red").unwrap();
    batch.delete(b"plum").unwrap();
    let mut bytes = Vec::new();
    let after = record::encode(&mut bytes, Kind::Commit, batch.encoded(), start);
    let after = record::encode(&mut bytes, Kind::Floor, &1u64.to_le_bytes(), after);
    let run =
        Proof { level: 0, first: CommitId(1), last: CommitId(1), size: 578, hash: 0x0123_4567_89ab_cdef << 64 | 7 };
    let after = record::encode(&mut bytes, Kind::Proof, &run.payload(), after);
    let after = record::encode(&mut bytes, Kind::Cut, &Purpose::Checkpoint.payload(), after);
    let after = record::encode(&mut bytes, Kind::Seal, &[], after);
    (bytes, start, after)
}

/// One test, because each example is blessed into the same page.
#[test]
fn the_examples_of_the_page_are_what_the_code_reads_and_writes() {
    let identity = Identity {
        role: Role::Primary,
        database_id: DATABASE,
        node_id: Id(*b"the example node"),
        epoch: 1,
        parameters: Parameters::default(),
    };
    assert_eq!(Identity::decode(&example("identity", &identity.encode())), Ok(identity));

    let (records, start, end) = two_commits();
    let lineage = Lineage { database_id: DATABASE, epoch: 1 };
    let header = example("segment-header", &wal::encode_header(lineage, end));
    assert_eq!(wal::decode_header(&header), Ok((lineage, end)));

    let bytes = example("records", &records);
    let mut point = start;
    let mut kinds = Vec::new();
    while point.position < end.position {
        let record = record::prove(&bytes[point.position.0 as usize..], point).unwrap();
        if let Content::Commit(operations) = &record.content {
            assert_eq!(operations.clone().count(), 2);
        }
        kinds.push(record.content.kind());
        point = record.after;
    }
    assert_eq!(point, end);
    assert_eq!(kinds, Kind::ALL);

    let mark = Mark {
        database_id: DATABASE,
        blank_seed: 0x0123_4567_89ab_cdef,
        segment: Position(0),
        allocated: Position(1 << 20),
        durable: end,
    };
    assert_eq!(Mark::decode(&example("mark", &mark.encode())), Ok(mark));

    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
    let id = RunId { level: 0, first: CommitId(1), last: CommitId(2) };
    let meta = RunMeta { database_id: DATABASE, id, floor: CommitId(0) };
    let mut writer = RunWriter::create(&disk, Path::new("/"), meta, 4096).unwrap();
    for (key, commit, value) in [("apple", 2, None), ("apple", 1, Some("red")), ("plum", 2, Some("blue"))] {
        let value = value.map(str::as_bytes);
        writer.add(Entry { key: key.as_bytes(), commit: CommitId(commit), value }).unwrap();
    }
    let info = writer.finish().unwrap();
    let path = Path::new("/").join(id.file_name());
    let made = aerodb::disk::read_file(disk.as_ref(), &path, 1 << 20).unwrap().unwrap();
    let bytes = example("run", &made);
    let found = SimDisk::new();
    found.overwrite(&path, &bytes);
    let run = Run::open(&found, Path::new("/"), info, DATABASE, Arc::new(Cache::new(1 << 20))).unwrap();
    run.verify(&mut |_| Ok(())).unwrap();
    let apple = |at| run.get(b"apple", key_hash(b"apple"), CommitId(at)).unwrap();
    assert_eq!(apple(1), Some(Version::Value(b"red".to_vec())));
    assert_eq!(apple(2), Some(Version::Tombstone));

    let mut manifest = Manifest::empty(DATABASE, LogPoint { commit: CommitId(4), ..end });
    manifest.plan.add(info, CommitId(0), 2);
    let second = RunId { level: 0, first: CommitId(3), last: CommitId(4) };
    manifest.plan.add(RunInfo { id: second, size: 4096, hash: 7 }, CommitId(0), 2);
    assert_eq!(Manifest::decode(&example("manifest", &manifest.encode())), Ok(manifest));

    #[cfg(feature = "replication")]
    replica_state(identity, end);
}

/// The third generation of a replica that halted: the two that say so are 3 and 4.
#[cfg(feature = "replication")]
fn replica_state(identity: Identity, applied: LogPoint) {
    use aerodb::Reason;
    use aerodb::replica_state::{Halt, Origin, ReplicaState, StateStore};
    let (disk, dir) = (SimDisk::new(), Path::new("/"));
    let Identity { database_id, node_id, .. } = identity;
    let evidence = "fault=payload, position=176".to_owned();
    let halt = Halt { reason: Reason::SegmentRejected, position: applied.position, evidence };
    let state = ReplicaState::new(database_id, node_id, applied, Origin::Log);
    StateStore::create(&disk, dir, &state).unwrap();
    StateStore::open(&disk, dir, database_id, node_id).unwrap().halt(halt.clone()).unwrap();
    let path = Path::new("/replica/STATE.1");
    let bytes = example("replica-state", &disk.contents(path).unwrap());
    disk.overwrite(path, &bytes);
    let read = ReplicaState::read(&disk, dir, database_id, node_id);
    assert_eq!(read, Ok(ReplicaState { halt: Some(halt), ..state }));
}

/// FMT-BLANK: the first blank words of a seed, as another implementation would make them.
#[test]
fn blank_space_is_what_the_page_says() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
    disk.create_dir(Path::new("/wal")).unwrap();
    let options = wal::LogOptions {
        disk: Arc::clone(&disk),
        directory: "/wal".into(),
        lineage: Lineage { database_id: DATABASE, epoch: 1 },
        keeper: wal::Keeper::Writer,
        segment_bytes: 4096,
        extend_bytes: 512,
    };
    wal::LogWriter::create(&options, 42).unwrap();
    let segment = Path::new("/wal").join(wal::file_name(Position(0)));
    let bytes = aerodb::disk::read_file(disk.as_ref(), &segment, 4096).unwrap().unwrap();
    for (index, word) in bytes[512..].chunks(8).enumerate() {
        let mut mixed = 42u64.wrapping_add(index as u64 * 8);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        assert_eq!(word, (mixed ^ (mixed >> 31)).to_le_bytes(), "word {index}");
    }
}
