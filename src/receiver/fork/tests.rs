//! A log that forked at a known commit, and a primary that is played: honest, gone, silent, hostile.
//!
//! The logs are those of real nodes on a simulated disk, read by a cursor: so what must be found is known from the records themselves.

use super::*;
use crate::commit_id::CommitId;
use crate::committer::Order;
use crate::disk::{Disk, SimDisk};
use crate::identity::{Id, Parameters, Role};
use crate::position::History;
use crate::recovery::{self, Init, Options};
use crate::sync::Arc;
use crate::wal::{LogCursor, directory};
use crate::wire::link::Slept;
use crate::{Batch, Node};
use std::path::Path;

/// A log: its directory, and the points before and behind its records.
struct Log {
    own: Own,
    points: Vec<LogPoint>,
}

/// A log of so many commits, of which those from `fork` on are of another primary.
fn log(segment_bytes: u64, commits: u64, fork: u64) -> Log {
    let (disk, dir): (Arc<dyn Disk>, _) = (Arc::new(SimDisk::new()), Path::new("/log"));
    let parameters = Parameters { segment_bytes, table_bytes: 1 << 20, ..Parameters::default() };
    let (database_id, role) = (Some(Id([5; 16])), Role::Primary);
    let init = Init { disk: Arc::clone(&disk), role, parameters, database_id, ..Init::standalone(dir) };
    let identity = Node::init(&init).unwrap();
    let options = Options { disk: Arc::clone(&disk), ..Options::new(dir) };
    let mut node = Node::open(&options).unwrap();
    let batch = |commit: u64| {
        let mut batch = Batch::new();
        batch.put(&commit.to_le_bytes(), if commit < fork { b"both" } else { b"this" }).unwrap();
        Order::Commit(batch)
    };
    for first in (1..=commits).step_by(100) {
        node.group(&(first..=commits.min(first + 99)).map(batch).collect::<Vec<_>>()).unwrap();
    }
    let end = node.durable();
    let lineage = recovery::lineage(&identity);
    let mut cursor = LogCursor::open(Arc::clone(&disk), &directory(dir), lineage, Position(0), end).unwrap();
    let mut points = vec![cursor.point()];
    while let Some((record, _)) = cursor.next_record().unwrap() {
        points.push(record.after);
    }
    let log = recovery::log_options(&disk, dir, &identity, options.extend_bytes);
    Log { own: Own { identity, log, end }, points }
}

impl Log {
    fn welcome(&self) -> Welcome {
        let Identity { database_id, epoch, parameters, .. } = self.own.identity;
        let (shape, oldest, durable) = (Shape::from(parameters), Position(0), self.own.end);
        Welcome { version: frame::VERSION, database_id, node_id: Id([9; 16]), epoch, shape, oldest, durable }
    }

    fn before(&self, position: Position) -> Before {
        if position > self.own.end.position {
            return Before::Beyond;
        }
        let found = self.points.iter().find(|point| point.position == position);
        found.map_or(Before::Nothing, |point| Before::Point(*point))
    }

    /// What it says to a frame.
    fn answer(&self, frame: &Frame) -> Frame {
        if let Frame::Probe(position) = frame {
            return Frame::Point(*position, self.before(*position));
        }
        assert!(matches!(frame, Frame::Hello(hello) if hello.purpose == Purpose::Fork));
        Frame::Welcome(self.welcome())
    }
}

/// What is said to a frame; nothing where the connection ends.
type Answers<'a> = dyn FnMut(&Frame) -> Option<Vec<u8>> + 'a;

/// A primary that is played: what it answers to each frame; nothing where it ends the connection.
struct Played<'a> {
    answers: Box<Answers<'a>>,
    asked: usize,
    unread: Vec<u8>,
    ended: bool,
    stop: &'a Fact<bool>,
}

