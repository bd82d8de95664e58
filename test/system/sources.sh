#!/usr/bin/env bash
# CalDAV servers of Debian's packages as sources (Radicale, Xandikos, Cyrus), and docs/vdirsyncer_config.txt run by
# vdirsyncer, all on loopback. Installs what is missing; under a minute.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. test/system/foreign-servers.sh
install_missing radicale:radicale xandikos:xandikos /usr/lib/cyrus/bin/imapd:cyrus-imapd \
  /usr/lib/cyrus/bin/httpd:cyrus-caldav saslpasswd2:sasl2-bin vdirsyncer:vdirsyncer || exit 1

start_radicale && start_xandikos && start_cyrus || { tail -n 15 "$work"/*.log >&2; exit 1; }
export SOURCE_SERVERS='[
  { "name": "Radicale", "url": "http://127.0.0.1:'$radicale_port'/", "username": "me", "password": "secret" },
  { "name": "Xandikos", "url": "http://127.0.0.1:'$xandikos_port'/", "username": "me", "password": "secret" },
  { "name": "Cyrus", "url": "http://127.0.0.1:'$cyrus_port'/dav/", "username": "me", "password": "secret" }
]'
npm test -- test/system/source-servers
