//! The product's queue and the models' twin behave alike.
//!
//! One thread: a random script of calls that can't block drives both, and every result is compared, with what each still holds.
//! Many threads: what can't be compared call by call is checked against the contract in `mod.rs`. Every seed is printed on
//! failure and replays alone through `script` or `crowd`.

use super::{Disconnected, TryRecv, TrySend, standard, twin};
use crate::sync::{Arc, spawn};
use std::collections::VecDeque;

/// A small generator of its own, so that a seed means the same for ever.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// What both queues are, so that one test body serves them.
trait Queue {
    type Sender<T: Send + 'static>: Outlet<T>;
    type Receiver<T: Send + 'static>: Inlet<T>;
    fn bounded<T: Send + 'static>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>);
}

trait Outlet<T>: Clone + Send + 'static {
    fn send(&self, item: T) -> Result<(), Disconnected<T>>;
    fn try_send(&self, item: T) -> Result<(), TrySend<T>>;
}

trait Inlet<T>: Send + 'static {
    fn recv(&self) -> Result<T, Disconnected>;
    fn try_recv(&self) -> Result<T, TryRecv>;
}

macro_rules! queue {
    ($name:ident, $module:ident) => {
        struct $name;

        impl Queue for $name {
            type Sender<T: Send + 'static> = $module::Sender<T>;
            type Receiver<T: Send + 'static> = $module::Receiver<T>;
            fn bounded<T: Send + 'static>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
                $module::bounded(capacity)
            }
        }

        impl<T: Send + 'static> Outlet<T> for $module::Sender<T> {
            fn send(&self, item: T) -> Result<(), Disconnected<T>> {
                self.send(item)
            }
            fn try_send(&self, item: T) -> Result<(), TrySend<T>> {
                self.try_send(item)
            }
        }

        impl<T: Send + 'static> Inlet<T> for $module::Receiver<T> {
            fn recv(&self) -> Result<T, Disconnected> {
                self.recv()
            }
            fn try_recv(&self) -> Result<T, TryRecv> {
                self.try_recv()
            }
        }
    };
}

queue!(Standard, standard);
queue!(Twin, twin);

/// What one call of a script did.
#[derive(Debug, PartialEq, Eq)]
enum Did {
    Sent(Result<(), Disconnected<u64>>),
    TriedToSend(Result<(), TrySend<u64>>),
    Received(Result<u64, Disconnected>),
    TriedToReceive(Result<u64, TryRecv>),
    SenderCloned,
    SenderGone,
    ReceiverGone,
}

/// An item whose life can be watched from outside: how many references remain says how many items do.
type Item = (u64, Arc<()>);

/// Drives one queue through the script of a seed. After each call stands how many items are alive.
fn script<Q: Queue>(seed: u64) -> Vec<(Did, usize)> {
    let mut random = Random(seed);
    let capacity = 1 + random.below(4) as usize;
    let alive = Arc::new(());
    let (sender, receiver) = Q::bounded::<Item>(capacity);
    let mut senders = VecDeque::from([sender]);
    let mut receiver = Some(receiver);
    let mut held = 0;
    let mut did = Vec::new();
    for number in 0..64 {
        let item = || (number, Arc::clone(&alive));
        let which = random.below(senders.len().max(1) as u64) as usize;
        let call = random.below(40);
        let done = match (call, senders.get(which), &receiver) {
            // A send blocks only while the queue is full and the receiver lives.
            (0..6, Some(sender), _) if held < capacity || receiver.is_none() => {
                Did::Sent(sender.send(item()).map_err(|Disconnected((number, _))| Disconnected(number)))
            }
            (6..16, Some(sender), _) => Did::TriedToSend(sender.try_send(item()).map_err(|refused| match refused {
                TrySend::Full((number, _)) => TrySend::Full(number),
                TrySend::Disconnected((number, _)) => TrySend::Disconnected(number),
            })),
            // A recv blocks only while the queue is empty and a sender lives.
            (16..22, _, Some(receiver)) if held > 0 || senders.is_empty() => {
                Did::Received(receiver.recv().map(|(number, _)| number))
            }
            (22..32, _, Some(receiver)) => Did::TriedToReceive(receiver.try_recv().map(|(number, _)| number)),
            (32..35, Some(sender), _) if senders.len() < 3 => {
                senders.push_back(sender.clone());
                Did::SenderCloned
            }
            (35..39, Some(_), _) => {
                senders.remove(which);
                Did::SenderGone
            }
            (39, _, Some(_)) if number > 16 => {
                receiver = None;
                Did::ReceiverGone
            }
            _ => continue,
        };
        held = match &done {
            Did::Sent(Ok(())) | Did::TriedToSend(Ok(())) => held + 1,
            Did::Received(Ok(_)) | Did::TriedToReceive(Ok(_)) => held - 1,
            Did::ReceiverGone => 0,
            Did::Sent(Err(_))
            | Did::TriedToSend(Err(_))
            | Did::Received(Err(_))
            | Did::TriedToReceive(Err(_))
            | Did::SenderCloned
            | Did::SenderGone => held,
        };
        did.push((done, Arc::strong_count(&alive) - 1));
        let (_, living) = did[did.len() - 1];
        assert_eq!(living, held, "seed {seed}, call {number}: the queue holds what was sent and not received");
    }
    did
}

