//! A running node as a side of `aerodb compare`: its log by `AERO.SEGMENTS`, `AERO.LOG` and `AERO.RECORD`, its runs by `AERO.RUNS`.
//!
//! Its runs and then its end are asked for once, at the beginning: it may move on, and nothing behind that end is compared. What it says is believed as far as it
//! can be: it is bounded, in order, and each page of its log goes on where the one before ended; else it is `server.not_understood`.

use crate::cli::args;
use crate::cli::remote::Server;
use aerodb::compare::{Held, Local, Party, Place, Step, Steps, Stored, Written};
use aerodb::limits;
use aerodb::record::{Header, Kind};
use aerodb::resp::response::Bounds;
use aerodb::store::run::{RunId, RunInfo};
use aerodb::{CommitId, Id, Identity, LogPoint, Parameters, Position, Result, Role};
use std::collections::BTreeMap;
use std::vec;

/// What a reply may have: a value is no longer than what is shown of a record or said by INFO.
const BOUNDS: Bounds = Bounds { depth: 2, line_bytes: 4096, reply_bytes: 1 << 20 };
/// Most segments that are believed.
const SEGMENTS_MAX: usize = 1 << 20;

/// A node that runs.
pub(crate) struct Running {
    server: Server,
    held: Held,
    stored: Stored,
    firsts: Vec<Position>,
    /// The log before each of them.
    starts: Vec<LogPoint>,
}

impl Running {
    /// Connects, and asks for all that must not move.
    ///
    /// # Errors
    /// `server.unreachable`, `server.not_understood`, what the server refuses.
    pub(crate) fn connect(address: &str) -> Result<Running> {
        let mut server = Server::connect_with(address, BOUNDS)?;
        let identity = identity(&mut server)?;
        // The runs first: they hold nothing behind an end that is asked for later.
        let stored = stored(&mut server)?;
        let (end, starts) = segments(&mut server)?;
        let firsts: Vec<Position> = starts.iter().map(|start| start.position).collect();
        if stored.checkpoint.position > end.position {
            return Err(server.not_understood("a checkpoint behind the log"));
        }
        let oldest = starts.first().copied().unwrap_or(end);
        let held = Held { place: Place::Server(address.to_owned()), identity, oldest, end };
        Ok(Running { server, held, stored, firsts, starts })
    }
}

fn identity(server: &mut Server) -> Result<Identity> {
    let told: BTreeMap<String, String> = server.info("aerodb")?.into_iter().collect();
    let word = |name: &str| told.get(name).map(String::as_str);
    let number = |name: &str| word(name).and_then(aerodb::config::digits);
    let narrow = |name: &str| number(name).and_then(|number| u32::try_from(number).ok());
    let read = || {
        Some(Identity {
            role: Role::parse(word("role")?)?,
            database_id: Id::parse(word("database")?)?,
            node_id: Id::parse(word("node")?)?,
            epoch: number("epoch")?,
            parameters: Parameters {
                segment_bytes: number("segment_bytes")?,
                table_bytes: number("table_bytes")?,
                block_bytes: narrow("block_bytes")?,
                fanout: narrow("fanout")?,
            },
        })
    };
    read().ok_or_else(|| server.not_understood("no identity"))
}

/// `AERO.SEGMENTS`: the end, and the log before each segment.
fn segments(server: &mut Server) -> Result<(LogPoint, Vec<LogPoint>)> {
    let values = server.array(&[b"AERO.SEGMENTS"])?;
    if values < 6 || values % 3 != 0 || values / 3 > SEGMENTS_MAX {
        return Err(server.not_understood("another number of values"));
    }
    let end = server.point()?;
    let mut starts: Vec<LogPoint> = Vec::new();
    for _ in 1..values / 3 {
        let start = server.point()?;
        let follows = starts.last().is_none_or(|last| last.position < start.position && last.commit <= start.commit);
        if !follows || start.position > end.position || start.commit > end.commit {
            return Err(server.not_understood("a segment out of order"));
        }
        starts.push(start);
    }
    Ok((end, starts))
}

