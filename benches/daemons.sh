# What the measurements with real daemons share: sourced by them, with $work set to a directory of
# their own. Daemons and other servers started here end with the script.
# shellcheck shell=bash
pids=()
finish() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait; }
trap finish EXIT

build() { # packages' binaries: name of the package, its binaries
  local package=$1; shift
  cargo build --release --quiet -p "$package" "${@/#/--bin=}"
}
binary() { realpath "${CARGO_TARGET_DIR:-target}/release/$1"; }

# A daemon in $work/NAME: name, address of its own, further lines of [dht], and of [proxy].
start() {
  local dir=$work/$1
  mkdir -p "$dir"
  cat >"$dir/khashmir.toml" <<CONF
data_dir = "$dir/data"
[proxy]
listen = "127.0.0.1:0"
${4:-}
[peers]
listen = "$2:0"
[dht]
local_networks = ["127.0.0.0/8"]
uncounted_networks = ["127.0.0.0/8"]
${3:-}
CONF
  "$(binary khashmir)" --config "$dir/khashmir.toml" >"$dir/out" 2>"$dir/log" &
  pids+=($!); echo $! >"$dir/pid"
  for _ in $(seq 100); do grep -q ^listening: "$dir/out" && return; sleep 0.1; done
  echo "daemon $1 did not start:" >&2; cat "$dir/out" "$dir/log" >&2; exit 1
}
stop() { # a server by its name
  local pid; pid=$(cat "$work/$1/pid")
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}
proxy_of() { sed -n 's/^listening: proxy \([^,]*\),.*/\1/p' "$work/$1/out"; }
peers_of() { sed -n 's/^listening: .*peers \(.*\)/\1/p' "$work/$1/out"; }
status_of() { "$(binary khashmir)" --config "$work/$1/khashmir.toml" status --json; }
stat_of() { # one number of a daemon's status: name, key
  status_of "$1" | sed -n "s/.*\"$2\": *\([0-9]*\).*/\1/p" | head -1
}
wait_published() { # until a daemon has announced so many files: name, count
  local published
  for _ in $(seq 600); do
    published=$(stat_of "$1" publications)
    [ "${published:-0}" -ge "$2" ] && return; sleep 0.2
  done
  echo "daemon $1 has announced only ${published:-none} of $2 files" >&2
}

# Makes the directories of an apt that is nobody else's: its root.
apt_root() {
  local root=$1
  mkdir -p "$root"/{lists/partial,archives/partial,sources.d,preferences.d,conf.d}
  : >"$root/status"
  cat >"$root/apt.conf" <<CONF
Dir::State "$root"; Dir::State::lists "$root/lists"; Dir::State::status "$root/status";
Dir::Cache "$root"; Dir::Cache::archives "$root/archives";
Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "$root/sources.d";
Dir::Etc::parts "$root/conf.d"; Dir::Etc::preferencesparts "$root/preferences.d";
APT::Sandbox::User "$(id -un)"; Acquire::Check-Valid-Until "false"; Acquire::Languages "none";
CONF
}
# Runs something of apt's in a root.
in_root() { local root=$1; shift; APT_CONFIG=$root/apt.conf http_proxy='' "$@"; }

# Runs something, tells what it said if it failed, and sets $seconds to what it took.
timed() {
  local from to
  from=$(date +%s%N); "$@" >"$work/last.log" 2>&1 || { cat "$work/last.log" >&2; exit 1; }; to=$(date +%s%N)
  seconds=$(awk "BEGIN{printf \"%.3f\", ($to - $from) / 1e9}")
}
