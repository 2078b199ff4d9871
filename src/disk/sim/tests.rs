//! What the simulated disk promises: each variant of a crash with its exact outcomes, each fault at each call.
//!
//! That it agrees with the real disk where nothing fails is shown in `tests/disk_conformance.rs`.

use super::content::Page;
use super::crash::Dice;
use super::*;
use crate::disk::{SECTOR, read_file, replace_file};

const FILE: &str = "/f";

fn at(path: &str) -> &Path {
    Path::new(path)
}

/// A disk with one durable file of this content, open for writing.
fn disk_with(bytes: &[u8]) -> (SimDisk, Arc<dyn File>) {
    let disk = SimDisk::new();
    disk.overwrite(at(FILE), bytes);
    let file = disk.open(at(FILE), Access::Write).unwrap().unwrap();
    (disk, file)
}

fn after(disk: &SimDisk, variant: Crash, seed: u64) -> Option<Vec<u8>> {
    disk.image().crash(variant, seed).contents(at(FILE))
}

fn outcomes(disk: &SimDisk, variant: Crash) -> Vec<Option<Vec<u8>>> {
    let mut outcomes: Vec<_> = (0..300).map(|seed| after(disk, variant, seed)).collect();
    outcomes.sort();
    outcomes.dedup();
    outcomes
}

#[test]
fn what_was_synced_is_there_after_every_crash() {
    let disk = SimDisk::new();
    disk.create_dir(at("/d")).unwrap();
    let file = disk.create(at("/d/a")).unwrap();
    file.write_at(0, b"durable").unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(at("/d")).unwrap();
    disk.sync_dir(at("/")).unwrap();
    for variant in Crash::ALL {
        let crashed = disk.image().crash(variant, 1);
        assert_eq!(crashed.contents(at("/d/a")).as_deref(), Some(&b"durable"[..]), "{variant:?}");
    }
}

#[test]
fn unsynced_data_is_kept_dropped_or_zeroed_by_the_variant() {
    let (disk, file) = disk_with(&[1; 600]);
    file.write_at(0, &[2; 100]).unwrap();
    file.write_at(600, &[2; 600]).unwrap();
    let now = disk.contents(at(FILE));
    assert_eq!(after(&disk, Crash::Kept, 0), now);
    assert_eq!(after(&disk, Crash::NamesDropped, 0), now);
    assert_eq!(after(&disk, Crash::Dropped, 0), Some(vec![1; 600]));
    assert_eq!(after(&disk, Crash::NamesKept, 0), Some(vec![1; 600]));
    let zeroed = [vec![1; 600], vec![0; 600]].concat();
    assert_eq!(after(&disk, Crash::Zeroed, 0), Some(zeroed));
}

#[test]
fn a_torn_file_holds_a_prefix_of_the_changes_that_ends_at_a_sector() {
    let (disk, file) = disk_with(&[1; 100]);
    file.write_at(100, &[2; 1000]).unwrap();
    file.write_at(0, &[3; 10]).unwrap();
    let write = |len: usize| [vec![1; 100], vec![2; len]].concat();
    let mut last = write(1000);
    last[..10].fill(3);
    let mut expected = [write(0), write(412), write(924), write(1000), last].map(Some);
    expected.sort();
    assert_eq!(outcomes(&disk, Crash::Torn), expected);
}

#[test]
fn each_sector_is_old_or_new_on_its_own_and_so_is_the_length() {
    let (disk, file) = disk_with(&[1; 1024]);
    file.write_at(512, &[2; 1024]).unwrap();
    let sectors = |bytes: &[u8]| Some(bytes.iter().flat_map(|byte| [*byte; 512]).collect::<Vec<u8>>());
    let mut expected = [&[1, 1][..], &[1, 2], &[1, 1, 0], &[1, 1, 2], &[1, 2, 0], &[1, 2, 2]].map(sectors);
    expected.sort();
    assert_eq!(outcomes(&disk, Crash::Sectors), expected);
}