impl Link for Played<'_> {
    fn connect(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn is_connected(&mut self) -> io::Result<bool> {
        Ok(true)
    }
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<Option<usize>> {
        if self.unread.is_empty() {
            return Ok(self.ended.then_some(0));
        }
        // In pieces.
        let count = self.unread.len().min(bytes.len()).min(7);
        bytes[..count].copy_from_slice(&self.unread[..count]);
        self.unread.drain(..count);
        Ok(Some(count))
    }
    fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let (frame, taken) = Frame::decode(bytes).unwrap().expect("a whole frame");
        self.asked += 1;
        match (self.answers)(&frame) {
            Some(answer) => self.unread.extend(answer),
            None => self.ended = true,
        }
        Ok(Some(taken))
    }
    fn is_readable(&self) -> bool {
        !self.unread.is_empty()
    }
    fn close(&mut self) {}
    /// It is woken by nobody but by who stops it.
    fn sleep(&mut self, _: Option<u32>) -> io::Result<Slept> {
        self.stop.set(true);
        Ok(Slept::UntilWoken)
    }
}

fn bytes(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

/// What is found of a primary that answers so, and how often it was asked.
fn asked<'a>(own: &Own, answers: impl FnMut(&Frame) -> Option<Vec<u8>> + 'a) -> (Result<Fork>, usize) {
    let stop = Fact::new(false);
    let mut link = Played { answers: Box::new(answers), asked: 0, unread: Vec::new(), ended: false, stop: &stop };
    let found = find(own, &mut link, &stop);
    (found, link.asked)
}

/// The first points of two logs that differ: the one before is common.
fn expected(here: &Log, there: &Log) -> Fork {
    let parts = here.points.iter().zip(&there.points).position(|(here, there)| here != there);
    let at = parts.unwrap_or(there.points.len());
    let here = here.points[at];
    Fork { common: there.points[at - 1], here, there: there.before(here.position) }
}

/// F-D1, WIRE-PROBE: wherever two logs part, in whatever segment, behind whatever number of records: it is found, in few questions.
#[test]
fn the_fork_is_where_the_first_record_differs() {
    for (segment_bytes, commits, forks) in
        [(4096, 200, (1..=200).collect::<Vec<_>>()), (1 << 20, 9000, vec![1, 4500, 8999])]
    {
        for fork in forks {
            // The primary is shorter, as long, or longer.
            let there = log(segment_bytes, commits - 50 + fork % 100, u64::MAX);
            let here = log(segment_bytes, commits, fork);
            if there.points.len() as u64 <= fork {
                continue;
            }
            let (found, questions) = asked(&here.own, |frame| Some(bytes(&there.answer(frame))));
            assert_eq!(found, Ok(expected(&here, &there)), "fork at {fork}");
            assert_eq!(found.as_ref().unwrap().common.commit, CommitId(fork - 1));
            assert!(questions < 40, "{questions}");
            assert!(words(&found).starts_with("fork_position="), "{}", words(&found));
        }
    }
}

fn unknown(own: &Own, reason: Reason, answers: impl FnMut(&Frame) -> Option<Vec<u8>>) -> String {
    let (found, _) = asked(own, answers);
    assert_eq!(found.as_ref().unwrap_err().reason(), reason, "{found:?}");
    let words = words(&found);
    assert!(words.starts_with(&format!("fork=unknown, fork_cause={}", reason.name())) && words.len() < 600, "{words}");
    words
}

/// F-D1: a connection that ends behind any answer, a primary that falls silent, one that refuses: it is said that it is not known.
#[test]
fn a_primary_that_does_not_answer_to_the_end_leaves_the_fork_unknown() {
    let (there, here) = (log(4096, 150, u64::MAX), log(4096, 150, 70));
    let (_, questions) = asked(&here.own, |frame| Some(bytes(&there.answer(frame))));
    for answered in 0..questions {
        let mut left = answered;
        let honest = |frame: &Frame| {
            left = left.checked_sub(1)?;
            Some(bytes(&there.answer(frame)))
        };
        unknown(&here.own, Reason::ReplicationDisconnected, honest);
        let mut left = answered;
        let silent = |frame: &Frame| {
            Some(left.checked_sub(1).map_or_else(Vec::new, |less| {
                left = less;
                bytes(&there.answer(frame))
            }))
        };
        unknown(&here.own, Reason::ReplicationStopped, silent);
    }
    let refuse =
        Refuse { reason: 106, durable: here.own.end, oldest: Position(0), text: "x".repeat(limits::REFUSAL_BYTES_MAX) };
    let (mut found, _) = asked(&here.own, |_| Some(bytes(&Frame::Refuse(refuse.clone()))));
    let reason = found.as_mut().unwrap_err().reason();
    assert_eq!(u16::from(reason.number()), 106);
    assert!(words(&found).len() < 600);
}

