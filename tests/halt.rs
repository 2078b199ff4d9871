//! Corruption that a reader meets in the middle (D-CORRUPT): the reader gets the rows before it and then the refusal, every time it
//! asks; the node halts, for everyone, with file, offset and both checksums as evidence.

mod world;

use aerodb::record::Purpose;
use aerodb::{Direction, Range, Reason};
use world::{batch, new_node};

#[test]
fn a_range_that_meets_a_corrupt_block_ends_there_and_halts_the_node() {
    for direction in [Direction::Forward, Direction::Backward] {
        let (disk, mut node) = new_node();
        for number in 0..40u8 {
            node.commit(batch(&vec![(vec![number], Some(vec![number; 60]))])).unwrap();
        }
        node.checkpoint(Purpose::Checkpoint).unwrap();
        node.maintain().unwrap();
        let run = disk.paths().into_iter().find(|path| path.extension().is_some_and(|end| end == "run")).unwrap();
        let mut bytes = disk.contents(&run).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        disk.overwrite(&run, bytes);

        let view = node.view(None).unwrap();
        let mut rows = view.range(Range { direction, ..Range::all(100) }).unwrap();
        let mut seen = 0;
        let refusal = loop {
            match rows.next_row() {
                Ok(Some((key, value))) => {
                    let number = if direction == Direction::Forward { seen } else { 39 - seen };
                    assert_eq!((key, value), (&[number][..], &[number; 60][..]));
                    seen += 1;
                }
                Ok(None) => panic!("the range ended after {seen} rows as if there were no more"),
                Err(error) => break error,
            }
        };
        assert!(seen > 0, "the damage lies behind the first rows");
        assert_eq!(refusal.reason(), Reason::StoreBlockCorrupt);
        for fact in ["file", "offset", "expected", "found"] {
            assert!(refusal.fact(fact).is_some(), "{refusal} names its {fact}");
        }
        assert_eq!(rows.next_row().unwrap_err(), refusal, "nothing is passed over");

        assert_eq!(node.store().halted(), Some(refusal.clone()));
        assert_eq!(node.view(None).err(), Some(refusal.clone()));
        assert_eq!(node.store().newest().look(&[0], |_| ()).unwrap_err(), refusal);
        let refused = node.commit(batch(&vec![(vec![1], None)])).unwrap_err();
        assert_eq!(refused.reason(), Reason::CommitStopped);
        assert!(refused.fact("failure").unwrap().contains(Reason::StoreBlockCorrupt.name()));
    }
}
