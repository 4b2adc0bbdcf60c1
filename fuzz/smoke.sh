#!/usr/bin/env bash
# Builds the fuzz targets, runs each for some seconds, and checks that the canary crashes:
#   fuzz/smoke.sh [--build | SECONDS]    --build only builds; 10 seconds unless said
# Needs a nightly compiler and `cargo install cargo-fuzz`. A longer run of one target:
#
#     cargo +nightly fuzz run ops -- -max_total_time=600 -use_value_profile=1
set -euo pipefail
cd "$(dirname "$0")/.."
seconds="${1:-10}"
# Building takes longer than running here, and a minute less without full optimization. A longer run has it. Several
# units of code let one crate be compiled on several processors.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=1
cargo +nightly fuzz build --codegen-units 16
[ "$seconds" = --build ] && exit

fuzz() { cargo +nightly fuzz run --codegen-units 16 "$@"; }
smoke() {
    local said
    said="$(fuzz "$1" -- -max_total_time="$seconds" -use_value_profile=1 2>&1)" || { echo "$said" >&2; return 1; }
    echo "$1: $(grep -E "^Done [0-9]+ runs" <<<"$said")"
}
export seconds
export -f fuzz smoke
# xargs fails if one of its commands does.
printf '%s\n' ops number bodies sip fleet |
    xargs -P "$(getconf _NPROCESSORS_ONLN)" -I {} bash -c 'smoke "$1"' smoke {}

# A corpus that a crash has cut short is of no use to the next run, so the canary keeps none.
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
if fuzz canary "$scratch" -- -max_total_time=60 -artifact_prefix="$scratch/" >"$scratch/log" 2>&1; then
    echo "the canary did not crash: the fuzz targets prove nothing" >&2
    exit 1
fi
if ! grep -q 'panicked at' "$scratch/log"; then
    cat "$scratch/log" >&2
    echo "the canary failed, but not by being found out" >&2
    exit 1
fi
echo "the canary was found out"
