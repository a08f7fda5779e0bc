#!/usr/bin/env bash
# Runs an experiment of this folder against a simulated MaxCompute: no account, no network, nothing left running.
#
#     examples/maxcompute/run.sh [kmeans.yaml | ps_smart.yaml | pai.yaml] [OPTIONS OF `retrial run`]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
file=kmeans.yaml
case ${1-} in *.yaml) file=$1 && shift ;; esac

manifest=$here/../../Cargo.toml
cargo build --quiet --release --manifest-path "$manifest" -p retrial
target=$(cargo metadata --no-deps --format-version 1 --manifest-path "$manifest" |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
export PATH=$target/release:$PATH

scratch=$(mktemp -d)
simulator='' run=''
clean() {
    for process in $run $simulator; do
        kill "$process" 2>/dev/null && wait "$process" || true
    done
    rm -rf "$scratch"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The penguins whose sex is known; every third is kept for the evaluation.
penguins() {
    awk -F, -v OFS=, -v which="$1" '
        NR == 1 { print $3, $4, $5, $6, "male"; next }
        $7 != "male" && $7 != "female" { next }
        (++count % 3 == 0) == (which == "test") { print $3, $4, $5, $6, ($7 == "male") }
    ' "$here/../penguins/penguins.csv" >"$scratch/$1.csv"
}
penguins train
penguins test

# It takes a free port and keys of its own. Instances that take half a second are enough to look at.
echo '{"life": {"waiting_ms": 100, "running_ms": 400}}' >"$scratch/script.json"
: >"$scratch/said"
retrial simulate maxcompute --json --env-file "$scratch/keys" --script "$scratch/script.json" \
    --data "$here/points.csv=points" --data "$scratch/train.csv=penguin_train" --data "$scratch/test.csv=penguin_test" \
    >"$scratch/said" &
simulator=$!
until address=$(grep -o '"endpoint":"http://[0-9.:]*' "$scratch/said"); do
    kill -0 "$simulator" || exit 1
    sleep 0.1
done
address=${address##*/}
. "$scratch/keys"
sed "s/127\.0\.0\.1:7342/$address/" "$here/$file" >"$scratch/$file"

# Instances that end within a second are looked at more often than those of hours, and nobody else
# calls this service. Another port makes another experiment.
export RETRIAL_POLL_SECONDS=${RETRIAL_POLL_SECONDS:-0.2} RETRIAL_CALLS_PER_SECOND=${RETRIAL_CALLS_PER_SECOND:-100}
retrial run "$scratch/$file" --new "$@" &
run=$!
wait "$run"
run=''
