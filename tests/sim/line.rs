//! The oracle: a line of history, as its primary's files and its clients know it. It shares no code with the product.
//!
//! The bytes are read from the segment files at the positions that are durable, and cut into records by the layout in
//! `docs/formats.md`; which writes a commit consists of is what the client ordered, in order.

use aerodb::disk::SimDisk;
use aerodb::store::Store;
use aerodb::store::run::RunId;
use aerodb::{CommitId, History, LogPoint, Position};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The data directory of every node.
pub const DIR: &str = "/db";

const SEGMENT_HEADER_BYTES: usize = 512;
const RECORD_HEADER_BYTES: usize = 32;
const COMMIT: u8 = 1;
const FLOOR: u8 = 2;
const SEAL: u8 = 6;

/// What a client ordered: `None` is a delete.
pub type Writes = Vec<(Vec<u8>, Option<Vec<u8>>)>;
pub type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// The commit that wrote it, and the value.
type Version = (u64, Option<Vec<u8>>);

/// A line of history.
#[derive(Clone)]
pub struct Line {
    /// The durable log.
    pub bytes: Vec<u8>,
    /// The log before each record, and its end.
    points: BTreeMap<u64, LogPoint>,
    /// Where segments begin.
    pub segments: Vec<u64>,
    /// Ordered, and not in the durable log.
    pub ordered: VecDeque<Writes>,
    versions: BTreeMap<Vec<u8>, Vec<Version>>,
    /// Where each commit ends, and the floor from there on.
    pub commits: u64,
    floors: Vec<(u64, u64)>,
    /// The file of each run that was ever seen: one identity has one content, whoever made it, and when (R-DETERMINISM).
    runs: RefCell<BTreeMap<RunId, Vec<u8>>>,
    /// The longest record.
    pub record_bytes_max: u64,
}

impl Line {
    pub fn new(database_id: [u8; 16]) -> Line {
        let history = History(xxh3_64_with_seed(&database_id, 1));
        let genesis = LogPoint { position: Position(0), history, commit: CommitId(0) };
        Line {
            bytes: Vec::new(),
            points: BTreeMap::from([(0, genesis)]),
            segments: vec![0],
            ordered: VecDeque::new(),
            versions: BTreeMap::new(),
            commits: 0,
            floors: Vec::new(),
            runs: RefCell::default(),
            record_bytes_max: 0,
        }
    }

    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub fn end(&self) -> LogPoint {
        self.points[&self.len()]
    }

    /// Whether this point is one of this line.
    pub fn holds(&self, point: LogPoint) -> bool {
        self.points.get(&point.position.0) == Some(&point)
    }

    /// The last place at or before a position where a record begins or the log ends.
    pub fn boundary(&self, position: u64) -> LogPoint {
        *self.points.range(..=position).next_back().expect("every log begins somewhere").1
    }

    /// Takes what has become durable from the files of its primary.
    pub fn follow(&mut self, disk: &SimDisk, durable: u64) -> Result<(), String> {
        while self.len() < durable {
            let first = *self.segments.last().expect("there is one");
            let contents = disk.contents(&segment_path(first)).ok_or_else(|| format!("there is no segment {first}"))?;
            while self.len() < durable {
                let at = SEGMENT_HEADER_BYTES + (self.len() - first) as usize;
                if self.take(contents.get(at..).unwrap_or_default())? == SEAL {
                    break;
                }
            }
        }
        if self.len() == durable { Ok(()) } else { Err(format!("{durable} is not the end of a record")) }
    }

