#!/usr/bin/env bash
# CalDAV servers of Debian's packages as sources (Radicale, Xandikos), and docs/vdirsyncer_config.txt run by vdirsyncer,
# all on loopback. Installs what is missing; under a minute.
set -euo pipefail
cd "$(dirname "$0")/../.."
missing=()
for one in radicale xandikos vdirsyncer; do command -v "$one" >/dev/null || missing+=("$one"); done
if [ ${#missing[@]} -gt 0 ]; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
    { echo "sources: cannot install ${missing[*]}" >&2 && exit 1; }
fi
work=$(mktemp -d)
pids=()
finish() {
  local code=$?
  [ "$code" = 0 ] || tail -n 15 "$work"/*.log >&2 || true
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
  exit "$code"
}
trap finish EXIT
free_port() { /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
wait_for() {
  for _ in $(seq 150); do
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
    sleep 0.1
  done
  echo "sources: nothing answers on port $1" >&2
  return 1
}

radicale=$(free_port)
printf 'alice:secret\n' >"$work/users"
cat >"$work/radicale.conf" <<CONF
[server]
hosts = 127.0.0.1:$radicale
[auth]
type = htpasswd
htpasswd_filename = $work/users
htpasswd_encryption = plain
delay = 0
[storage]
filesystem_folder = $work/radicale
CONF
radicale --config "$work/radicale.conf" >"$work/radicale.log" 2>&1 &
pids+=($!)
xandikos=$(free_port)
xandikos -d "$work/xandikos" --defaults --current-user-principal /alice/ -l 127.0.0.1 -p "$xandikos" >"$work/xandikos.log" 2>&1 &
pids+=($!)
wait_for "$radicale"
wait_for "$xandikos"

export SOURCE_SERVERS='[
  { "name": "Radicale", "url": "http://127.0.0.1:'$radicale'/", "username": "alice", "password": "secret" },
  { "name": "Xandikos", "url": "http://127.0.0.1:'$xandikos'/", "username": "alice", "password": "secret" }
]'
npm test -- test/system/source-servers
