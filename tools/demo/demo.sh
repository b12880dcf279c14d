#!/usr/bin/env bash
# Shows what Once is for, with real commands, real kills and a check of every claim. A claim that is
# untrue ends it with a message and exit code 1.
#
#   tools/demo/demo.sh BUILD_DIR      (./dev demo builds first)
set -euo pipefail

build=$(cd "${1:?usage: demo.sh BUILD_DIR}" && pwd)
PATH="$build:$PATH"
transfer="$build/tools/demo/once-demo-transfer"
work=$(mktemp -d "${TMPDIR:-/tmp}/once-demo.XXXXXX")
pids=()

clean_up() {
  for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap clean_up EXIT
cd "$work"

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' green=$'\e[32m' dim=$'\e[2m' plain=$'\e[0m'
else
  bold='' green='' dim='' plain=''
fi

title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
tell() { printf '%s\n' "$*"; }
show() { printf '  %s$ %s%s\n' "$dim" "$*" "$plain"; }
# check CLAIM COMMAND...: the claim is true when the command succeeds.
check() {
  local claim=$1
  shift
  if ! "$@"; then
    printf '\nThis is NOT true: %s\n  (%s)\n' "$claim" "$*" >&2
    exit 1
  fi
  printf '  %sok%s  %s\n' "$green" "$plain" "$claim"
}
lines() { if [ -e "$1" ]; then wc -l <"$1"; else echo 0; fi; }
# Waits until a file has at least so many lines, for as long as a process lives.
await_lines() {
  local file=$1 want=$2 pid=$3
  until [ "$(lines "$file")" -ge "$want" ]; do
    kill -0 "$pid" 2>/dev/null || { echo "process $pid ended early" >&2; exit 1; }
    read -r -t 0.01 <>"$work/nothing" || true
  done
}
# Kills a process as the kernel would when memory runs out: no handler, no tidying up.
kill_hard() {
  kill -9 "$1"
  wait "$1" 2>/dev/null || true
}
# Runs a command and keeps its exit code in $code.
exit_code_of() {
  code=0
  "$@" || code=$?
}
mkfifo nothing

# What is to happen once: each run adds a line to charges.txt, and is seen by everybody.
cat >charge.sh <<'CHARGE'
echo "charged order $1, attempt $ONCE_ATTEMPT" >>charges.txt
echo "receipt $RANDOM$RANDOM for order $1"
CHARGE
# The same, but it hangs in the middle the first time: the card is charged, the receipt is missing.
cat >hang.sh <<'HANG'
echo "charged order $1, attempt $ONCE_ATTEMPT" >>charges.txt
if [ "$ONCE_ATTEMPT" = 1 ]; then
  sleep 1000 &
  echo $! >>left.txt
  wait
fi
echo "receipt for order $1 on attempt $ONCE_ATTEMPT"
HANG

title "1. Twenty at once with the same key"
tell "Charging a card must happen once. Twenty processes ask for it at the same moment:"
show "once run shop.once --key order-42 -- bash charge.sh 42"
askers=()
for i in $(seq 20); do
  once run shop.once --key order-42 -- bash charge.sh 42 >"answer.$i" &
  askers+=($!)
done
for pid in "${askers[@]}"; do wait "$pid" || { echo "one of the twenty failed" >&2; exit 1; }; done
tell "  charges.txt: $(cat charges.txt)"
tell "  every answer: $(sort -u answer.*)"
check "the card was charged once" [ "$(lines charges.txt)" = 1 ]
check "all twenty were told the same receipt" [ "$(sort -u answer.* | wc -l)" = 1 ]
check "there are twenty answers" [ "$(cat answer.* | wc -l)" = 20 ]
exit_code_of once run shop.once --key order-42 -- bash charge.sh 43 2>mismatch.txt
tell "  asked for order 43 under the same key: $(cat mismatch.txt)"
check "a key does not answer a different question (exit code 65)" [ "$code" = 65 ]

title "2. Killed in the middle, and safe to run again"
tell "kill -9 hits the run after it began. This one is safe to repeat, and says so:"
show "once run shop.once --key order-43 --on-crash rerun -- bash hang.sh 43"
: >charges.txt
once run shop.once --key order-43 --on-crash rerun -- bash hang.sh 43 >/dev/null &
pids+=($!)
await_lines left.txt 1 $!
kill_hard $!
answer=$(once run shop.once --key order-43 --on-crash rerun -- bash hang.sh 43)
tell "  killed; asked again: $answer"
check "it ran again at once, not when its lease of five minutes was over" \
  [ "$answer" = "receipt for order 43 on attempt 2" ]
check "nothing of the killed run was left alive" bash -c '! kill -0 "$(tail -1 left.txt)" 2>/dev/null'

title "3. Killed in the middle, and not safe to run again"
tell "Without --on-crash rerun nobody runs it a second time until somebody has decided:"
show "once run shop.once --key order-44 -- bash hang.sh 44"
: >charges.txt
once run shop.once --key order-44 -- bash hang.sh 44 >/dev/null &
pids+=($!)
await_lines left.txt 2 $!
kill_hard $!
exit_code_of once run shop.once --key order-44 -- bash hang.sh 44 2>doubt.txt
sed 's/^/  /' doubt.txt
check "it is in doubt (exit code 70)" [ "$code" = 70 ]
check "the card was not charged again" [ "$(lines charges.txt)" = 1 ]
tell "The bank says that the money arrived, so this is decided as a success:"
show "echo 'receipt from the bank' | once resolve shop.once order-44 --as success --value -"
echo "receipt from the bank" | once resolve shop.once order-44 --as success --value - >/dev/null
answer=$(once run shop.once --key order-44 -- bash hang.sh 44)
tell "  asked again: $answer"
check "from now on everybody gets that answer" [ "$answer" = "receipt from the bank" ]
check "and still the card was charged once" [ "$(lines charges.txt)" = 1 ]

title "4. A program that is killed twenty times while it moves money"
tell "once-demo-transfer moves coins from alice to bob, one by one, inside the store"
tell "(tools/demo/transfer.cc). It is killed in the middle twenty times, and each time goes on with"
tell "the last transfer that it told of, not knowing whether that was done:"
show "once-demo-transfer bank.once FIRST"
last=1
for i in $(seq 20); do
  "$transfer" bank.once "$last" >"told.$i" &
  pids+=($!)
  await_lines "told.$i" $((RANDOM % 40 + 2)) $!
  kill_hard $!
  # A line that was cut off by the kill tells nothing.
  last=$(sed -n '$!p' "told.$i" | tail -1 | cut -d ' ' -f 1)
done
replays=$(cat told.* | grep -c replayed || true)
show "once-demo-transfer bank.once"
balances=$("$transfer" bank.once)
moved=$(once ls bank.once /transfer/ --status completed | wc -l)
tell "  $balances; $moved transfers are on record, $replays were asked for again and only replayed"
read -r _ _ _ has _ sum <<<"$balances"
check "no coin was made or lost" [ "$sum" = 1000000 ]
check "bob has one coin for each transfer, whatever was asked for twice" [ "$has" = "$moved" ]
check "no transfer that was told of is missing" [ "$moved" -ge "$last" ]
check "some were asked for twice" [ "$replays" -ge 19 ]
check "every checksum and every invariant holds" once verify bank.once

title "5. What the store knows"
show "once dump shop.once --table keys --format table"
once dump shop.once --table keys --format table
tell ""
tell "and who did what, in order:"
show "once log shop.once --key order-43"
once log shop.once --key order-43
check "the dump names all three orders" \
  bash -c '[ "$(once dump shop.once --table keys --format jsonl | grep -c order-)" = 3 ]'
check "every checksum and every invariant holds" once verify shop.once

tell ""
tell "${bold}All of this was true.${plain} Read on in README.md."
