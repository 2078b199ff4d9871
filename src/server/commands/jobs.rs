//! Replies that take several turns of the loop: reads of many keys, scans, counts, ranges, the segments of the log.
//!
//! A job reads one view from its first turn to its last (M-VIEW), so its reply is that of one commit, however long it takes. In a turn it
//! looks at so many keys, those without a value included, reads so many bytes and takes so many steps of matching, and then gives way.
//! Where the head of a reply has to say how many elements follow, and they are too many to be kept, they are counted first and then read
//! again, from the same view.

use crate::codec::SECTOR_BYTES;
use crate::error::{Error, Result};
use crate::gate::Wish;
use crate::limits;
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::resp::{Glob, Out};
use crate::server::commands::data::{Progress, Slice};
use crate::server::commands::history::put_point;
use crate::server::commands::transactions::{Action, Queued, Watched};
use crate::server::session::Context;
use crate::store::{Direction, Range, View};
use crate::wal;
use std::ops::Bound;

/// What a turn of a walk reads beyond the blocks that it begins with, however large those are.
const GOING_ON_BYTES: usize = limits::TURN_BYTES / 8;

/// A reply that takes several turns.
#[derive(Debug)]
pub enum Job {
    /// Reads of keys.
    Reads(Reads),
    /// DBSIZE.
    Count(Count),
    /// SCAN.
    Scan(Scan),
    /// AERO.RANGE.
    Rows(Rows),
    /// AERO.SEGMENTS.
    Segments(Segments),
}

impl Job {
    /// Works for a turn; says whether the reply is at its end.
    ///
    /// # Errors
    /// Those of the view. What the turn wrote is not to be sent then.
    pub fn turn(&mut self, context: &mut Context<'_>, out: &mut Out<'_>) -> Result<bool> {
        match self {
            Job::Reads(reads) => reads.turn(context, out),
            Job::Count(count) => count.turn(context, out),
            Job::Scan(scan) => scan.turn(context, out),
            Job::Rows(rows) => rows.turn(context, out),
            Job::Segments(segments) => segments.turn(context, out),
        }
    }

    /// Memory that it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Job::Reads(reads) => reads.queue.iter().map(Queued::bytes).fold(reads.watched.bytes, usize::saturating_add),
            Job::Count(_) => 0,
            Job::Scan(scan) => scan.found.len(),
            Job::Rows(rows) => rows.kept.len(),
            Job::Segments(segments) => segments.kept.len().saturating_add(size_of_val(segments.firsts.as_slice())),
        }
    }
}

/// Reads of keys, one after the other, in one view; or nothing, if it shows that a watched key has changed.
#[derive(Debug)]
pub struct Reads {
    view: Opened,
    watched: Watched,
    queue: Vec<Queued>,
    /// Whether the replies are elements of one, whose head is still to be said.
    heads: bool,
    /// What is said next.
    at: usize,
    progress: Progress,
}

impl Reads {
    /// Reads at a commit, or at the newest one.
    ///
    /// # Errors
    /// Those of the view.
    pub fn new(context: &Context<'_>, wish: &Wish, queue: Vec<Queued>) -> Result<Reads> {
        let view = Opened(context.database.read(wish)?);
        Ok(Reads { view, watched: Watched::default(), queue, heads: false, at: 0, progress: Progress::default() })
    }

    /// An EXEC that only reads, at the newest commit.
    ///
    /// # Errors
    /// Those of the view.
    pub fn exec(context: &Context<'_>, watched: Watched, queue: Vec<Queued>) -> Result<Reads> {
        Ok(Reads { watched, heads: true, ..Reads::new(context, &Wish::newest(), queue)? })
    }

