//! FMT-RUN: the bytes of a run are those of `docs/formats.md`, put together here by hand.
//!
//! Nothing of the writer is used: who changes the format must change this file, and the document.

use super::*;

#[test]
fn fmt_run_the_bytes_are_those_of_the_document() {
    let world = World::new();
    let rows = sorted(vec![
        (b"a".to_vec(), 2, None),
        (b"a".to_vec(), 1, Some(b"v".to_vec())),
        (b"bc".to_vec(), 3, Some(vec![9; 300])),
        (b"d".to_vec(), 4, Some(Vec::new())),
    ]);
    let info = world.write(&rows);

    let mut one = Vec::new();
    one.extend([1, 0, 2, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, b'a']);
    one.extend([1, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, b'a', b'v']);
    one.extend([0, 0, 0, 0, 17, 0, 0, 0, 2, 0, 0, 0]);
    // Larger than a block alone: in one of its own.
    let mut two = vec![2, 0, 1, 0, 44, 1, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, b'b', b'c'];
    two.extend([9; 300]);
    two.extend([0, 0, 0, 0, 1, 0, 0, 0]);
    let mut three = vec![1, 0, 1, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, b'd'];
    three.extend([0, 0, 0, 0, 1, 0, 0, 0]);

    let index_entry = |offset: usize, block: &[u8], commit: u64, key: &[u8]| {
        let mut entry = (offset as u64).to_le_bytes().to_vec();
        entry.extend((block.len() as u32).to_le_bytes());
        entry.extend(crc32c::crc32c(block).to_le_bytes());
        entry.extend(commit.to_le_bytes());
        entry.extend((key.len() as u16).to_le_bytes());
        entry.extend(key);
        entry
    };
    let mut partition = vec![0; 64];
    for key in [&b"a"[..], b"bc", b"d"] {
        let hash = xxhash_rust::xxh3::xxh3_64(key);
        for i in 0..6 {
            let bit = ((hash & 0xffff) + i * ((hash >> 16) & 0xffff | 1)) % 512;
            partition[bit as usize / 8] |= 1 << (bit % 8);
        }
    }
    partition.extend(index_entry(0, &one, 1, b"a"));
    partition.extend(index_entry(one.len(), &two, 3, b"bc"));
    partition.extend(index_entry(one.len() + two.len(), &three, 4, b"d"));
    partition.extend([64, 0, 0, 0, 64 + 27, 0, 0, 0, 64 + 27 + 28, 0, 0, 0]);
    partition.extend([64, 0, 0, 0, 3, 0, 0, 0]);

    let mut file = [one, two, three].concat();
    let mut top = index_entry(file.len(), &partition, 4, b"d");
    top.extend([0, 0, 0, 0]);
    top.extend([0, 0, 0, 0, 1, 0, 0, 0]);
    file.extend(&partition);

    let mut footer = b"AERORUNF".to_vec();
    footer.extend([1, 0, 0, 0, 3, 0, 0, 0]);
    footer.extend([7; 16]);
    for number in [1, 4, 1, 4, 3, file.len() as u64] {
        footer.extend(number.to_le_bytes());
    }
    footer.extend((top.len() as u32).to_le_bytes());
    footer.extend(crc32c::crc32c(&top).to_le_bytes());
    footer.resize(252, 0);
    footer.extend(crc32c::crc32c(&footer).to_le_bytes());
    file.extend(top);
    file.extend(footer);

    assert_eq!(world.bytes(info), file);
    assert_eq!(all(&world.open(info).unwrap()).unwrap(), rows);
}
