//! Opening the log: proof from the checkpoint on, the torn-tail rule, and a writer that begins where the proof ends.
//!
//! The order (W-1 to W-6 in `docs/recovery.md`):
//! 1. the mark is read, proven and made durable;
//! 2. the segments are listed;
//! 3. the segments are there without a gap, with sound headers and the lengths that their neighbours demand;
//! 4. every record from the segment that holds the checkpoint on is proven; those behind the checkpoint are handed to `replay`;
//! 5. where the proof ends, the tail is judged, and the mark is held against the log: one that is older is refused;
//! 6. what was accepted above the mark is written again and fsynced (a failed fsync of an earlier process may have left it in the
//!    cache alone), what lies behind it is blanked, a leftover of an unfinished roll is removed, and the mark is made exact.
//!
//! A follower's log differs in step 5 alone: above the mark stands what was received, in any amount, so what does not prove itself is
//! dropped whatever it is, and told (F-R2); and records beyond the space that the mark names say nothing of the mark's age.
//!
//! [`inspect`] does the reading half of it, from the oldest record on, and writes nothing; [`outline`] only of the newest segment.
//!
//! Opening a log that was closed well changes no byte; opening it twice gives the same (P5-I11). Nothing that the mark covers is
//! ever dropped (D-ACK), nothing that does not prove itself is ever handed on (P5-I5, D-CORRUPT).

use super::blank::is_blank;
use super::mark::{MARK_FILE, Mark};
use super::segment::{self, Next, SEGMENT_HEADER_BYTES, SegmentReader, offset};
use super::tail::{self, Tail};
use super::writer::{Keeper, LogOptions, LogWriter, write_blank};
use crate::disk::{Access, File, SECTOR};
use crate::error::{Error, Result};
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::record::{Fault, Kind, Record};
use crate::sync::{Arc, planted};
use std::collections::VecDeque;

/// What opening a log found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogReport {
    /// The oldest position that is kept.
    pub oldest: Position,
    /// Where the proof began.
    pub proven_from: Position,
    /// The end of the log.
    pub end: LogPoint,
    /// What the mark promised before.
    pub marked: LogPoint,
    /// Bytes of a torn tail that were dropped, counted to the last one that was not blank.
    pub torn_bytes: u64,
    /// Bytes that a follower had received, that did not prove themselves, and that were dropped; counted to the last word that was not
    /// blank.
    pub unproven_bytes: u64,
    /// Files that an unfinished roll had left, removed.
    pub removed: Vec<String>,
    /// Whether a roll was finished that a crash had interrupted.
    pub roll_finished: bool,
}

/// What stands behind the proven log in its newest segment, and becomes of it when the log is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TailProof {
    /// Bytes of proven records that the mark does not cover; they are accepted.
    pub unmarked_bytes: u64,
    /// Bytes of a torn tail, counted to the last one that is not blank; they are dropped.
    pub torn_bytes: u64,
    /// Bytes that a follower has received and that are not proven, counted to the last word that is not blank; they are dropped.
    pub unproven_bytes: u64,
    /// Bytes that were never written.
    pub blank_bytes: u64,
    /// Bytes behind the allocated space, or behind the last `Seal`; they are cut off.
    pub beyond_bytes: u64,
    /// The last record is a `Seal` and no segment follows yet; one is begun.
    pub unfinished_roll: bool,
}

/// What a log proves of itself to who only looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The log before its oldest kept record.
    pub oldest: LogPoint,
    /// The end of the log.
    pub end: LogPoint,
    /// First positions of the segments that count, oldest first.
    pub segments: Vec<Position>,
    /// What stands behind the end.
    pub tail: TailProof,
}

/// Whether a record that is replayed is durable yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// The mark covers it.
    Durable,
    /// It lies above the mark and may be in the cache alone until the log is open: nothing durable may be built on it before.
    Accepted,
}