    fn turn(&mut self, context: &mut Context<'_>, out: &mut Out<'_>) -> Result<bool> {
        let mut slice = Slice::turn(out.len());
        while let Some((key, since)) = self.watched.take_first() {
            let written = self.view.0.version(&key, self.view.0.commit())?;
            // Asked behind the look: below the floor what was deleted may have left no trace.
            if context.database.floor() > since || written.is_some_and(|(commit, _)| commit > since) {
                out.null_array();
                return Ok(true);
            }
            let bytes = written.and_then(|(_, bytes)| bytes).unwrap_or(0);
            context.count_read(bytes);
            if !slice.count(bytes, out.len()) {
                return Ok(false);
            }
        }
        if std::mem::take(&mut self.heads) {
            out.array(self.queue.len());
        }
        while let Some(queued) = self.queue.get(self.at) {
            let goes_on = match queued.action {
                Action::Pure(say) => {
                    say(queued.words(), out);
                    slice.count(0, out.len())
                }
                Action::Nothing => {
                    out.ok();
                    slice.count(0, out.len())
                }
                Action::Data(data) => {
                    let before = self.progress.read_bytes;
                    let ended = data.read_on(queued.words(), &mut self.progress, &mut slice, &mut self.view.0, out)?;
                    context.count_read(self.progress.read_bytes.saturating_sub(before));
                    if !ended {
                        return Ok(false);
                    }
                    true
                }
            };
            self.at = self.at.saturating_add(1);
            self.progress = Progress::default();
            if !goes_on {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A view, for the log.
struct Opened(View);

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "View({})", self.0.commit())
    }
}

/// Why a walk paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// There is no further row.
    End,
    /// The next row was not wanted.
    Refused,
    /// It is the turn of others.
    Turn,
}

/// A walk over the rows of a view that can be left and taken up again.
#[derive(Debug)]
struct Walk {
    view: Opened,
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
    direction: Direction,
}

impl Walk {
    /// Visits rows for a turn. A row for which `visit` says `false` was not visited. Keys without a value are work too: they count, and
    /// the walk goes on behind them. So are values that are not shown, because they were replaced or came later: their blocks were read.
    fn turn(&mut self, context: &mut Context<'_>, mut visit: impl FnMut(&[u8], &[u8]) -> bool) -> Result<Pause> {
        let Walk { view, from, to, direction } = self;
        let range = Range { from: from.clone(), to: to.clone(), direction: *direction, limit: limits::TURN_KEYS };
        let mut rows = view.0.range(range)?;
        // What it takes to begin counts, but a turn that did no more would be followed by the same one: a part is always for going on.
        let begun_bytes = rows.taken_bytes();
        let most = limits::TURN_BYTES.saturating_sub(begun_bytes).max(GOING_ON_BYTES);
        let (mut left, mut bytes, mut last) = (limits::TURN_KEYS, 0_usize, None::<Vec<u8>>);
        let pause = loop {
            if left == 0 || bytes.max(rows.taken_bytes().saturating_sub(begun_bytes)) >= most {
                break Pause::Turn;
            }
            let Some((key, value)) = rows.next_place()? else { break Pause::End };
            if value.is_some_and(|value| !visit(key, value)) {
                break Pause::Refused;
            }
            let place = last.get_or_insert_default();
            place.clear();
            place.extend_from_slice(key);
            left = left.saturating_sub(1);
            bytes = bytes.saturating_add(key.len()).saturating_add(value.map_or(0, <[u8]>::len));
        };
        context.count_read(bytes.max(rows.taken_bytes()));
        if let Some(last) = last {
            *(match direction {
                Direction::Forward => from,
                Direction::Backward => to,
            }) = Bound::Excluded(last);
        }
        Ok(pause)
    }
}

/// Counts the keys of a view.
#[derive(Debug)]
pub struct Count {
    walk: Walk,
    keys: usize,
}

impl Count {
    /// Counts the keys of the newest view.
    ///
    /// # Errors
    /// Those of the view.
    pub fn new(context: &Context<'_>) -> Result<Count> {
        Ok(Count { walk: walk(context, &Wish::newest(), Bound::Unbounded)?, keys: 0 })
    }

    fn turn(&mut self, context: &mut Context<'_>, out: &mut Out<'_>) -> Result<bool> {
        let keys = &mut self.keys;
        let pause = self.walk.turn(context, |_, _| {
            *keys = keys.saturating_add(1);
            true
        })?;
        if pause == Pause::End {
            out.count(self.keys);
        }
        Ok(pause == Pause::End)
    }
}