/// F-D1, WIRE-PROBE: answers that contradict one another, or the question, are not believed.
#[test]
fn a_primary_that_contradicts_itself_leaves_the_fork_unknown() {
    let (there, here) = (log(4096, 150, u64::MAX), log(4096, 150, 70));
    let last = expected(&here, &there);
    let twisted = |twist: &mut dyn FnMut(Position, Before) -> Frame| {
        unknown(&here.own, Reason::ProtocolUnexpected, |frame| {
            let Frame::Probe(position) = frame else { return Some(bytes(&there.answer(frame))) };
            Some(bytes(&twist(*position, there.before(*position))))
        })
    };
    // The same with another point where it says one.
    let changed = |before: Before, change: &dyn Fn(LogPoint) -> LogPoint| {
        if let Before::Point(point) = before { Before::Point(change(point)) } else { before }
    };
    let said = twisted(&mut |position, before| {
        let aside = position.after(8);
        Frame::Point(aside, changed(before, &|point| LogPoint { position: aside, ..point }))
    });
    assert!(said.contains("another question"), "{said}");
    let said = twisted(&mut |position, before| {
        let commit = |point: LogPoint| if position < last.common.position { CommitId(7777) } else { point.commit };
        Frame::Point(position, changed(before, &|point| LogPoint { commit: commit(point), ..point }))
    });
    assert!(said.contains("one history at two commits"), "{said}");
    let said = twisted(&mut |position, _| Frame::Point(position, Before::Beyond));
    assert!(said.contains("another end"), "{said}");
    // It has everything, and yet it refused.
    let said = twisted(&mut |position, _| Frame::Point(position, here.before(position)));
    assert!(said.contains("another end") || said.contains("does not part"), "{said}");
    // It denies what every log of this database begins with.
    let said = twisted(&mut |position, before| {
        let is_end = position >= there.own.end.position;
        Frame::Point(
            position,
            changed(before, &|point| if is_end { point } else { LogPoint { history: History(1), ..point } }),
        )
    });
    assert!(said.contains("begins otherwise"), "{said}");
    // Asked again, what was common is not, and what was not is.
    for position_of in [last.common.position, last.here.position] {
        let mut seen = 0;
        let said = twisted(&mut |position, before| {
            seen += usize::from(position == position_of);
            let lie = if position == last.common.position { Before::Nothing } else { Before::Point(last.here) };
            Frame::Point(position, if position == position_of && seen > 1 { lie } else { before })
        });
        assert!(said.contains("asked again"), "{said}");
    }
    let said = twisted(&mut |_, _| Frame::Welcome(there.welcome()));
    assert!(said.contains("frame=WELCOME"), "{said}");
    for hostile in [&b"-ERR no\r\n-ERR no\r\n"[..], &[0xff; 64]] {
        unknown(&here.own, Reason::ProtocolMalformed, |_| Some(hostile.to_vec()));
    }
    let foreign = Welcome { database_id: Id([6; 16]), ..there.welcome() };
    unknown(&here.own, Reason::ProtocolUnexpected, |_| Some(bytes(&Frame::Welcome(foreign))));
}

/// Where the primary holds nothing any more of what is common, it is said so.
#[test]
fn a_fork_before_what_the_primary_holds_is_unknown() {
    let (there, here) = (log(4096, 150, u64::MAX), log(4096, 150, 3));
    let oldest = segments_before(&here.own.log, here.own.end.position).unwrap()[2];
    let welcome = Welcome { oldest, ..there.welcome() };
    let said = unknown(&here.own, Reason::HistoryRetired, |frame| {
        Some(bytes(&if matches!(frame, Frame::Hello(_)) { Frame::Welcome(welcome) } else { there.answer(frame) }))
    });
    assert!(said.contains("part_before"), "{said}");
    // It was dropped meanwhile.
    unknown(&here.own, Reason::HistoryRetired, |frame| {
        let answer = there.answer(frame);
        let is_dropped = matches!(frame, Frame::Probe(position) if *position < oldest);
        Some(bytes(&if let (Frame::Point(position, _), true) = (&answer, is_dropped) {
            Frame::Point(*position, Before::Retired)
        } else {
            answer
        }))
    });
}