#[test]
fn a_cut_survives_with_the_length_or_not_at_all() {
    let (disk, file) = disk_with(&[1; 1024]);
    file.set_len(100).unwrap();
    file.set_len(600).unwrap();
    let cut = [vec![1; 100], vec![0; 500]].concat();
    assert_eq!(outcomes(&disk, Crash::Sectors), [Some(cut.clone()), Some(vec![1; 1024])]);
    assert_eq!(after(&disk, Crash::Zeroed, 0), Some(cut));
    assert_eq!(outcomes(&disk, Crash::Torn).len(), 3);
}

/// A-SECTOR, against a model that remembers every whole state since the last sync: each sector found after a crash is that
/// sector in one of the states.
#[test]
fn no_variant_ever_tears_a_sector() {
    for seed in 0..400 {
        println!("seed {seed}");
        let mut dice = Dice::new(seed, 0);
        let (disk, file) = disk_with(&[]);
        let mut states: Vec<Vec<u8>> = vec![Vec::new()];
        for step in 0..25_u8 {
            let mut bytes = states.last().cloned().unwrap_or_default();
            match dice.below(8) {
                0 => {
                    file.sync_data().unwrap();
                    states = vec![bytes];
                    continue;
                }
                1 => {
                    let len = dice.below(6000);
                    file.set_len(len).unwrap();
                    bytes.resize(len as usize, 0);
                }
                _ => {
                    let (offset, len) = (dice.below(4500) as usize, dice.below(1500) as usize + 1);
                    file.write_at(offset as u64, &vec![step + 1; len]).unwrap();
                    bytes.resize(bytes.len().max(offset + len), 0);
                    bytes[offset..offset + len].fill(step + 1);
                }
            }
            assert_eq!(disk.contents(at(FILE)).as_ref(), Some(&bytes));
            states.push(bytes);
            for variant in Crash::ALL {
                let found = after(&disk, variant, seed).unwrap();
                for start in (0..found.len()).step_by(SECTOR as usize) {
                    let end = found.len().min(start + SECTOR as usize);
                    let is_state = |state: &Vec<u8>| {
                        (start..end).all(|offset| found[offset] == state.get(offset).copied().unwrap_or(0))
                    };
                    assert!(states.iter().any(is_state), "{variant:?} seed {seed} step {step} sector at {start}");
                }
            }
        }
    }
}

#[test]
fn names_are_durable_by_sync_of_their_directory_only() {
    let disk = SimDisk::new();
    let file = disk.create(at(FILE)).unwrap();
    file.write_at(0, b"x").unwrap();
    file.sync_data().unwrap();
    let found = |variant| after(&disk, variant, 0);
    for variant in [Crash::Dropped, Crash::NamesDropped] {
        assert_eq!(found(variant), None, "{variant:?}");
    }
    for variant in [Crash::Kept, Crash::Zeroed, Crash::NamesKept] {
        assert_eq!(found(variant), Some(b"x".to_vec()), "{variant:?}");
    }
    assert_eq!(outcomes(&disk, Crash::Torn).len(), 2);
}

#[test]
fn a_name_can_survive_without_the_data() {
    let disk = SimDisk::new();
    disk.create(at(FILE)).unwrap().write_at(0, b"x").unwrap();
    disk.sync_dir(at("/")).unwrap();
    assert_eq!(after(&disk, Crash::NamesKept, 0), Some(Vec::new()));
    assert_eq!(after(&disk, Crash::Dropped, 0), Some(Vec::new()));
    assert_eq!(after(&disk, Crash::NamesDropped, 0), Some(b"x".to_vec()));
}

#[test]
fn a_removed_name_comes_back_unless_the_removal_was_synced() {
    let (disk, file) = disk_with(b"old");
    disk.remove(at(FILE)).unwrap();
    assert_eq!(disk.contents(at(FILE)), None);
    let mut buffer = [0; 3];
    assert_eq!(file.read_at(0, &mut buffer), Ok(3));
    assert_eq!(&buffer, b"old");
    assert_eq!(after(&disk, Crash::Dropped, 0), Some(b"old".to_vec()));
    disk.create(at(FILE)).unwrap();
    assert_eq!(after(&disk, Crash::NamesDropped, 0), Some(b"old".to_vec()));
    assert_eq!(after(&disk, Crash::Kept, 0), Some(Vec::new()));
    disk.sync_dir(at("/")).unwrap();
    assert_eq!(after(&disk, Crash::Dropped, 0), Some(Vec::new()));
    assert_eq!(file.read_at(0, &mut buffer), Ok(3), "an open file outlives every name");
}

