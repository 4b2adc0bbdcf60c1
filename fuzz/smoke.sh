#!/bin/sh
# Builds the fuzz targets, runs each for some seconds (fuzz/smoke.sh [SECONDS], 10 unless said), and checks that the canary
# crashes. Needs a nightly compiler and `cargo install cargo-fuzz`. A longer run of one target:
#
#     cargo +nightly fuzz run ops -- -max_total_time=600 -use_value_profile=1
set -eu
cd "$(dirname "$0")/.."
seconds="${1:-10}"

# Building takes longer than running here, and a minute less without full optimization. A longer run has it.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_DEBUG=0

cargo +nightly fuzz build
for target in ops number bodies sip fleet; do
    cargo +nightly fuzz run "$target" -- -max_total_time="$seconds" -use_value_profile=1
done

# A corpus that a crash has cut short is of no use to the next run, so the canary keeps none.
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
if cargo +nightly fuzz run canary "$scratch" -- -max_total_time=60 -artifact_prefix="$scratch/" >"$scratch/log" 2>&1; then
    echo "the canary did not crash: the fuzz targets prove nothing" >&2
    exit 1
fi
if ! grep -q 'panicked at' "$scratch/log"; then
    cat "$scratch/log" >&2
    echo "the canary failed, but not by being found out" >&2
    exit 1
fi
echo "the canary was found out"
