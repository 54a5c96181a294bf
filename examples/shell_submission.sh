#!/usr/bin/env bash
# Renders frames with the command `jobqueue` alone, without a line of Python of one's own.
#
#   examples/shell_submission.sh QUEUE OUT        and anywhere else, any number of times:   runjobs QUEUE
set -euo pipefail

export JOBQUEUE_QUEUE=$1 # all commands below find the queue here
mkdir -p "$2"
out=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)

[ -e "$JOBQUEUE_QUEUE/queue.cfg" ] || jobqueue create "$JOBQUEUE_QUEUE"

# Eight frames in pieces of three: a sub-job for frames 1 to 3, for 4 to 6, and for 7 and 8.
job=$(
  jobqueue submit --label 'eight frames' --frames 1-8 --chunk 3 --timeout 600 --max-attempts 2 -- \
    "${PYTHON:-python3}" "$here/raytrace.py" --frames '{start}-{end}' --total 8 --size 160x90 --out "$out"
)
jobqueue tree "$job"

# Ends with 1 if a job has failed, and says which; `jobqueue log` then shows what it has printed.
jobqueue wait "$job"
jobqueue show "$job"