#[test]
fn name_changes_survive_in_order_or_each_on_its_own() {
    let disk = SimDisk::new();
    for name in ["/1", "/2", "/3"] {
        disk.create(at(name)).unwrap();
    }
    disk.rename(at("/1"), at("/4")).unwrap();
    let outcomes = |variant| {
        let found = (0..200).map(|seed| disk.image().crash(variant, seed).paths());
        found.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
    let mut expected =
        [paths(&[]), paths(&["/1"]), paths(&["/1", "/2"]), paths(&["/1", "/2", "/3"]), paths(&["/2", "/3", "/4"])];
    expected.sort();
    assert_eq!(outcomes(Crash::Torn), expected);
    // The rename can survive the creation that it builds on, and leads to the file all the same: 2^4 choices, 12 outcomes.
    let unordered = outcomes(Crash::Sectors);
    assert_eq!(unordered.len(), 12);
    assert!(unordered.contains(&paths(&["/1", "/3"])) && unordered.contains(&paths(&["/4"])));
}

#[test]
fn a_rename_between_directories_is_durable_whole_once_either_is_synced() {
    for synced in ["/a", "/b"] {
        let disk = SimDisk::new();
        disk.overwrite(at("/b/other"), b"");
        disk.create_dir(at("/a")).unwrap();
        disk.sync_dir(at("/")).unwrap();
        disk.create(at("/a/x")).unwrap();
        disk.create(at("/a/y")).unwrap();
        disk.rename(at("/a/x"), at("/b/x")).unwrap();
        disk.create(at("/b/z")).unwrap();
        disk.sync_dir(at(synced)).unwrap();
        let paths = disk.image().crash(Crash::Dropped, 0).paths();
        let has = |path: &str| paths.iter().any(|found| found == at(path));
        assert!(has("/b/x") && has("/a/y") && !has("/a/x"), "{synced}: {paths:?}");
        assert_eq!(has("/b/z"), synced == "/b", "a later change of the other directory is its own");
    }
}

#[test]
fn replacing_a_file_leaves_the_old_or_the_new_one() {
    let (disk, _) = disk_with(b"old");
    disk.record_images(true);
    replace_file(&disk, at(FILE), b"new").unwrap();
    let images = disk.take_images();
    assert_eq!(images.len() as u64, disk.operations());
    for image in images {
        for variant in Crash::ALL {
            for seed in 0..20 {
                let crashed = image.crash(variant, seed);
                let found = read_file(&crashed, at(FILE), 10).unwrap();
                assert!(found == Some(b"old".to_vec()) || found == Some(b"new".to_vec()), "{variant:?}: {found:?}");
            }
        }
    }
    for variant in Crash::ALL {
        assert_eq!(after(&disk, variant, 0), Some(b"new".to_vec()), "{variant:?}");
    }
}

/// D-FSYNC
#[test]
fn what_a_failed_sync_lost_stays_readable_and_lost_until_written_again() {
    for fault in [Fault::Eio, Fault::NoSpace] {
        let (disk, file) = disk_with(&[1; 1024]);
        file.write_at(0, &[2; 1024]).unwrap();
        disk.fail_operation(disk.operations(), fault);
        let reason = if fault == Fault::NoSpace { Reason::DiskFull } else { Reason::DiskSyncFailed };
        assert_eq!(file.sync_data().unwrap_err().reason(), reason);
        file.write_at(1024, &[3; 10]).unwrap();
        file.sync_data().unwrap();
        assert_eq!(disk.contents(at(FILE)), Some([vec![2; 1024], vec![3; 10]].concat()));
        let lost = Some([vec![1; 1024], vec![3; 10]].concat());
        for variant in Crash::ALL {
            assert_eq!(after(&disk, variant, 0), lost, "{variant:?}");
        }
        let restarted = disk.image().restart();
        assert_eq!(restarted.contents(at(FILE)), disk.contents(at(FILE)));
        assert_eq!(after(&restarted, Crash::Kept, 0), lost, "the end of a process saves nothing");

        // One byte brings back the sector it stands in, as the cache holds it.
        file.write_at(700, &[4]).unwrap();
        file.sync_data().unwrap();
        let mut expected = [vec![1; 512], vec![2; 512], vec![3; 10]].concat();
        expected[700] = 4;
        assert_eq!(after(&disk, Crash::Dropped, 0), Some(expected));
    }
}

/// D-FSYNC
#[test]
fn a_failed_sync_can_drop_the_cache_or_write_a_part() {
    let (disk, file) = disk_with(&[1; 10]);
    file.write_at(0, &[2; 20]).unwrap();
    disk.fail_operation(disk.operations(), Fault::EioAndForget);
    assert_eq!(file.sync_data().unwrap_err().reason(), Reason::DiskSyncFailed);
    assert_eq!(disk.contents(at(FILE)), Some(vec![1; 10]));

    file.write_at(0, &[3; 5]).unwrap();
    file.write_at(5, &[4; 5]).unwrap();
    disk.fail_operation(disk.operations(), Fault::ShortWrite);
    assert_eq!(file.sync_data().unwrap_err().reason(), Reason::DiskSyncFailed);
    assert_eq!(disk.contents(at(FILE)), Some([[3; 5], [4; 5]].concat()));
    assert_eq!(after(&disk, Crash::Kept, 0), Some([[3; 5], [1; 5]].concat()));
}

#[test]
fn a_short_write_does_half_up_to_a_sector_or_a_word() {
    for (offset, len, done) in
        [(0, 2048, 1024), (0, 1200, 512), (100, 2000, 924), (0, 100, 48), (0, 1, 0), (512, 512, 0)]
    {
        let (disk, file) = disk_with(&[]);
        disk.fail_operation(0, Fault::ShortWrite);
        assert_eq!(file.write_at(offset, &vec![7; len]).unwrap_err().reason(), Reason::DiskWriteFailed);
        let expected = if done == 0 { Vec::new() } else { [vec![0; offset as usize], vec![7; done]].concat() };
        assert_eq!(disk.contents(at(FILE)), Some(expected), "{len} bytes at {offset}");
    }
}

#[test]
fn every_call_fails_by_its_number_with_the_reason_of_the_real_disk_and_does_nothing() {
    type Call = fn(&SimDisk, &dyn File) -> Result<()>;
    let calls: [(Call, Reason); 8] = [
        (|disk, _| disk.create(at("/new")).map(drop), Reason::DiskNameFailed),
        (|disk, _| disk.rename(at(FILE), at("/g")), Reason::DiskNameFailed),
        (|disk, _| disk.remove(at(FILE)), Reason::DiskNameFailed),
        (|disk, _| disk.create_dir(at("/d")), Reason::DiskNameFailed),
        (|disk, _| disk.sync_dir(at("/")), Reason::DiskSyncFailed),
        (|_, file| file.write_at(0, b"x"), Reason::DiskWriteFailed),
        (|_, file| file.set_len(9), Reason::DiskWriteFailed),
        (|disk, _| disk.lock(at("/lock")).map(drop), Reason::DiskNameFailed),
    ];
    for (index, (call, reason)) in calls.into_iter().enumerate() {
        for fault in [Fault::Eio, Fault::EioAndForget, Fault::NoSpace] {
            let (disk, file) = disk_with(b"old");
            disk.fail_operation(1, fault);
            file.sync_data().unwrap();
            let expected = if fault == Fault::NoSpace { Reason::DiskFull } else { reason };
            assert_eq!(call(&disk, &*file).unwrap_err().reason(), expected, "call {index}");
            assert_eq!(disk.operations(), 2, "call {index}");
            assert_eq!(disk.paths(), [at(FILE)], "call {index}");
            assert_eq!(disk.contents(at(FILE)), Some(b"old".to_vec()), "call {index}");
            call(&disk, &*file).unwrap();
        }
    }
}

#[test]
fn every_read_fails_by_its_number() {
    type Call = fn(&SimDisk, &dyn File) -> Result<()>;
    let calls: [(Call, Reason); 4] = [
        (|disk, _| disk.open(at(FILE), Access::Read).map(drop), Reason::DiskReadFailed),
        (|disk, _| disk.list(at("/")).map(drop), Reason::DiskNameFailed),
        (|_, file| file.read_at(0, &mut [0]).map(drop), Reason::DiskReadFailed),
        (|_, file| file.len().map(drop), Reason::DiskReadFailed),
    ];
    for (call, reason) in calls {
        for fault in Fault::ALL {
            let (disk, file) = disk_with(b"old");
            disk.fail_read(disk.reads(), fault);
            assert_eq!(call(&disk, &*file).unwrap_err().reason(), reason);
            call(&disk, &*file).unwrap();
            disk.fail_reads_from(disk.reads(), fault);
            call(&disk, &*file).unwrap_err();
            call(&disk, &*file).unwrap_err();
            disk.heal();
            call(&disk, &*file).unwrap();
            assert_eq!(disk.reads(), 6, "the one that opened the file, and five");
            assert_eq!(disk.operations(), 0);
        }
    }
}

#[test]
fn a_full_disk_stays_full_for_what_takes_space() {
    let (disk, file) = disk_with(b"old");
    disk.fail_operations_from(0, Fault::NoSpace);
    let full = Error::new(Reason::DiskFull);
    for _ in 0..2 {
        assert_eq!(file.write_at(0, b"x"), Err(full.clone()));
        assert_eq!(file.set_len(4), Err(full.clone()));
        assert_eq!(disk.create(at("/new")).map(drop), Err(full.clone()));
        assert_eq!(disk.create_dir(at("/d")), Err(full.clone()));
        file.sync_data().unwrap();
        file.set_len(3).unwrap();
        disk.create_dir(at("/")).unwrap();
        disk.sync_dir(at("/")).unwrap();
    }
    disk.remove(at(FILE)).unwrap();
    disk.heal();
    disk.create(at("/new")).unwrap();
}

#[test]
fn what_opens_a_file_needs_a_handle_and_gives_it_back() {
    let (disk, file) = disk_with(b"old");
    let exhausted = Error::new(Reason::DiskHandlesExhausted);
    disk.limit_handles(1);
    for path in [FILE, "/absent"] {
        assert_eq!(disk.open(at(path), Access::Read).map(drop), Err(exhausted.clone()));
        assert_eq!(disk.create(at(path)).map(drop), Err(exhausted.clone()));
        assert_eq!(disk.lock(at(path)).map(drop), Err(exhausted.clone()));
    }
    assert_eq!(disk.list(at("/")), Err(exhausted.clone()));
    assert_eq!(disk.sync_dir(at("/")), Err(exhausted));
    file.write_at(0, b"new").unwrap();
    file.sync_data().unwrap();
    disk.rename(at(FILE), at("/new")).unwrap();
    drop(file);
    let held = disk.open(at("/new"), Access::Read).unwrap();
    assert!(held.is_some());
    disk.heal();
    disk.sync_dir(at("/")).unwrap();
}

#[test]
fn a_failed_sync_of_a_directory_leaves_its_names_unsynced() {
    let disk = SimDisk::new();
    disk.create(at(FILE)).unwrap();
    disk.fail_operation(1, Fault::Eio);
    assert_eq!(disk.sync_dir(at("/")), Err(Error::new(Reason::DiskSyncFailed)));
    assert_eq!(after(&disk, Crash::Dropped, 0), None);
    disk.sync_dir(at("/")).unwrap();
    assert_eq!(after(&disk, Crash::Dropped, 0), Some(Vec::new()));
}

#[test]
fn a_lock_excludes_until_it_is_dropped_and_dies_with_the_process() {
    let disk = SimDisk::new();
    let guard = disk.lock(at("/lock")).unwrap();
    assert_eq!(disk.operations(), 1, "the file was created");
    assert_eq!(disk.lock(at("/lock")).map(drop), Err(Error::new(Reason::DirLocked)));
    let restarted = disk.image().restart();
    let again = restarted.lock(at("/lock")).unwrap();
    assert_eq!(restarted.operations(), 0, "it existed");
    drop(guard);
    assert_eq!(restarted.lock(at("/lock")).map(drop), Err(Error::new(Reason::DirLocked)));
    drop(again);
    drop(disk.lock(at("/lock")).unwrap());
    drop(disk.lock(at("/lock")).unwrap());
}

#[test]
fn the_end_of_a_process_loses_nothing_and_syncs_nothing() {
    let (disk, file) = disk_with(b"old");
    file.write_at(0, b"new").unwrap();
    disk.create(at("/g")).unwrap();
    let restarted = disk.image().restart();
    assert_eq!(restarted.contents(at(FILE)), Some(b"new".to_vec()));
    assert_eq!(after(&restarted, Crash::Dropped, 0), Some(b"old".to_vec()));
    assert_eq!(restarted.image().crash(Crash::Dropped, 0).paths(), [at(FILE)]);
    file.write_at(0, b"old handle").unwrap();
    assert_eq!(restarted.contents(at(FILE)), Some(b"new".to_vec()), "the old handle writes to the old disk");
}

#[test]
fn contents_and_names_set_from_outside_are_durable_and_no_calls() {
    let disk = SimDisk::new();
    disk.overwrite(at("/a/b/c"), b"1");
    disk.overwrite(at("/a/b/c"), [2, 3]);
    disk.create(at("/a/gone")).unwrap();
    disk.remove_now(at("/a/gone"));
    disk.overwrite(at("/a/old"), b"");
    disk.remove(at("/a/old")).unwrap();
    disk.remove_now(at("/a/old"));
    disk.remove_now(at("/never/was"));
    assert_eq!(disk.operations(), 2);
    assert_eq!(disk.reads(), 0);
    for variant in Crash::ALL {
        let crashed = disk.image().crash(variant, 0);
        assert_eq!(crashed.paths(), [at("/a/b/c")], "{variant:?}");
        assert_eq!(crashed.contents(at("/a/b/c")), Some(vec![2, 3]));
    }
}

#[test]
fn one_seed_gives_one_disk() {
    let (disk, file) = disk_with(&[1; 5000]);
    for step in 0..20 {
        file.write_at(step * 300, &[step as u8; 700]).unwrap();
        disk.create(&PathBuf::from(format!("/{step}"))).unwrap();
    }
    for variant in Crash::ALL {
        for seed in 0..50 {
            let (one, other) = (disk.image().crash(variant, seed), disk.image().crash(variant, seed));
            assert_eq!(one.contents(at(FILE)), other.contents(at(FILE)));
            assert_eq!(one.paths(), other.paths());
        }
        assert_eq!(outcomes(&disk, variant).len() > 1, variant.is_random(), "{variant:?}");
    }
}

#[test]
fn an_image_per_write_copies_pages_and_never_the_file() {
    let (disk, file) = disk_with(&vec![1; 1 << 20]);
    disk.record_images(true);
    let writes = 1000;
    for step in 0..writes {
        file.write_at(step * 1040, &[2; 8]).unwrap();
    }
    let images = disk.take_images();
    assert_eq!(images.len() as u64, writes);
    let pages: BTreeSet<*const Page> =
        images.iter().flat_map(|image| image.tree.files()).flat_map(|file| file.current().page_addresses()).collect();
    // A write of 8 bytes copies one page, or two where it crosses their border.
    assert!(pages.len() <= 256 + 2 * writes as usize, "{} pages", pages.len());
    let crashed = images[500].crash(Crash::Sectors, 1);
    let shared = crashed.image().tree.files().flat_map(|file| file.current().page_addresses()).collect::<BTreeSet<_>>();
    assert!(shared.intersection(&pages).count() >= 100, "a crash copies only what it changes");
}

#[test]
fn nodes_without_a_name_are_forgotten() {
    let disk = SimDisk::new();
    for _ in 0..10 {
        disk.create(at(FILE)).unwrap();
        disk.remove(at(FILE)).unwrap();
        disk.sync_dir(at("/")).unwrap();
    }
    assert_eq!(disk.image().tree.files().count(), 0);
}
