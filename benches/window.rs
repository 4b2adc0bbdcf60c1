//! Measures what limits the number of memory reads that a processor has in flight: `cargo bench --bench window`.
//!
//! A loop reads one word from random cache lines. Each round has 64 additional unrelated instructions: some only
//! occupy a place in the reorder buffer, others also write a register. If the latter are slower, registers run out
//! first while reads are pending, and each register that a lookup writes has a cost. General-purpose and vector
//! registers run out separately. The history's lookups are designed by these results.
//!
//! The second part measures the minimum for a batch of 32: single lines, or pairs of neighbouring lines, are
//! requested before the first is read. All are awaited before the next 32, with no other work.

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

    /// 256 MiB, far more than the private caches of a core.
    const LINES: usize = 1 << 22;
    const ROUNDS: u64 = 7;
    const READS: u64 = 1 << 20;

    /// Returns the nanoseconds a read, the median of the rounds. Each round does `reads` reads and returns a sum.
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

    /// Returns a line index that differs for each round and read.
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

    /// Reads 32 lines at a time, or 32 pairs of neighbours.
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
                // SAFETY: SSE2 is part of each x86-64 processor. The fence waits for all earlier reads.
                unsafe { std::arch::x86_64::_mm_lfence() };
                sum
            })
        })
    }

    pub(crate) fn run(measuring: bool) {
        let (lines, reads) = if measuring { (LINES, READS) } else { (LINES >> 10, 1 << 10) };
        let mut memory = memmap2::MmapOptions::new().len(lines * 64).map_anon().expect("memory");
        // This is only a hint, and exists on Linux only.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        // A page that was never written maps to the system's zero page, which is always cached.
        memory.fill(1);
        let lines = memory.as_chunks::<64>().0;
        println!("| in each round | ns a read |\n| --- | --- |");
        let say = |what: &str, took: f64| println!("| {what} | {took:.1} |");
        say("nothing more", measure(lines, reads, || ()));
        // SAFETY: these instructions do nothing, or write only registers that are declared as written. This holds for
        // all `asm!` blocks of this function.
        let nothing = || unsafe {
            asm!(".rept 64", "nop", ".endr", options(nomem, nostack, preserves_flags));
        };
        say("64 that write nothing", measure(lines, reads, nothing));
        // SAFETY: the instruction is one of those described above.
        let half = || unsafe {
            asm!(".rept 32", "nop", "mov eax, 1", ".endr", out("eax") _, options(nomem, nostack, preserves_flags));
        };
        say("32 that write nothing, 32 that write a register", measure(lines, reads, half));
        // SAFETY: the instruction is one of those described above.
        let all = || unsafe {
            asm!(".rept 64", "mov eax, 1", ".endr", out("eax") _, options(nomem, nostack, preserves_flags));
        };
        say("64 that write a register", measure(lines, reads, all));
        // SAFETY: the instruction is one of those described above.
        let flags = || unsafe {
            asm!(".rept 64", "cmp rsp, 77", ".endr", options(nomem, nostack));
        };
        say("64 that write the flags", measure(lines, reads, flags));
        // SAFETY: the instruction is one of those described above; SSE2 is part of each x86-64 processor.
        let vectors = || unsafe {
            asm!(".rept 64", "paddq xmm1, xmm2", ".endr", out("xmm1") _, options(nomem, nostack, preserves_flags));
        };
        say("64 that write a vector", measure(lines, reads, vectors));
        // SAFETY: the instruction is one of those described above.
        let both = || unsafe {
            asm!(
                ".rept 32", "mov eax, 1", "paddq xmm1, xmm2", ".endr",
                out("eax") _, out("xmm1") _, options(nomem, nostack, preserves_flags)
            );
        };
        say("32 that write a register, 32 that write a vector", measure(lines, reads, both));

        println!("\n| in batches of 32, all waited for | ns a read |\n| --- | --- |");
        // SAFETY: a prefetch is allowed at any address.
        let first = |line: &[u8; 64]| unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
        // SAFETY: a prefetch is allowed at any address.
        let second = |line: &[u8; 64]| unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
        say("a line, into the first cache", batches::<1>(lines, reads, first));
        say("a line, into the second cache", batches::<1>(lines, reads, second));
        say("two neighbouring lines, into the first cache", batches::<2>(lines, reads, first));
        say("two neighbouring lines, into the second cache", batches::<2>(lines, reads, second));
    }
}

fn main() {
    // `cargo bench` passes `--bench`, as for criterion's benches; `cargo test --benches` does not.
    #[cfg(target_arch = "x86_64")]
    window::run(std::env::args().any(|argument| argument == "--bench"));
    #[cfg(not(target_arch = "x86_64"))]
    println!("only for x86-64");
}
