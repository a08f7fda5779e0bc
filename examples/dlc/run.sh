#!/usr/bin/env bash
# Runs an experiment of this folder against a simulated PAI-DLC: no account, no network, nothing left running.
#
#     examples/dlc/run.sh [experiment.yaml | pai.yaml] [OPTIONS OF `retrial run`]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
file=experiment.yaml
case ${1-} in *.yaml) file=$1 && shift ;; esac

manifest=$here/../../Cargo.toml
cargo build --quiet --release --manifest-path "$manifest" -p retrial -p digits-trainer
target=$(cargo metadata --no-deps --format-version 1 --manifest-path "$manifest" |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
# The simulator runs jobs with this path, so that they find the trainer as they would in their image.
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

# It takes a free port and keys of its own.
retrial simulate dlc --run --json --env-file "$scratch/keys" >"$scratch/said" &
simulator=$!
until address=$(grep -o '"endpoint":"http://[0-9.:]*' "$scratch/said"); do
    kill -0 "$simulator" || exit 1
    sleep 0.1
done
address=${address##*/}
. "$scratch/keys"
sed "s/127\.0\.0\.1:7341/$address/" "$here/$file" >"$scratch/$file"

# Jobs that end within seconds are looked at more often than those of hours. Another port makes another experiment.
RETRIAL_POLL_SECONDS=${RETRIAL_POLL_SECONDS:-0.2} retrial run "$scratch/$file" --new "$@" &
run=$!
wait "$run"
run=''
