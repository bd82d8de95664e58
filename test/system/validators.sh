#!/usr/bin/env bash
# What we write, judged by programs that are not ours: sabre/vobject 4 (Baikal's own, by Composer) and python3-icalendar.
# All golden pairs and some thousands of random ones; installs what is missing; under three minutes.
# FILES: random series and mad events each (default 1500). SEED: another choice. SABRE_AUTOLOAD: an autoload.php to use
# instead of Composer's answer.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
missing=()
command -v php >/dev/null || missing+=(php-cli)
command -v composer >/dev/null || missing+=(composer)
if command -v php >/dev/null; then
  php -m | grep -qix xml || missing+=(php-xml)
  php -m | grep -qix mbstring || missing+=(php-mbstring)
else
  missing+=(php-xml php-mbstring)
fi
/usr/bin/python3 -c 'import icalendar' 2>/dev/null || missing+=(python3-icalendar)
[ -e /usr/share/zoneinfo/Europe/Berlin ] || missing+=(tzdata)
if [ ${#missing[@]} -gt 0 ]; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
    { echo "validators: cannot install ${missing[*]}" >&2 && exit 1; }
fi
node=$PWD/node_modules/.bin/node
[ -x "$node" ] || node=node

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$node" test/system/validator-files.ts "$work/files" "${FILES:-1500}" "${SEED:-6}" || exit 1

autoload=${SABRE_AUTOLOAD:-}
if [ -z "$autoload" ]; then
  mkdir "$work/php"
  if ! COMPOSER_ALLOW_SUPERUSER=1 timeout 90 composer require --working-dir="$work/php" --no-interaction --quiet 'sabre/vobject:^4'; then
    echo 'validators: Composer cannot get sabre/vobject 4: its registry is not reachable, or lacks it' >&2
  fi
  autoload=$work/php/vendor/autoload.php
fi
failed=0
if [ -e "$autoload" ]; then
  php -d memory_limit=1G test/system/validate.php "$autoload" "$work/files" || failed=$((failed + 1))
else
  failed=$((failed + 1))
fi
/usr/bin/python3 test/system/validate.py "$work/files" || failed=$((failed + 1))
echo "validators: $((2 - failed)) of 2 agree (${SECONDS} s)"
[ "$failed" -eq 0 ]
