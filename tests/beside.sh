#!/usr/bin/env bash
# Runs a command while another one runs, and shows what it has said when that one has ended; fails if one of them has.
#
#     tests/beside.sh 'COMMAND IN THE BACKGROUND' 'COMMAND'
#
# Job control is on, since a shell without it has what it starts in the background ignore SIGINT, which tests rely on.
set -um
said=$(mktemp)
trap 'kill -- -$aside 2>/dev/null; rm -f "$said"' EXIT
trap 'exit 130' INT TERM HUP
bash -c "$1" >"$said" 2>&1 </dev/null &
aside=$!
bash -c "$2"
first=$?
wait "$aside"
second=$?
echo "== beside it: $1"
cat "$said"
exit $((first ? first : second))