    /// Takes the next record, and says of which kind it is.
    fn take(&mut self, bytes: &[u8]) -> Result<u8, String> {
        let before = self.end();
        let whole = bytes.first_chunk::<RECORD_HEADER_BYTES>().and_then(|header| {
            let payload = u32::from_le_bytes(header[..4].try_into().expect("four bytes")) as usize;
            let stored = (RECORD_HEADER_BYTES + payload).next_multiple_of(8);
            Some((header[4], bytes.get(..stored)?, &bytes[RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + payload]))
        });
        let Some((kind, record, payload)) = whole else {
            return Err(format!("the durable log ends within the record at {}", before.position));
        };
        let after = LogPoint {
            position: before.position.after(record.len() as u64),
            history: History(xxh3_64_with_seed(record, before.history.0)),
            commit: CommitId(before.commit.0 + u64::from(kind == COMMIT)),
        };
        match kind {
            COMMIT => {
                let Some(writes) = self.ordered.pop_front() else {
                    return Err(format!("nobody ordered the commit at {}", before.position));
                };
                self.commits += 1;
                for (key, value) in writes {
                    self.versions.entry(key).or_default().push((self.commits, value));
                }
            }
            FLOOR => {
                let floor = u64::from_le_bytes(payload.try_into().map_err(|_| "a floor has eight bytes")?);
                self.floors.push((after.position.0, floor));
            }
            SEAL => self.segments.push(after.position.0),
            _ => {}
        }
        self.record_bytes_max = self.record_bytes_max.max(record.len() as u64);
        self.bytes.extend_from_slice(record);
        self.points.insert(after.position.0, after);
        Ok(kind)
    }

    /// The value of a key at a commit.
    pub fn get(&self, key: &[u8], at: u64) -> Option<&[u8]> {
        self.versions.get(key)?.iter().rev().find(|(commit, _)| *commit <= at)?.1.as_deref()
    }

    /// Everything at a commit.
    pub fn rows(&self, at: u64) -> Rows {
        let keys = self.versions.keys();
        keys.filter_map(|key| Some((key.clone(), self.get(key, at)?.to_vec()))).collect()
    }

    /// The floor at a position.
    pub fn floor(&self, position: u64) -> u64 {
        self.floors.iter().rev().find(|(at, _)| *at <= position).map_or(0, |(_, floor)| *floor)
    }

    /// A copy that may go on otherwise: what it makes of its log from here on is its own.
    pub fn parting(&self) -> Line {
        Line { runs: RefCell::default(), ..self.clone() }
    }

    /// Compares the runs of a store that it has not had before with those of the same identity that were seen elsewhere.
    pub fn check_runs(&self, store: &Store, disk: &SimDisk, known: &mut BTreeSet<RunId>) -> Result<(), String> {
        for run in &store.state().runs {
            let id = run.info().id;
            if !known.insert(id) {
                continue;
            }
            let path = Path::new(DIR).join("store").join(id.file_name());
            let found = disk.contents(&path).ok_or_else(|| format!("there is no run {id}"))?;
            let mut runs = self.runs.borrow_mut();
            if *runs.entry(id).or_insert_with(|| found.clone()) != found {
                return Err(format!("the run {id} is another one than it was elsewhere"));
            }
        }
        Ok(())
    }

    /// Compares the log in the files of a node, from one position to another, with this line.
    pub fn compare(&self, disk: &SimDisk, from: u64, to: u64) -> Result<(), String> {
        if to > self.len() {
            return Err(format!("the log reaches {to}, and that of its primary {}", self.len()));
        }
        for (index, first) in self.segments.iter().enumerate() {
            let next = self.segments.get(index + 1).copied().unwrap_or(u64::MAX);
            let (begin, end) = (from.max(*first), to.min(next));
            if begin < end {
                let found = read_segment(disk, *first, begin, end)?;
                if found != self.bytes[begin as usize..end as usize] {
                    return Err(format!("the log differs between {begin} and {end}"));
                }
            }
        }
        Ok(())
    }
}

/// The file of the segment that begins here.
pub fn segment_path(first: u64) -> PathBuf {
    PathBuf::from(format!("{DIR}/wal/{first:020}.seg"))
}

/// Log bytes of one segment.
pub fn read_segment(disk: &SimDisk, first: u64, from: u64, to: u64) -> Result<Vec<u8>, String> {
    let contents = disk.contents(&segment_path(first)).ok_or_else(|| format!("there is no segment {first}"))?;
    let place = |position: u64| SEGMENT_HEADER_BYTES + (position - first) as usize;
    let found = contents.get(place(from)..place(to));
    found.map(<[u8]>::to_vec).ok_or_else(|| format!("segment {first} ends before {to}"))
}
