#!/usr/bin/env bash
# CalDAV servers and clients that are not ours, from Debian: the contract suite on Radicale and Cyrus, each with its own
# habits (test/contract/caldav-habits.ts), and what we wrote read by vdirsyncer and khal. Installs what is missing; under
# three minutes. With CALDAV_URL, CALDAV_USERNAME, CALDAV_PASSWORD (and CALDAV_AUTH=digest) the clients, delivery and its
# faults run on that server too; CALDAV_SQLITE names the database of a Baikal, with which whole scenarios run on it (its
# user alice is made anew each time), CALDAV_MAIL_LOG what its mail program got. What a Baikal's failing storage does to
# delivery is a command of its own: test/soak/baikal-storage.ts.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
missing=()
command -v radicale >/dev/null || missing+=(radicale)
[ -x /usr/lib/cyrus/bin/httpd ] || missing+=(cyrus-imapd cyrus-caldav)
command -v saslpasswd2 >/dev/null || missing+=(sasl2-bin)
command -v vdirsyncer >/dev/null || missing+=(vdirsyncer)
command -v khal >/dev/null || missing+=(khal)
if [ ${#missing[@]} -gt 0 ]; then
  # Services that packages start at once are none of ours.
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  installed=$?
  rm -f /usr/sbin/policy-rc.d
  [ $installed -eq 0 ] || { echo "caldav servers: cannot install ${missing[*]}" >&2 && exit 1; }
fi

work=$(mktemp -d)
chmod 755 "$work"
started=()
finish() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null; done
  wait 2>/dev/null
  rm -rf "$work"
}
trap finish EXIT

free_port() {
  /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Waits until a server answers with anything: wait_for URL
wait_for() {
  for _ in $(seq 100); do
    curl -s -o /dev/null --max-time 2 "$1" && return 0
    sleep 0.2
  done
  echo "caldav servers: nothing answers at $1" >&2
  return 1
}

start_radicale() {
  radicale_port=$(free_port)
  echo me:secret >"$work/users"
  cat >"$work/radicale.conf" <<CONF
[server]
hosts = 127.0.0.1:$radicale_port
[auth]
type = htpasswd
htpasswd_filename = $work/users
htpasswd_encryption = plain
delay = 0
[storage]
filesystem_folder = $work/radicale
CONF
  radicale --config "$work/radicale.conf" >"$work/radicale.log" 2>&1 &
  started+=($!)
  wait_for "http://127.0.0.1:$radicale_port/"
}

start_cyrus() {
  cyrus_port=$(free_port)
  imap_port=$(free_port)
  local folder=$work/cyrus
  mkdir -p "$folder"/{lib,spool,run}
  cat >"$folder/imapd.conf" <<CONF
configdirectory: $folder/lib
defaultpartition: default
partition-default: $folder/spool
proc_path: $folder/run/proc
mboxname_lockpath: $folder/run/lock
lmtpsocket: $folder/run/lmtp
idlesocket: $folder/run/idle
notifysocket: $folder/run/notify
admins: cyrus
sasl_pwcheck_method: auxprop
sasl_mech_list: PLAIN
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: $folder/sasldb2
allowplaintext: yes
httpmodules: caldav
CONF
  cat >"$folder/cyrus.conf" <<CONF
START { recover cmd="ctl_cyrusdb -r -C $folder/imapd.conf" }
SERVICES {
  http cmd="httpd -C $folder/imapd.conf" listen="127.0.0.1:$cyrus_port" prefork=2 maxchild=20
  imap cmd="imapd -C $folder/imapd.conf" listen="127.0.0.1:$imap_port" prefork=1
}
EVENTS { checkpoint cmd="ctl_cyrusdb -c -C $folder/imapd.conf" period=30 }
CONF
  for user in cyrus me; do echo secret | saslpasswd2 -p -c -f "$folder/sasldb2" -u "$(hostname)" "$user" || return 1; done
  chown -R cyrus:mail "$folder"
  /usr/lib/cyrus/bin/master -C "$folder/imapd.conf" -M "$folder/cyrus.conf" -p "$folder/run/master.pid" >/dev/null 2>&1 &
  started+=($!)
  wait_for "http://127.0.0.1:$cyrus_port/" || return 1
  # A user is there once he has a mailbox.
  /usr/bin/python3 - "$imap_port" <<'PYTHON'
import imaplib, sys
imap = imaplib.IMAP4('127.0.0.1', int(sys.argv[1]))
imap.login('cyrus', 'secret')
sys.exit(0 if imap.create('user/me')[0] == 'OK' else 1)
PYTHON
}

failed=0
# suite NAME PATTERN… with the environment as it is
suite() {
  local name=$1
  shift
  local from=$SECONDS
  if npm test -- --maxWorkers=1 --silent=false "$@" >"$work/suite.log" 2>&1; then
    echo "caldav servers: $name: $(grep -E '^Tests: ' "$work/suite.log" | tail -n 1) ($((SECONDS - from)) s)"
  else
    failed=$((failed + 1))
    tail -n 100 "$work/suite.log"
    echo "caldav servers: $name: FAILED ($((SECONDS - from)) s)"
  fi
}

contract() {
  CALDAV_HABITS=$1 CALDAV_URL=$2 CALDAV_USERNAME=me CALDAV_PASSWORD=secret suite "contract on $1" \
    test/contract/caldav.test.ts -t 'server outside'
}

if start_radicale; then contract radicale "http://127.0.0.1:$radicale_port/"; else failed=$((failed + 1)); fi
if start_cyrus; then contract cyrus "http://127.0.0.1:$cyrus_port/dav/"; else failed=$((failed + 1)); fi
export CALDAV_CLIENTS=1
(
  unset CALDAV_URL
  suite 'clients of the in-process server' test/system/caldav-clients
  exit "$failed"
) || failed=$((failed + 1))
if [ -n "${CALDAV_URL:-}" ]; then
  suite "clients of $CALDAV_URL" test/system/caldav-clients
  suite "contract on $CALDAV_URL" test/contract/caldav.test.ts -t 'server outside'
  suite "delivery to $CALDAV_URL" test/deliver/deliver.test.ts test/deliver/large-calendars.test.ts \
    test/scenario/delivery-faults.test.ts
  # The whole product on that Baikal; its users are made in its database.
  [ -z "${CALDAV_SQLITE:-}" ] || suite "the product on $CALDAV_URL" test/scenario/restore.test.ts \
    test/scenario/several-objects.test.ts test/scenario/merging-meetings.test.ts
fi
echo "caldav servers: $((failed == 0 ? 1 : 0)) of 1 agree (${SECONDS} s)"
[ "$failed" -eq 0 ]
