# shellcheck shell=bash
# CalDAV servers of Debian that are not ours, for test/system/*.sh: sourced, never run. Each start_… sets its port. Needs
# nothing but root; what was started ends with the script.
work=$(mktemp -d)
chmod 755 "$work"
started=()
finish() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null; done
  wait 2>/dev/null
  rm -rf "$work"
}
trap finish EXIT

# Installs what is missing: install_missing COMMAND:PACKAGE…
install_missing() {
  local missing=() one installed
  for one in "$@"; do
    command -v "${one%%:*}" >/dev/null || missing+=("${one#*:}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  # Services that packages start at once are none of ours.
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  installed=$?
  rm -f /usr/sbin/policy-rc.d
  [ $installed -eq 0 ] || echo "cannot install ${missing[*]}" >&2
  return $installed
}

free_port() {
  /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Waits until a server answers with anything: wait_for URL
wait_for() {
  for _ in $(seq 100); do
    curl -s -o /dev/null --max-time 2 "$1" && return 0
    sleep 0.2
  done
  echo "nothing answers at $1" >&2
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
  /usr/lib/cyrus/bin/master -C "$folder/imapd.conf" -M "$folder/cyrus.conf" -p "$folder/run/master.pid" >"$work/cyrus.log" 2>&1 &
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

start_xandikos() {
  xandikos_port=$(free_port)
  xandikos -d "$work/xandikos" --defaults --current-user-principal /me/ -l 127.0.0.1 -p "$xandikos_port" >"$work/xandikos.log" 2>&1 &
  started+=($!)
  wait_for "http://127.0.0.1:$xandikos_port/"
}