fn walk(context: &Context<'_>, wish: &Wish, from: Bound<Vec<u8>>) -> Result<Walk> {
    let view = Opened(context.database.read(wish)?);
    Ok(Walk { view, from, to: Bound::Unbounded, direction: Direction::Forward })
}

/// Which keys a scan returns.
#[derive(Debug, Default)]
pub struct ScanOptions {
    /// Those that match.
    pub matching: Option<Glob>,
    /// None: keys of another type than strings are asked for.
    pub other_type: bool,
    /// Keys to look at.
    pub count: usize,
}

/// A page of a scan.
#[derive(Debug)]
pub struct Scan {
    walk: Walk,
    options: ScanOptions,
    /// The cursor that was asked for.
    cursor: u64,
    /// The keys found, as they are sent.
    found: Vec<u8>,
    keys: usize,
}

impl Scan {
    /// The page behind a cursor, at a commit or at the newest one.
    ///
    /// # Errors
    /// `cursor.unknown`, those of the view.
    pub fn new(context: &mut Context<'_>, wish: &Wish, cursor: u64, options: ScanOptions) -> Result<Scan> {
        let from = match cursor {
            0 => Bound::Unbounded,
            cursor => {
                let after = context.cursors.use_up(cursor);
                Bound::Excluded(after.ok_or_else(|| Error::new(Reason::CursorUnknown).with("cursor", cursor))?)
            }
        };
        Ok(Scan { walk: walk(context, wish, from)?, options, cursor, found: Vec::new(), keys: 0 })
    }

    fn turn(&mut self, context: &mut Context<'_>, out: &mut Out<'_>) -> Result<bool> {
        let Scan { walk, options, found, keys, .. } = self;
        let mut steps = 0;
        let mut gives_way = false;
        let pause = walk.turn(context, |key, _| {
            gives_way = steps > limits::TURN_STEPS;
            if options.count == 0 || gives_way || found.len() > limits::TURN_BYTES {
                return false;
            }
            options.count = options.count.saturating_sub(1);
            let matching = options.matching.as_ref();
            if !options.other_type && matching.is_none_or(|pattern| pattern.matches(key, &mut steps)) {
                Out::new(out.version(), found).bulk(key);
                *keys = keys.saturating_add(1);
            }
            true
        })?;
        let cursor = match (pause, &walk.from) {
            (Pause::End, _) => 0,
            (Pause::Refused, Bound::Excluded(last)) if !gives_way => context.cursors.keep(last.clone(), self.cursor),
            (Pause::Refused | Pause::Turn, _) => return Ok(false),
        };
        out.array(2);
        out.bulk(cursor.to_string().as_bytes());
        out.array(self.keys);
        out.encoded(&self.found);
        Ok(true)
    }
}

/// The rows of a range, as a flat array of keys and values.
#[derive(Debug)]
pub struct Rows {
    walk: Walk,
    /// Where the walk began.
    begin: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    /// Rows that may still come, and whether the client said so.
    limit: (usize, bool),
    phase: Phase,
    /// The rows of the first turn, as they are sent.
    kept: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first turn: most ranges end in it.
    First,
    /// So many rows were counted so far.
    Counting(usize),
    /// So many rows are still to be sent.
    Sending(usize),
}

impl Rows {
    /// The rows between two keys, the second excluded, at a commit or at the newest one.
    ///
    /// # Errors
    /// Those of the view.
    pub fn new(
        context: &Context<'_>,
        wish: &Wish,
        (from, to): (Bound<Vec<u8>>, Bound<Vec<u8>>),
        direction: Direction,
        limit: Option<usize>,
    ) -> Result<Rows> {
        let view = Opened(context.database.read(wish)?);
        let begin = (from.clone(), to.clone());
        let walk = Walk { view, from, to, direction };
        let limit = (limit.unwrap_or(limits::RANGE_ROWS_MAX), limit.is_some());
        Ok(Rows { walk, begin, limit, phase: Phase::First, kept: Vec::new() })
    }

    fn turn(&mut self, context: &mut Context<'_>, out: &mut Out<'_>) -> Result<bool> {
        match self.phase {
            Phase::First => self.first(context, out),
            Phase::Counting(rows) => self.count(rows, context, out),
            Phase::Sending(rows) => self.send(rows, context, out),
        }
    }