/// Opens the log, replays it from the checkpoint on, and returns its writer.
///
/// # Errors
/// What does not verify, by name: `wal.*`, `store.other_log`, `identity.*`; those of the disk; those of `replay`.
pub fn open(
    options: LogOptions,
    checkpoint: LogPoint,
    replay: &mut dyn FnMut(&Record<'_>, Cover) -> Result<()>,
) -> Result<(LogWriter, LogReport)> {
    let survey = survey(&options, Access::Write)?;
    // A process that died, or whose fsync failed, may have left the mark in the cache alone. What follows goes by it: which segment is
    // the newest, and how far it may be filled. If it were lost with the power later, what is acknowledged from here on would lie where
    // nobody looks. It is written again because after a failed fsync a further one alone would find nothing to do.
    survey.mark_file.write_at(0, &survey.mark.encode())?;
    survey.mark_file.sync_data()?;
    let proven = prove(&options, &survey, ProveFrom::Checkpoint, checkpoint, replay)?;
    remove_leftovers(&options, &survey.leftovers)?;
    let Survey { mark, mark_file, segments, leftovers, .. } = survey;
    let Proven { walk, segment, tail } = proven;
    // A follower's file may have grown by what it received since the mark was written.
    let mark = Mark { allocated: mark.allocated.max(walk.end.position), ..mark };
    let mut report = LogReport {
        oldest: segments.front().copied().unwrap_or(mark.segment),
        proven_from: walk.start.position,
        end: walk.end,
        marked: mark.durable,
        torn_bytes: tail.torn_bytes,
        unproven_bytes: tail.unproven_bytes,
        removed: leftovers,
        roll_finished: false,
    };
    if !walk.sealed {
        repair(segment.as_ref(), &mark, walk.end, &tail)?;
    }
    let mut writer = LogWriter {
        options,
        mark,
        mark_file,
        segment,
        segments,
        buffer: Vec::new(),
        appended: walk.end,
        fault: None,
    };
    if writer.mark.durable != walk.end {
        if walk.sealed {
            rewrite(writer.segment.as_ref(), &mark, walk.end)?;
            writer.segment.sync_data()?;
        }
        writer.write_mark(Mark { durable: walk.end, ..mark })?;
    }
    if walk.sealed && !planted("a roll that was interrupted is not finished") {
        writer.roll()?;
        report.roll_finished = true;
    }
    Ok((writer, report))
}

/// Proves the whole log, from its oldest kept record on, by the same rules as [`open`](fn@open), and writes nothing. Every record is
/// handed to `visit` once it has proven itself; that the log passes the mark and the checkpoint is known when this returns.
///
/// # Errors
/// As [`open`](fn@open); those of `visit`.
pub fn inspect(
    options: &LogOptions,
    checkpoint: LogPoint,
    visit: &mut dyn FnMut(&Record<'_>) -> Result<()>,
) -> Result<Inspection> {
    let survey = survey(options, Access::Read)?;
    let proven = prove(options, &survey, ProveFrom::Oldest, checkpoint, &mut |record, _| visit(record))?;
    let oldest = proven.walk.start;
    Ok(inspection(survey, proven, oldest))
}

/// The same of the newest segment alone, which holds the end of the log; of the sealed ones the headers and lengths. For who compares
/// histories and need not read what they are made of.
///
/// # Errors
/// As [`open`](fn@open).
pub fn outline(options: &LogOptions) -> Result<Inspection> {
    let survey = survey(options, Access::Read)?;
    let marked = survey.mark.durable;
    examined(options, survey, marked)
}

/// What [`open`](fn@open) would find, by the same proof from the checkpoint on; nothing is written, and nothing replayed.
///
/// # Errors
/// As [`open`](fn@open).
pub fn examine(options: &LogOptions, checkpoint: LogPoint) -> Result<Inspection> {
    examined(options, survey(options, Access::Read)?, checkpoint)
}

fn examined(options: &LogOptions, survey: Survey, from: LogPoint) -> Result<Inspection> {
    let proven = prove(options, &survey, ProveFrom::Checkpoint, from, &mut |_, _| Ok(()))?;
    let first = survey.segments.front().copied().unwrap_or(survey.mark.segment);
    let (_, oldest) = SegmentReader::open(options.disk.as_ref(), &options.directory, first, options.lineage, first)?;
    Ok(inspection(survey, proven, oldest))
}

fn inspection(survey: Survey, proven: Proven, oldest: LogPoint) -> Inspection {
    let (Survey { mark, segments, .. }, Proven { walk, tail, .. }) = (survey, proven);
    let behind = if walk.sealed { 0 } else { mark.allocated.since(walk.end.position) };
    let written = tail.torn_bytes.max(tail.unproven_bytes);
    let tail = TailProof {
        unmarked_bytes: walk.end.position.since(mark.durable.position),
        torn_bytes: tail.torn_bytes,
        unproven_bytes: tail.unproven_bytes,
        blank_bytes: behind.saturating_sub(written),
        beyond_bytes: tail.beyond_bytes,
        unfinished_roll: walk.sealed,
    };
    Inspection { oldest, end: walk.end, segments: segments.into(), tail }
}

/// What there is, before anything of it but the mark is proven.
struct Survey {
    mark: Mark,
    mark_file: Arc<dyn File>,
    /// The segments up to the one that the mark names.
    segments: VecDeque<Position>,
    /// Later segments: leftovers of an unfinished roll, in which nothing can have been acknowledged, because the mark moves before
    /// a new segment is used.
    leftovers: Vec<String>,
    access: Access,
}

fn survey(options: &LogOptions, access: Access) -> Result<Survey> {
    let (mark, mark_file) =
        Mark::read(options.disk.as_ref(), &options.directory, options.lineage.database_id, access)?;
    let names = options.disk.list(&options.directory)?.unwrap_or_default();
    let (mut segments, mut leftovers) = (VecDeque::new(), Vec::new());
    for name in names {
        match segment::parse_name(&name) {
            Some(first) if first <= mark.segment => segments.push_back(first),
            Some(_) => leftovers.push(name),
            None => {}
        }
    }
    if segments.back() != Some(&mark.segment) {
        let path = options.directory.join(segment::file_name(mark.segment));
        return Err(Error::new(Reason::WalSegmentMissing).with("file", path.display()));
    }
    Ok(Survey { mark, mark_file, segments, leftovers, access })
}

fn remove_leftovers(options: &LogOptions, leftovers: &[String]) -> Result<()> {
    for name in leftovers {
        options.disk.remove(&options.directory.join(name))?;
    }
    if leftovers.is_empty() { Ok(()) } else { options.disk.sync_dir(&options.directory) }
}

/// Where a proof begins, and which records it hands on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ProveFrom {
    /// With the segment that holds the checkpoint; the records behind the checkpoint.
    Checkpoint,
    /// With the oldest segment; all records.
    Oldest,
}

struct Proven {
    walk: Walk,
    /// The newest segment.
    segment: Arc<dyn File>,
    tail: FoundTail,
}

/// Proves segments, records and tail; changes nothing.
fn prove(
    options: &LogOptions,
    survey: &Survey,
    from: ProveFrom,
    checkpoint: LogPoint,
    visit: &mut dyn FnMut(&Record<'_>, Cover) -> Result<()>,
) -> Result<Proven> {
    check_sealed(options, &survey.segments)?;
    let mark = &survey.mark;
    let walk = walk(options, survey, from, checkpoint, visit)?;
    check_mark_is_not_behind(options, survey, &walk)?;
    let path = options.directory.join(segment::file_name(mark.segment));
    let segment = options.disk.open(&path, survey.access)?;
    let segment = segment.ok_or_else(|| Error::new(Reason::WalSegmentMissing).with("file", path.display()))?;
    let tail = check_tail(options.keeper, segment.as_ref(), mark, &walk);
    let tail = tail.map_err(|error| error.with("file", path.display()))?;
    Ok(Proven { walk, segment, tail })
}

/// Refuses a mark that is older than the log, on the evidence of the log itself. The mark is durable before space is used that it did
/// not name, and before a segment is. So no record of a writer lies beyond the allocated space, which a follower's may; and behind the segment that it names there is at most
/// the next one, begun at that one's `Seal`, without a record.
fn check_mark_is_not_behind(options: &LogOptions, survey: &Survey, walk: &Walk) -> Result<()> {
    if options.keeper == Keeper::Writer && walk.end.position > survey.mark.allocated {
        return Err(mark_behind(options, &survey.mark, "records_up_to", walk.end));
    }
    for name in &survey.leftovers {
        let next = segment::parse_name(name).filter(|first| walk.sealed && *first == walk.end.position);
        let Some(first) = next else { return Err(mark_behind(options, &survey.mark, "later_segment", name)) };
        let end = Position(u64::MAX);
        match SegmentReader::open(options.disk.as_ref(), &options.directory, first, options.lineage, end) {
            Ok((mut reader, start)) => {
                if let Next::Record(record, _) = reader.next(start)? {
                    return Err(mark_behind(options, &survey.mark, "records_up_to", record.after));
                }
            }
            // Its header was not durable yet: nothing can have been written behind it.
            Err(error) if error.reason() == Reason::WalSegmentCorrupt => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn mark_behind(options: &LogOptions, mark: &Mark, fact: &'static str, value: impl std::fmt::Display) -> Error {
    let path = options.directory.join(MARK_FILE);
    Error::new(Reason::WalMarkBehind).with("file", path.display()).with("mark", mark.durable).with(fact, value)
}

/// Proves that the sealed segments leave no gap: each one's header is sound, and its file ends where the next one begins.
fn check_sealed(options: &LogOptions, segments: &VecDeque<Position>) -> Result<()> {
    for (first, next) in segments.iter().zip(segments.iter().skip(1)) {
        let (reader, _) =
            SegmentReader::open(options.disk.as_ref(), &options.directory, *first, options.lineage, *next)?;
        let found = reader.file_len()?;
        let expected = offset(*first, *next);
        if found != expected {
            let reason = if found < expected { Reason::WalTruncated } else { Reason::WalSegmentCorrupt };
            return Err(Error::new(reason)
                .with("file", reader.path().display())
                .with("expected_bytes", expected)
                .with("found_bytes", found));
        }
    }
    Ok(())
}

struct Walk {
    /// Where the proof began.
    start: LogPoint,
    end: LogPoint,
    /// The last record is a `Seal`.
    sealed: bool,
    /// Why no record stands at the end.
    fault: Fault,
}

fn walk(
    options: &LogOptions,
    survey: &Survey,
    from: ProveFrom,
    checkpoint: LogPoint,
    visit: &mut dyn FnMut(&Record<'_>, Cover) -> Result<()>,
) -> Result<Walk> {
    let Survey { mark, segments, .. } = survey;
    let holds_checkpoint = segments.iter().rposition(|first| *first <= checkpoint.position).ok_or_else(|| {
        Error::new(Reason::WalSegmentMissing)
            .with("checkpoint", checkpoint)
            .with("oldest_position", segments.front().copied().unwrap_or_default())
    })?;
    let begin = match from {
        ProveFrom::Checkpoint => holds_checkpoint,
        ProveFrom::Oldest => 0,
    };
    let mut landmarks = Landmarks { mark, checkpoint, mark_seen: false, checkpoint_seen: false };
    let mut chain: Option<LogPoint> = None;
    let mut start = LogPoint::default();
    let mut sealed = false;
    let mut ended_by = Fault::Incomplete;
    for (index, first) in segments.iter().enumerate().skip(begin) {
        let newest = *first == mark.segment;
        // The newest segment is read to the end of its file, so that a mark which is older than the log is found out.
        let limit = segments.get(index.saturating_add(1)).copied().unwrap_or(Position(u64::MAX));
        let (mut reader, mut point) =
            SegmentReader::open(options.disk.as_ref(), &options.directory, *first, options.lineage, limit)?;
        let path = reader.path().to_owned();
        match chain {
            None => start = point,
            Some(end) if end == point => {}
            Some(end) => {
                return Err(Error::new(Reason::WalSegmentCorrupt)
                    .with("file", path.display())
                    .with("expected", end)
                    .with("found", point));
            }
        }
        sealed = false;
        landmarks.visit(point)?;
        while !sealed {
            match reader.next(point)? {
                Next::Record(record, _) => {
                    if landmarks.checkpoint_seen || from == ProveFrom::Oldest {
                        let covered = record.after.position <= mark.durable.position;
                        visit(&record, if covered { Cover::Durable } else { Cover::Accepted })?;
                    }
                    sealed = record.content.kind() == Kind::Seal;
                    point = record.after;
                    landmarks.visit(point)?;
                }
                Next::End if newest => break,
                Next::End => return Err(corrupt(&path, point, Fault::Incomplete)),
                Next::Fault(fault) if newest => {
                    ended_by = fault;
                    break;
                }
                Next::Fault(fault) => return Err(corrupt(&path, point, fault)),
            }
        }
        if !newest && point.position != limit {
            return Err(corrupt(&path, point, Fault::Kind));
        }
        chain = Some(point);
    }
    let end = chain.unwrap_or_default();
    if !landmarks.mark_seen {
        let path = options.directory.join(segment::file_name(mark.segment));
        if ended_by == Fault::Incomplete {
            return Err(Error::new(Reason::WalTruncated)
                .with("file", path.display())
                .with("position", end.position)
                .with("durable", mark.durable));
        }
        return Err(corrupt(&path, end, ended_by).with("durable", mark.durable));
    }
    let walk = Walk { start, end, sealed, fault: ended_by };
    check_cut_at_its_end(options, survey, &walk)?;
    match survey.leftovers.first() {
        _ if landmarks.checkpoint_seen => Ok(walk),
        // A log that ends before the checkpoint, and segments behind that end: it is the mark that is old.
        Some(name) if end.position < checkpoint.position => Err(mark_behind(options, mark, "later_segment", name)),
        _ => {
            let behind = end.position < checkpoint.position;
            let reason = if behind { Reason::WalBehindCheckpoint } else { Reason::StoreOtherLog };
            Err(Error::new(reason).with("checkpoint", checkpoint).with("end", end))
        }
    }
}

/// Refuses a segment that was cut exactly where a later one begins, and in which the proof ends before that. It was cut at its `Seal`, whole and
/// durable, before the later one was made: so a record of it is damaged, whatever the mark says, and whether or not that is old as well.
fn check_cut_at_its_end(options: &LogOptions, survey: &Survey, walk: &Walk) -> Result<()> {
    let first = survey.mark.segment;
    let Some(next) = survey.leftovers.iter().filter_map(|name| segment::parse_name(name)).min() else { return Ok(()) };
    let end = Position(u64::MAX);
    let (reader, _) = SegmentReader::open(options.disk.as_ref(), &options.directory, first, options.lineage, end)?;
    if walk.end.position >= next || reader.file_len()? != offset(first, next) {
        return Ok(());
    }
    Err(corrupt(reader.path(), walk.end, walk.fault).with("durable", survey.mark.durable).with("next_segment", next))
}

/// The points that the proof must pass: a log that misses one, or has another history there, is not the log they were taken from.
struct Landmarks<'a> {
    mark: &'a Mark,
    checkpoint: LogPoint,
    mark_seen: bool,
    checkpoint_seen: bool,
}

impl Landmarks<'_> {
    fn visit(&mut self, point: LogPoint) -> Result<()> {
        if point.position == self.mark.durable.position {
            if point != self.mark.durable {
                return Err(Error::new(Reason::WalCorrupt).with("marked", self.mark.durable).with("found", point));
            }
            self.mark_seen = true;
        }
        if point.position == self.checkpoint.position {
            if point != self.checkpoint {
                return Err(Error::new(Reason::StoreOtherLog).with("checkpoint", self.checkpoint).with("log", point));
            }
            self.checkpoint_seen = true;
        }
        Ok(())
    }
}

fn corrupt(path: &std::path::Path, point: LogPoint, fault: Fault) -> Error {
    Error::new(Reason::WalCorrupt).with("file", path.display()).with("position", point.position).with("fault", fault)
}

#[derive(Default)]
struct FoundTail {
    torn_bytes: u64,
    unproven_bytes: u64,
    beyond_bytes: u64,
}

/// Judges what stands behind the proven log in the newest segment.
fn check_tail(keeper: Keeper, file: &dyn File, mark: &Mark, walk: &Walk) -> Result<FoundTail> {
    let found = FoundTail { beyond_bytes: check_len(file, mark, walk)?, ..FoundTail::default() };
    match keeper {
        Keeper::Writer if walk.sealed => Ok(found),
        Keeper::Writer => Ok(FoundTail { torn_bytes: torn_bytes(file, mark, walk)?, ..found }),
        Keeper::Follower => Ok(FoundTail { unproven_bytes: unproven_bytes(file, mark, walk.end.position)?, ..found }),
    }
}

/// Proves that the file of the newest segment reaches as far as the mark says; if it is sealed, it may be cut already. Returns how many
/// bytes of it lie behind what is kept.
fn check_len(file: &dyn File, mark: &Mark, walk: &Walk) -> Result<u64> {
    let found = file.len()?;
    let end = offset(mark.segment, walk.end.position);
    let allocated = offset(mark.segment, mark.allocated);
    if found < allocated && !(walk.sealed && found == end) {
        return Err(Error::new(Reason::WalTruncated).with("expected_bytes", allocated).with("found_bytes", found));
    }
    Ok(found.saturating_sub(if walk.sealed { end } else { allocated.max(end) }))
}

/// A writer's tail: how many bytes of it are torn.
fn torn_bytes(file: &dyn File, mark: &Mark, walk: &Walk) -> Result<u64> {
    let at = walk.end.position;
    let mut bytes = vec![0; usize::try_from(mark.allocated.since(at)).unwrap_or(0)];
    let read = file.read_at(offset(mark.segment, at), &mut bytes)?;
    bytes.truncate(read);
    match tail::judge(mark.blank_seed, at, &bytes, walk.fault) {
        Tail::End => Ok(0),
        Tail::Torn => Ok(last_written(mark, at, &bytes)),
        Tail::Corrupt(fault) => {
            Err(Error::new(Reason::WalCorrupt).with("position", at).with("fault", fault).with("durable", mark.durable))
        }
    }
}

/// A follower's tail: how many bytes were received and do not prove themselves. Nothing is asked of them: they are log only once they
/// are proven.
fn unproven_bytes(file: &dyn File, mark: &Mark, end: Position) -> Result<u64> {
    const PIECE_BYTES: usize = 1 << 20;
    let mut piece = vec![0; PIECE_BYTES];
    let (mut at, mut unproven) = (end, 0);
    loop {
        let read = file.read_at(offset(mark.segment, at), &mut piece)?;
        if read == 0 {
            return Ok(unproven);
        }
        let written = last_written(mark, at, piece.get(..read).unwrap_or_default());
        if written > 0 {
            unproven = at.after(written).since(end);
        }
        at = at.after(u64::try_from(read).unwrap_or(u64::MAX));
    }
}

/// How many bytes lie between `at` and the end of the last piece that is not blank.
fn last_written(mark: &Mark, at: Position, bytes: &[u8]) -> u64 {
    let mut last = 0u64;
    let mut position = at;
    for piece in bytes.chunks(8) {
        let end = position.after(u64::try_from(piece.len()).unwrap_or(0));
        if !is_blank(mark.blank_seed, position, piece) {
            last = end.since(at);
        }
        position = end;
    }
    last
}

/// Makes the accepted log durable beyond doubt, and everything behind it blank. The blank is written even where it reads as blank:
/// an earlier recovery may have failed to fsync it, and the disk may still hold the torn tail that the cache has forgotten.
fn repair(file: &dyn File, mark: &Mark, end: LogPoint, found: &FoundTail) -> Result<()> {
    if end != mark.durable && !planted("what is accepted is not written again") {
        rewrite(file, mark, end)?;
    }
    write_blank(file, mark.segment, mark.blank_seed, end.position, mark.allocated)?;
    if found.beyond_bytes > 0 {
        file.set_len(offset(mark.segment, mark.allocated))?;
    }
    file.sync_data()
}

/// Writes what was accepted above the mark again, for the fsync that follows: after a failed fsync it may be in the cache alone,
/// where a further fsync would not find it.
fn rewrite(file: &dyn File, mark: &Mark, end: LogPoint) -> Result<()> {
    const PIECE_BYTES: u64 = 1 << 20;
    let mut at = offset(mark.segment, mark.durable.position);
    let to = offset(mark.segment, end.position);
    at = at.saturating_sub(at.checked_rem(SECTOR).unwrap_or(0)).max(SEGMENT_HEADER_BYTES);
    let mut piece = Vec::new();
    while at < to {
        let len = to.saturating_sub(at).min(PIECE_BYTES);
        piece.resize(usize::try_from(len).unwrap_or(0), 0);
        let read = file.read_at(at, &mut piece)?;
        file.write_at(at, piece.get(..read).unwrap_or_default())?;
        at = at.saturating_add(len);
    }
    Ok(())
}