/// `AERO.RUNS`
fn stored(server: &mut Server) -> Result<Stored> {
    let values = server.array(&[b"AERO.RUNS"])?;
    if values < 3 || values % 3 != 0 || values / 3 > limits::MANIFEST_RUNS_MAX {
        return Err(server.not_understood("another number of values"));
    }
    let checkpoint = server.point()?;
    let mut runs: Vec<RunInfo> = Vec::new();
    for _ in 1..values / 3 {
        let (file, size, hash) = (server.text()?, server.next_number()?, server.text()?);
        let hash = Some(hash).filter(|hash| hash.len() == 32 && !hash.starts_with('+'));
        let hash = hash.and_then(|hash| u128::from_str_radix(&hash, 16).ok());
        let (Some(id), Some(hash)) = (RunId::parse(&file), hash) else {
            return Err(server.not_understood("no run"));
        };
        let before = runs.last().map_or(CommitId(0), |run| run.id.last);
        if id.first != before.next() || id.last < id.first || id.last > checkpoint.commit {
            return Err(server.not_understood("a run out of order"));
        }
        runs.push(RunInfo { id, size, hash });
    }
    Ok(Stored { checkpoint, runs })
}

impl Party for Running {
    fn look(&mut self) -> Result<()> {
        Ok(())
    }

    fn held(&self) -> &Held {
        &self.held
    }

    fn segments(&self) -> &[Position] {
        &self.firsts
    }

    fn point_at(&mut self, first: Position) -> Result<Option<LogPoint>> {
        Ok(match self.firsts.binary_search(&first) {
            Ok(index) => self.starts.get(index).copied(),
            Err(_) => Some(self.held.end).filter(|end| end.position == first),
        })
    }

    fn steps(&mut self, from: LogPoint) -> Result<Box<dyn Steps + '_>> {
        Ok(Box::new(Pages { server: &mut self.server, end: self.held.end, before: from, page: Vec::new().into_iter() }))
    }

    fn wrote(&mut self, before: LogPoint, step: Step) -> Result<Written> {
        let server = &mut self.server;
        if server.array(&[b"AERO.RECORD", before.position.to_string().as_bytes()])? != 5 {
            return Err(server.not_understood("another number of values"));
        }
        let (told, record_len, bytes) = (server.point()?, server.next_number()?, server.next_bytes()?);
        let header = Header::decode(&bytes).map_err(|fault| server.not_understood(fault))?;
        let len = header.record_len();
        let whole = bytes.len() == len.min(limits::RECORD_SHOWN_BYTES) && len as u64 == record_len;
        let is_it = told == before
            && (header.kind, header.commit, header.history) == (step.kind, step.after.commit, before.history);
        if !whole || !is_it || before.position.after(record_len) != step.after.position {
            return Err(server.not_understood("another record"));
        }
        Written::read(&bytes, before, step.after)
    }

    fn stored(&mut self) -> Result<Stored> {
        Ok(self.stored.clone())
    }

    fn prove(&mut self, _: &mut dyn FnMut(u64, u64)) -> Result<()> {
        Err(args::usage("--thorough proves files: a running node can't be proven from here"))
    }

    fn local(&self) -> Option<&Local> {
        None
    }
}

/// The records of a node, a page at a time.
struct Pages<'a> {
    server: &'a mut Server,
    /// Nothing behind it is asked for.
    end: LogPoint,
    /// The log before the next record.
    before: LogPoint,
    page: vec::IntoIter<Step>,
}

impl Pages<'_> {
    fn next_page(&mut self) -> Result<()> {
        let (server, mut before) = (&mut *self.server, self.before);
        let values = server.array(&[b"AERO.LOG", before.position.to_string().as_bytes()])?;
        let records = values.saturating_sub(3) / 5;
        if values < 8 || !(values - 3).is_multiple_of(5) || records > limits::LOG_RECORDS_MAX {
            return Err(server.not_understood("another number of values"));
        }
        if server.point()? != before {
            return Err(server.not_understood("a page that does not follow the one before"));
        }
        let mut page = Vec::with_capacity(records);
        for _ in 0..records {
            let (kind, bytes, after) = (server.text()?, server.next_number()?, server.point()?);
            let Some(kind) = Kind::ALL.into_iter().find(|known| known.name() == kind) else {
                return Err(server.not_understood("no kind of record"));
            };
            let commit = if kind == Kind::Commit { before.commit.next() } else { before.commit };
            if bytes == 0 || before.position.after(bytes) != after.position || after.commit != commit {
                return Err(server.not_understood("a record out of order"));
            }
            page.push(Step { kind, after });
            before = after;
        }
        self.page = page.into_iter();
        Ok(())
    }
}

impl Steps for Pages<'_> {
    fn next_step(&mut self) -> Result<Option<Step>> {
        if self.before.position >= self.end.position {
            let is_end = self.before == self.end;
            return if is_end {
                Ok(None)
            } else {
                Err(self.server.not_understood("a log that does not come to its end"))
            };
        }
        if self.page.len() == 0 {
            self.next_page()?;
        }
        let step = self.page.next();
        self.before = step.map_or(self.before, |step| step.after);
        Ok(step)
    }
}
