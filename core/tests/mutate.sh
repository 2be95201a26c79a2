#!/usr/bin/env bash
# Shows that the tests of the engine's laws can fail: breaks a copy of the engine in each of the ways
# that mutations.txt lists, and demands that the named test notices.
#
#   core/tests/mutate.sh [WORDS...]      only mutations whose test or description has one of them
#
# Fails if a mutation no longer applies, does not compile, or is not noticed. Some two minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."

root=$PWD
target=${CARGO_TARGET_DIR:-$root/target}/mutations
copy=$target/copy
export CARGO_TARGET_DIR=$target/build CARGO_PROFILE_DEV_DEBUG=0 CARGO_TERM_QUIET=true

fresh_copy() {
  rm -rf "$copy"
  mkdir -p "$copy"
  cp -r core clippy.toml ARCHITECTURE.md Cargo.lock "$copy"
  # The engine alone is a workspace here.
  awk '/^(default-)?members = \[/ { skip = 1; if (!/^default/) print "members = [\"core\"]" }
       !skip { print }
       /^\]/ { skip = 0 }' Cargo.toml >"$copy/Cargo.toml"
}

# replace FILE OLD NEW: the one line that is OLD, spaces around it aside.
replace() {
  OLD=$2 NEW=$3 awk '
    { line = $0; gsub(/^[ \t]+|[ \t]+$/, "", line) }
    line == ENVIRON["OLD"] { print ENVIRON["NEW"]; found++; next }
    { print }
    END { if (found != 1) { printf "the line is there %d times\n", found > "/dev/stderr"; exit 1 } }
  ' "$1" >"$1.new" && mv "$1.new" "$1"
}

# laws BINARY [FILTER]: whether a test passes; a mutation that hangs is noticed, too.
passes() {
  (cd "$copy" && timeout 120 cargo test --package khashmir --test "$@" >"$target/log" 2>&1)
}

builds() {
  (cd "$copy" && cargo test --package khashmir --test "$1" --no-run >"$target/log" 2>&1)
}

fail() {
  echo "FAILED: $1" >&2
  [ -z "${2-}" ] || tail -n 30 "$2" >&2
  exit 1
}

selected() {
  [ ${#words[@]} = 0 ] && return
  local word
  for word in "${words[@]}"; do
    [[ "$test $breaks" == *"$word"* ]] && return
  done
  return 1
}

words=("$@")
mkdir -p "$target"
fresh_copy
for test in laws law_6_no_allocation tidy; do
  # Built first: it is the test that has so much time.
  builds "$test" && passes "$test" || fail "$test does not even pass on the engine as it is" "$target/log"
done

noticed=0
mutate() {
  selected || return 0
  local binary=${test%% *}
  replace "$copy/core/$file" "$old" "$new" || fail "this mutation no longer applies: $breaks ($file)"
  builds "$binary" || fail "this mutation does not compile: $breaks" "$target/log"
  # Unquoted: a binary, and perhaps a filter.
  if passes $test; then
    fail "nobody noticed: $breaks ($test)"
  fi
  cp "core/$file" "$copy/core/$file"
  noticed=$((noticed + 1))
  echo "noticed by $test: $breaks"
}

test='' breaks='' file='' old=''
while IFS= read -r line; do
  case $line in
    'test: '*) test=${line#test: } ;;
    'breaks: '*) breaks=${line#breaks: } ;;
    'file: '*) file=${line#file: } ;;
    '- '*) old=${line#- } ;;
    '+' | '+ '*)
      new=${line#+}
      new=${new# }
      mutate
      ;;
    '' | '#'*) ;;
    *) fail "mutations.txt: what is this? $line" ;;
  esac
done < <(cat core/tests/mutations.txt)

[ "$noticed" -gt 0 ] || fail "no mutation is called ${words[*]}"
echo "== $noticed mutations, all noticed, in $SECONDS s"
