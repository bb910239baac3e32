/* SPDX-License-Identifier: MIT */
//! Rust's locks and arc-swap as subjects of cell_bench.c; see peers/rust.c.
//!
//! The loops are those of cell_cases.h, written once more so that each peer is
//! inlined in them as a Rust program has it.

use std::os::raw::{c_char, c_int, c_void};
use std::sync::Arc;

const PATTERN_BITS: u64 = 32768;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Value([u64; 8]);

const FIRST: Value = Value([1; 8]);

impl Value {
    #[inline(always)]
    fn bad(&self) -> u64 {
        let mut bad = (self.0[0] == 0) as u64;
        for i in 1..8 {
            bad |= self.0[i] ^ self.0[0];
        }
        bad
    }

    /// A write: all words change.
    #[inline(always)]
    fn step(&mut self) -> u64 {
        let bad = self.bad();
        self.0 = [self.0[0] + 1; 8];
        bad
    }
}

/// What peers/rust.c knows as struct rust_run.
#[repr(C)]
pub struct Run {
    bench: *mut c_void,
    take: extern "C" fn(*mut c_void) -> u64,
    bits: *const u64,
    phase: u64,
    sum: u64,
    writes: u64,
    bad: u64,
}

/// What peers/rust.c knows as struct rust_peer.
#[repr(C)]
pub struct Peer {
    name: *const c_char,
    loses_updates: c_int,
    open: extern "C" fn(),
    close: extern "C" fn() -> u64,
    one: extern "C" fn(&mut Run),
    write: extern "C" fn(&mut Run),
    mix: extern "C" fn(&mut Run),
}

unsafe impl Sync for Peer {}

/// $read(|value| ...) and $write(|value| ...) lend the value out; $set puts a
/// first one in, $get copies the last one out.
macro_rules! peer {
    ($name:ident, $text:expr, $loses:expr, $read:expr, $write:expr, $set:expr, $get:expr) => {
        mod $name {
            use super::*;

            pub extern "C" fn open() {
                $set(FIRST);
            }

            pub extern "C" fn close() -> u64 {
                let last: Value = $get();
                last.0[0]
            }

            pub extern "C" fn one(run: &mut Run) {
                let mut sum = 0;
                loop {
                    let n = (run.take)(run.bench);
                    if n == 0 {
                        break;
                    }
                    for _ in 0..n {
                        sum += $read(|v: &Value| v.0[0]);
                    }
                }
                run.sum = sum;
            }

            pub extern "C" fn write(run: &mut Run) {
                let mut bad = 0;
                loop {
                    let n = (run.take)(run.bench);
                    if n == 0 {
                        break;
                    }
                    for _ in 0..n {
                        bad |= $write(|v: &mut Value| v.step());
                    }
                    run.writes += n;
                }
                run.bad = bad;
            }

            pub extern "C" fn mix(run: &mut Run) {
                let (mut bad, mut writes, mut i) = (0, 0, run.phase);
                loop {
                    let n = (run.take)(run.bench);
                    if n == 0 {
                        break;
                    }
                    for _ in 0..n {
                        let at = i % PATTERN_BITS;
                        let word = unsafe { *run.bits.add((at / 64) as usize) };
                        if word >> (at % 64) & 1 != 0 {
                            bad |= $write(|v: &mut Value| v.step());
                            writes += 1;
                        } else {
                            bad |= $read(|v: &Value| v.bad());
                        }
                        i += 1;
                    }
                }
                run.writes = writes;
                run.bad = bad;
            }

            pub const PEER: Peer = Peer {
                name: concat!($text, "\0").as_ptr() as *const c_char,
                loses_updates: $loses,
                open,
                close,
                one,
                write,
                mix,
            };
        }
    };
}

static STD_MUTEX: std::sync::Mutex<Value> = std::sync::Mutex::new(FIRST);
static STD_RWLOCK: std::sync::RwLock<Value> = std::sync::RwLock::new(FIRST);
static PL_MUTEX: parking_lot::Mutex<Value> = parking_lot::const_mutex(FIRST);
static PL_RWLOCK: parking_lot::RwLock<Value> = parking_lot::const_rwlock(FIRST);
static ARC_SWAP: arc_swap::ArcSwapOption<Value> = arc_swap::ArcSwapOption::const_empty();

peer!(
    rust_mutex,
    "rust_mutex",
    0,
    |f: fn(&Value) -> u64| f(&STD_MUTEX.lock().unwrap()),
    |f: fn(&mut Value) -> u64| f(&mut STD_MUTEX.lock().unwrap()),
    |v| *STD_MUTEX.lock().unwrap() = v,
    || *STD_MUTEX.lock().unwrap()
);

peer!(
    rust_rwlock,
    "rust_rwlock",
    0,
    |f: fn(&Value) -> u64| f(&STD_RWLOCK.read().unwrap()),
    |f: fn(&mut Value) -> u64| f(&mut STD_RWLOCK.write().unwrap()),
    |v| *STD_RWLOCK.write().unwrap() = v,
    || *STD_RWLOCK.read().unwrap()
);

peer!(
    parking_lot_mutex,
    "parking_lot_mutex",
    0,
    |f: fn(&Value) -> u64| f(&PL_MUTEX.lock()),
    |f: fn(&mut Value) -> u64| f(&mut PL_MUTEX.lock()),
    |v| *PL_MUTEX.lock() = v,
    || *PL_MUTEX.lock()
);

peer!(
    parking_lot_rwlock,
    "parking_lot_rwlock",
    0,
    |f: fn(&Value) -> u64| f(&PL_RWLOCK.read()),
    |f: fn(&mut Value) -> u64| f(&mut PL_RWLOCK.write()),
    |v| *PL_RWLOCK.write() = v,
    || *PL_RWLOCK.read()
);

// As RCU's users write: a changed copy goes in, what others did is lost.
peer!(
    swap,
    "arc_swap",
    1,
    |f: fn(&Value) -> u64| f(ARC_SWAP.load().as_ref().unwrap()),
    |f: fn(&mut Value) -> u64| {
        let mut next = **ARC_SWAP.load().as_ref().unwrap();
        let bad = f(&mut next);
        ARC_SWAP.store(Some(Arc::new(next)));
        bad
    },
    |v| ARC_SWAP.store(Some(Arc::new(v))),
    || **ARC_SWAP.load().as_ref().unwrap()
);

static PEERS: [Peer; 5] = [
    rust_mutex::PEER,
    rust_rwlock::PEER,
    parking_lot_mutex::PEER,
    parking_lot_rwlock::PEER,
    swap::PEER,
];

#[no_mangle]
pub extern "C" fn own_bench_rust_peers(n: &mut usize) -> *const Peer {
    *n = PEERS.len();
    PEERS.as_ptr()
}
