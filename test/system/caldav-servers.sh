#!/usr/bin/env bash
# CalDAV servers and clients that are not ours, from Debian: the contract suite on Radicale and Cyrus, each with its own
# habits (test/contract/caldav-habits.ts), and what we wrote read by vdirsyncer and khal. Installs what is missing; under
# three minutes. With CALDAV_URL, CALDAV_USERNAME, CALDAV_PASSWORD (and CALDAV_AUTH=digest) the clients, delivery and its
# faults run on that server too; CALDAV_SQLITE names the database of a Baikal, with which whole scenarios run on it (its
# user alice is made anew each time), CALDAV_MAIL_LOG what its mail program got. What a Baikal's failing storage does to
# delivery is a command of its own: test/soak/baikal-storage.ts.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. test/system/foreign-servers.sh
install_missing radicale:radicale /usr/lib/cyrus/bin/imapd:cyrus-imapd /usr/lib/cyrus/bin/httpd:cyrus-caldav \
  saslpasswd2:sasl2-bin vdirsyncer:vdirsyncer khal:khal || exit 1

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
if start_cyrus; then contract cyrus "http://127.0.0.1:$cyrus_port/dav/"; else
  failed=$((failed + 1))
  tail -n 15 "$work/cyrus.log"
fi
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
