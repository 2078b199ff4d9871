//! What a primary sends that it may not send: each rule of log that comes is broken once, and so are those that are not about log.

use super::followers::{encoded, welcomed};
use super::{Told, begun_with, end, ended, follow, of_replica, primary, put, replica_of, rests, serve};
use crate::proxy::{Edit, Proxy};
use aerodb::explain::{Explanation, Topic};
use aerodb::frame::{Frame, Refuse, Segment};
use aerodb::replica_state::Origin;
use aerodb::supervisor::machine::State;
use aerodb::{LogPoint, Position, Reason};

/// Each SEGMENT as this makes it.
fn segments(change: impl Fn(Segment) -> Segment + Send + 'static) -> Edit {
    Box::new(move |frame, bytes| {
        let &Frame::Segment(segment) = frame else { return bytes };
        let mut sent = encoded(&Frame::Segment(change(segment)));
        sent.extend_from_slice(&bytes[bytes.len() - segment.bytes..]);
        sent
    })
}

/// In place of its WELCOME the primary says this.
fn instead(frame: Frame, log: usize) -> Edit {
    Box::new(
        move |came, bytes| {
            if matches!(came, Frame::Welcome(_)) { [encoded(&frame), vec![0; log]].concat() } else { bytes }
        },
    )
}

fn refusing(reason: Reason) -> Edit {
    let (oldest, durable) = (Position(0), LogPoint::default());
    let text = "frame=SEGMENT, fault=of the primary".to_owned();
    instead(Frame::Refuse(Refuse { reason: reason.number().into(), oldest, durable, text }), 0)
}

pub fn told() -> Vec<Told> {
    let served = serve(primary().1);
    let proxy = Proxy::of(served.replication.unwrap());
    let address = proxy.address.to_string();
    let durable = LogPoint { position: Position(8), ..LogPoint::default() };
    let first = Segment { from: Position(0), bytes: 8, ends_segment: false, durable };
    let broken: Vec<(&str, Edit)> = vec![
        (
            "segment in a frame that does not verify",
            Box::new(|frame, mut bytes| {
                if matches!(frame, Frame::Segment(_)) {
                    bytes[0] ^= 1;
                }
                bytes
            }),
        ),
        ("segment before the handshake", instead(Frame::Segment(first), 8)),
        (
            "segment behind a gap",
            segments(|segment| {
                let durable = LogPoint { position: segment.durable.position.after(8), ..segment.durable };
                Segment { from: segment.from.after(8), durable, ..segment }
            }),
        ),
        ("segment that came before", segments(|segment| Segment { from: Position(segment.from.0 - 8), ..segment })),
        (
            "segment with an older durable end",
            welcomed(|welcome| welcome.durable.position = welcome.durable.position.after(8)),
        ),
        ("segment, none rejected where the primary refuses", refusing(Reason::ProtocolMalformed)),
        ("segment, none rejected where the primary refuses by another word", refusing(Reason::ProtocolUnexpected)),
    ];
    let mut told = Vec::new();
    for (title, edit) in broken {
        let disk = replica_of(&served.db);
        let replica = follow(&disk, &address);
        replica.wait_until(rests);
        replica.close().unwrap();
        put(&served.db, "apple", title);
        proxy.edit(edit);
        let replica = follow(&disk, &address);
        replica.wait_until(|status| ended(status, State::Halted));
        told.push((title, of_replica(&replica, &Topic::Segment)));
        drop(replica);
        proxy.be_honest();
    }
    told.push(("segment of a replica that began with a backup", begun_with_all(&served.db, &address)));
    told
}

/// Everything that it holds was there when it began.
fn begun_with_all(db: &aerodb::Database, address: &str) -> Explanation {
    let disk = replica_of(db);
    let replica = follow(&disk, address);
    replica.wait_until(rests);
    replica.close().unwrap();
    begun_with(&disk, Origin::Backup(end(db)));
    let replica = follow(&disk, address);
    replica.wait_until(rests);
    of_replica(&replica, &Topic::Segment)
}