#[test]
fn both_queues_answer_every_call_of_a_random_script_alike() {
    let mut seen = [0_u32; 11];
    for seed in 0..5_000 {
        let standard = script::<Standard>(seed);
        let twin = script::<Twin>(seed);
        assert_eq!(standard, twin, "seed {seed}");
        for (did, _) in standard {
            let kind = match did {
                Did::Sent(Ok(())) => 0,
                Did::Sent(Err(_)) => 1,
                Did::TriedToSend(Ok(())) => 2,
                Did::TriedToSend(Err(TrySend::Full(_))) => 3,
                Did::TriedToSend(Err(TrySend::Disconnected(_))) => 4,
                Did::Received(Ok(_)) => 5,
                Did::Received(Err(_)) => 6,
                Did::TriedToReceive(Ok(_)) => 7,
                Did::TriedToReceive(Err(TryRecv::Empty)) => 8,
                Did::TriedToReceive(Err(TryRecv::Disconnected)) => 9,
                Did::SenderCloned | Did::SenderGone | Did::ReceiverGone => 10,
            };
            seen[kind] += 1;
        }
    }
    assert!(seen.iter().all(|times| *times > 100), "the scripts reach every kind of answer: {seen:?}");
}

/// Some senders, on threads of their own, and one receiver, here.
fn crowd<Q: Queue>(seed: u64) {
    const ITEMS: u64 = 500;
    let mut random = Random(seed);
    let capacity = 1 + random.below(4) as usize;
    let senders = 1 + random.below(4);
    let (sender, receiver) = Q::bounded::<(u64, u64)>(capacity);
    let threads: Vec<_> = (0..senders)
        .map(|name| {
            let sender = sender.clone();
            let mut random = Random(random.below(u64::MAX));
            spawn("sender", move || {
                for number in 0..ITEMS {
                    let item = (name, number);
                    let item = if random.below(2) == 0 { sender.try_send(item) } else { Err(TrySend::Full(item)) };
                    match item {
                        Ok(()) => {}
                        Err(TrySend::Full(item)) => sender.send(item).expect("the receiver lives"),
                        Err(TrySend::Disconnected(_)) => panic!("the receiver lives"),
                    }
                }
            })
            .expect("a thread")
        })
        .collect();
    drop(sender);
    let mut next = vec![0; senders as usize];
    loop {
        let item = if random.below(2) == 0 { receiver.try_recv() } else { Err(TryRecv::Empty) };
        let (name, number) = match item {
            Ok(item) => item,
            Err(TryRecv::Disconnected) => break,
            Err(TryRecv::Empty) => match receiver.recv() {
                Ok(item) => item,
                Err(Disconnected(())) => break,
            },
        };
        let expected = &mut next[name as usize];
        assert_eq!(number, *expected, "seed {seed}: sender {name} is first in, first out, without gaps");
        *expected += 1;
    }
    assert!(next.iter().all(|received| *received == ITEMS), "seed {seed}: all arrived: {next:?}");
    for thread in threads {
        thread.join().expect("a sender that held its assertions");
    }
}

#[test]
fn under_many_threads_the_product_queue_loses_and_doubles_nothing_and_keeps_each_senders_order() {
    (0..100).for_each(crowd::<Standard>);
}

#[test]
fn under_many_threads_the_twin_loses_and_doubles_nothing_and_keeps_each_senders_order() {
    (0..100).for_each(crowd::<Twin>);
}

/// Senders that wait while the receiver goes: each gets its item back, and nothing that was sent stays alive.
fn departure<Q: Queue>(seed: u64) {
    let mut random = Random(seed);
    let alive = Arc::new(());
    let (sender, receiver) = Q::bounded::<Arc<()>>(1 + random.below(2) as usize);
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let sender = sender.clone();
            let item = Arc::clone(&alive);
            let send = move || while sender.send(Arc::clone(&item)).is_ok() {};
            spawn("sender", send).expect("a thread")
        })
        .collect();
    for _ in 0..random.below(8) {
        receiver.recv().expect("the senders live");
    }
    drop(receiver);
    for thread in threads {
        thread.join().expect("a sender that held its assertions");
    }
    assert_eq!(Arc::strong_count(&alive), 1, "seed {seed}: items stayed behind, though a sender lives");
    assert!(sender.send(alive).is_err());
}

#[test]
fn when_the_product_queues_receiver_goes_all_senders_wake_and_nothing_stays_behind() {
    (0..1_000).for_each(departure::<Standard>);
}

#[test]
fn when_the_twins_receiver_goes_all_senders_wake_and_nothing_stays_behind() {
    (0..1_000).for_each(departure::<Twin>);
}