    fn first(&mut self, context: &mut Context<'_>, out: &mut Out<'_>) -> Result<bool> {
        let Rows { walk, kept, limit: (limit, _), .. } = self;
        let mut rows = 0_usize;
        let pause = walk.turn(context, |key, value| {
            let wanted = rows < *limit;
            if wanted {
                rows = rows.saturating_add(1);
                let mut kept = Out::new(out.version(), kept);
                kept.bulk(key);
                kept.bulk(value);
            }
            wanted
        })?;
        if pause == Pause::Turn {
            self.kept = Vec::new();
            self.phase = Phase::Counting(rows);
            return Ok(false);
        }
        out.array(rows.saturating_mul(2));
        out.encoded(&self.kept);
        Ok(true)
    }

    fn count(&mut self, mut rows: usize, context: &mut Context<'_>, out: &mut Out<'_>) -> Result<bool> {
        let (limit, said) = self.limit;
        let pause = self.walk.turn(context, |_, _| {
            let wanted = rows < limit;
            rows = rows.saturating_add(usize::from(wanted));
            wanted
        })?;
        if pause == Pause::Refused && !said {
            // Cut short in silence it would look as if it were all.
            return Err(Error::new(Reason::RangeInvalid).with("rows", format_args!("more than {limit}, and no LIMIT")));
        }
        self.phase = Phase::Counting(rows);
        if pause != Pause::Turn {
            out.array(rows.saturating_mul(2));
            self.phase = Phase::Sending(rows);
            (self.walk.from, self.walk.to) = self.begin.clone();
        }
        Ok(false)
    }

    fn send(&mut self, mut left: usize, context: &mut Context<'_>, out: &mut Out<'_>) -> Result<bool> {
        self.walk.turn(context, |key, value| {
            let wanted = left > 0;
            if wanted {
                left = left.saturating_sub(1);
                out.bulk(key);
                out.bulk(value);
            }
            wanted
        })?;
        self.phase = Phase::Sending(left);
        Ok(left == 0)
    }
}

/// The segments of the log, with the point before each.
#[derive(Debug)]
pub struct Segments {
    end: LogPoint,
    firsts: Vec<Position>,
    /// How many of them were looked at.
    looked: usize,
    /// How many of them are kept, as they are sent.
    count: usize,
    kept: Vec<u8>,
}

impl Segments {
    /// The segments up to the durable end.
    ///
    /// # Errors
    /// `disk.name_failed`.
    pub fn new(context: &Context<'_>) -> Result<Segments> {
        let end = context.database.extent().durable;
        let firsts = wal::segments_before(context.database.log(), end.position)?;
        Ok(Segments { end, firsts, looked: 0, count: 0, kept: Vec::new() })
    }

    fn turn(&mut self, context: &mut Context<'_>, out: &mut Out<'_>) -> Result<bool> {
        let mut left = limits::TURN_SEGMENTS;
        while let Some(first) = self.firsts.get(self.looked) {
            if left == 0 {
                return Ok(false);
            }
            left = left.saturating_sub(1);
            self.looked = self.looked.saturating_add(1);
            context.count_read(SECTOR_BYTES);
            match wal::segment_start(context.database.log(), *first) {
                Ok(start) => {
                    put_point(start, &mut Out::new(out.version(), &mut self.kept));
                    self.count = self.count.saturating_add(1);
                }
                // Retention has removed it meanwhile, and with it all before it.
                Err(error) if error.reason() == Reason::WalSegmentMissing && *first < context.database.extent().oldest => {
                    (self.count, self.kept) = (0, Vec::new());
                }
                Err(error) => return Err(error),
            }
        }
        if self.count == 0 {
            // Before the next record there is no segment that holds anything.
            put_point(self.end, &mut Out::new(out.version(), &mut self.kept));
            self.count = 1;
        }
        out.array(self.count.saturating_add(1).saturating_mul(3));
        put_point(self.end, out);
        out.encoded(&self.kept);
        Ok(true)
    }
}
