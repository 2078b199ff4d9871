//! The examples print what stands here, and leave nothing behind.
//!
//! They are compiled into this test, so that none of them can be older than what it shows.

#![cfg(feature = "replication")]

#[allow(dead_code)]
#[path = "../examples/primary.rs"]
mod primary;
#[allow(dead_code)]
#[path = "../examples/read_your_writes.rs"]
mod read_your_writes;
#[allow(dead_code)]
#[path = "../examples/replica.rs"]
mod replica;

use std::error::Error;

/// What an example prints.
fn printed(example: impl FnOnce(&mut Vec<u8>) -> Result<(), Box<dyn Error>>) -> String {
    let mut out = Vec::new();
    example(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_primary_serves_clients_beside_the_program_that_it_is_in() {
    let wanted = "\
this program wrote commit 1
a client asks GET apple: red
a client asks SET fig black: +OK
a client asks DEL absent: :0
a client asks AERO.COMMITID: :2
this program reads fig: black
replicas are served on a port of their own
closed
";
    assert_eq!(printed(primary::run), wanted);
}

/// R-READ, and EXPL-TABLE: what is read is the primary's, and the rules that admitted it are named.
#[test]
fn a_replica_begins_with_a_snapshot_follows_and_explains_what_it_answers() {
    let wanted = "\
the snapshot has commit 1
at commit 2 apple is green
writing is refused: role.not_writer
status: commit 2 applied, reads safe, halt none
why: At commit 2 the key has the 5 bytes that commit 2 wrote.
  holds P5-I8
  holds P5-I11
  holds R-AUTHORITY
  holds P5-I10
  holds P5-I4
  holds P5-I12
  holds M-FLOOR
  holds READ-LEAST
  holds READ-HISTORY
";
    assert_eq!(printed(replica::run), wanted);
}

/// READ-LEAST.
#[test]
fn a_reader_finds_its_own_write_or_is_told_both_numbers() {
    let wanted = "\
commit 1 is written, and the replica has commit 1: red
commit 2 is written: read.behind: This node has not applied as much as the read asks for. [view=1, at_least=2, rule=READ-LEAST]
whoever does not ask for it reads what is proven: red
connected again, and waited for commit 2: green
";
    assert_eq!(printed(read_your_writes::run), wanted);
}
