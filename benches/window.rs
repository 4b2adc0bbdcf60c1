//! What keeps a processor from having more memory reads under way: `cargo bench --bench window`.
//!
//! A loop reads one word out of random cache lines, with 64 instructions more in each round that have nothing to do with it: some
//! that only take their place in the order of instructions, and some that each write a register. Where the latter are
//! slower, it is the registers that run out first while reads are waited for, and a lookup pays for each that it writes;
//! whole-number and vector registers run out separately. The history's lookups are built by what this shows.
//!
//! Then the least that a batch of 32 can take: lines, or neighbouring two of them, asked for before the first is read, and all
//! waited for before the next 32, with nothing else to do.

#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "counts far below 2^52")]
#![allow(unsafe_code)]

mod figures;

#[cfg(target_arch = "x86_64")]
mod window {
    use crate::figures::median;
    use std::arch::asm;
    use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
    use std::hint::black_box;
    use std::time::Instant;

    /// 256 MiB: far more than the caches that a core has for itself.
    const LINES: usize = 1 << 22;
    const ROUNDS: u64 = 7;
    const READS: u64 = 1 << 20;

    /// Nanoseconds a read, the median of the rounds, each of which `reads` so many and returns a sum.
    fn timed(reads: u64, round: impl Fn(u64) -> u64) -> f64 {
        let rounds: Vec<_> = (0..ROUNDS)
            .map(|number| {
                let start = Instant::now();
                black_box(round(number));
                start.elapsed().as_nanos() as f64 / reads as f64
            })
            .collect();
        median(&rounds)
    }

    /// A place among the lines, another for each round and read.
    fn place(lines: &[[u8; 64]], round: u64, read: u64) -> usize {
        let at = (read + (round << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let at = (at ^ at >> 29).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        (at >> 42) as usize % lines.len()
    }

    fn measure(lines: &[[u8; 64]], reads: u64, pad: impl Fn()) -> f64 {
        timed(reads, |round| {
            (0..reads).fold(0, |sum, read| {
                let at = place(lines, round, read);
                pad();
                sum + u64::from(lines[at][0])
            })
        })
    }

    /// Reads 32 lines at a time, or as many twos of neighbours.
    fn batches<const NEIGHBOURS: usize>(lines: &[[u8; 64]], reads: u64, ask: impl Fn(&[u8; 64])) -> f64 {
        timed(reads, |round| {
            (0..reads / 32).fold(0, |mut sum, batch| {
                let mut places = [0; 32];
                for (place_of, read) in places.iter_mut().zip(batch * 32..) {
                    *place_of = place(lines, round, read) / NEIGHBOURS * NEIGHBOURS;
                    lines[*place_of..][..NEIGHBOURS].iter().for_each(&ask);
                }
                for at in places {
                    sum += lines[at..][..NEIGHBOURS].iter().map(|line| u64::from(line[0])).sum::<u64>();
                }
                // SAFETY: SSE2 is part of every x86-64. It waits for all reads before it.
                unsafe { std::arch::x86_64::_mm_lfence() };
                sum
            })
        })
    }

    pub(crate) fn run(measuring: bool) {
        let (lines, reads) = if measuring { (LINES, READS) } else { (LINES >> 10, 1 << 10) };
        let mut memory = memmap2::MmapOptions::new().len(lines * 64).map_anon().expect("memory");
        // Only a hint, and only there on Linux.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        // A page that nobody wrote to is the system's page of zeros, which is always near.
        memory.fill(1);
        let lines = memory.as_chunks::<64>().0;
        println!("| in each round | ns a read |\n| --- | --- |");
        let say = |what: &str, took: f64| println!("| {what} | {took:.1} |");
        say("nothing more", measure(lines, reads, || ()));
        // SAFETY: here and below, instructions that do nothing, or write only registers that are said to be written.
        let nothing = || unsafe {
            asm!(".rept 64", "nop", ".endr", options(nomem, nostack, preserves_flags));
        };
        say("64 that write nothing", measure(lines, reads, nothing));
        // SAFETY: as above.
        let half = || unsafe {
            asm!(".rept 32", "nop", "mov eax, 1", ".endr", out("eax") _, options(nomem, nostack, preserves_flags));
        };
        say("32 that write nothing, 32 that write a register", measure(lines, reads, half));
        // SAFETY: as above.
        let all = || unsafe {
            asm!(".rept 64", "mov eax, 1", ".endr", out("eax") _, options(nomem, nostack, preserves_flags));
        };
        say("64 that write a register", measure(lines, reads, all));
        // SAFETY: as above.
        let flags = || unsafe {
            asm!(".rept 64", "cmp rsp, 77", ".endr", options(nomem, nostack));
        };
        say("64 that write the flags", measure(lines, reads, flags));
        // SAFETY: as above; SSE2 is part of every x86-64.
        let vectors = || unsafe {
            asm!(".rept 64", "paddq xmm1, xmm2", ".endr", out("xmm1") _, options(nomem, nostack, preserves_flags));
        };
        say("64 that write a vector", measure(lines, reads, vectors));
        // SAFETY: as above.
        let both = || unsafe {
            asm!(
                ".rept 32", "mov eax, 1", "paddq xmm1, xmm2", ".endr",
                out("eax") _, out("xmm1") _, options(nomem, nostack, preserves_flags)
            );
        };
        say("32 that write a register, 32 that write a vector", measure(lines, reads, both));

        println!("\n| in batches of 32, all waited for | ns a read |\n| --- | --- |");
        // SAFETY: here and below, a prefetch of any address is allowed.
        let first = |line: &[u8; 64]| unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
        // SAFETY: as above.
        let second = |line: &[u8; 64]| unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
        say("a line, into the first cache", batches::<1>(lines, reads, first));
        say("a line, into the second cache", batches::<1>(lines, reads, second));
        say("two neighbouring lines, into the first cache", batches::<2>(lines, reads, first));
        say("two neighbouring lines, into the second cache", batches::<2>(lines, reads, second));
    }
}

fn main() {
    // As criterion's benches: `cargo bench` says `--bench`, `cargo test --benches` does not.
    #[cfg(target_arch = "x86_64")]
    window::run(std::env::args().any(|argument| argument == "--bench"));
    #[cfg(not(target_arch = "x86_64"))]
    println!("only for x86-64");
}
