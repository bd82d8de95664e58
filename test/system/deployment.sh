#!/usr/bin/env bash
# What production rests on, for real and on loopback only: a PostgreSQL server set up by postgres/init.sql, the product as
# compose starts it (one web and two workers at once on an empty database), nginx with nginx/nginx.conf in front of it
# and of a CalDAV server, and backup and restore. Installs what is missing; under three minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
[ "$(id -u)" = 0 ] || { echo 'Run as root: it installs Debian packages.' >&2 && exit 1; }

missing=()
for pair in nginx:nginx-light psql:postgresql curl:curl openssl:openssl sqlite3:sqlite3 shellcheck:shellcheck; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
if [ ${#missing[@]} -gt 0 ]; then
  # The packages' own services stay down: everything here is started by hand and on ports of its own.
  [ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d && policy=1; }
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  [ -z "${policy:-}" ] || rm -f /usr/sbin/policy-rc.d
fi
postgres_bin=$(find /usr/lib/postgresql -name initdb | sort -V | tail -n 1 | xargs dirname)
node=$root/node_modules/.bin/node
[ -x "$node" ] || node=node

work=$(mktemp -d)
chmod 0755 "$work"
pids=()
finish() {
  local code=$?
  [ "$code" = 0 ] || tail -n 15 "$work"/*.log >&2 || true
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  [ ! -d "$work/postgres" ] || as_postgres "$postgres_bin/pg_ctl" -D "$work/postgres" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$work"
  exit "$code"
}
as_postgres() { (cd / && runuser -u postgres -- "$@"); }
trap finish EXIT
free_port() {
  "$node" -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'
}
fail() {
  echo "FAILED: $1" >&2
  exit 1
}
ok() { echo "ok: $1"; }
# until_ok SECONDS COMMAND…
until_ok() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.2
  done
}

shellcheck -S warning backup.sh restore.sh nginx/*.sh baikal/*.sh test/system/*.sh
ok 'shellcheck finds nothing in the scripts'

# --- secrets and certificate, as the service `setup` makes them ------------------------------------------------------
mkdir "$work/certificates"
setup() {
  SECRETS=$work/secrets CERTIFICATES=$work/certificates NGINX_USER=$(id -u www-data):$(id -g www-data) \
    PUBLIC_URL=https://localhost "$@" sh nginx/setup.sh
}
setup env >/dev/null
before=$(cat "$work"/secrets/*/* "$work"/certificates/* | sha256sum)
setup env
[ "$before" = "$(cat "$work"/secrets/*/* "$work"/certificates/* | sha256sum)" ] || fail 'a second setup changed something'
setup env API_KEY=a-key-from-the-environment
[ "$(cat "$work/secrets/calendar-sync/api_key")" = a-key-from-the-environment ] || fail 'API_KEY did not win'
[ "$(stat -c %a "$work/secrets") $(stat -c %a "$work/certificates/privkey.pem")" = '700 400' ] || fail 'open secrets'
ok 'setup.sh makes secrets once, keeps them, and takes API_KEY'

# --- PostgreSQL ------------------------------------------------------------------------------------------------------
database_port=$(free_port)
mkdir "$work/postgres" && chown postgres "$work/postgres"
echo superuser >"$work/superuser" && chmod 0644 "$work/superuser"
as_postgres "$postgres_bin/initdb" -D "$work/postgres" -A scram-sha-256 -U postgres --pwfile="$work/superuser" >/dev/null
as_postgres "$postgres_bin/pg_ctl" -D "$work/postgres" -l "$work/postgres/server.log" -w \
  -o "-p $database_port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$work/postgres -c fsync=off" start >/dev/null
PGPASSWORD=superuser CALENDARUSER_PASSWORD_FILE=$work/secrets/postgres/calendaruser_password \
  psql -X -q -h 127.0.0.1 -p "$database_port" -U postgres -d postgres -f postgres/init.sql
# As the containers find it, but for host and port.
sed "s/@postgres:5432/@127.0.0.1:$database_port/" "$work/secrets/calendar-sync/database_url" >"$work/database_url"
DATABASE_URL=$(cat "$work/database_url")
refused() { ! psql -X -q -d "$DATABASE_URL" -c "$1" >/dev/null 2>&1 || fail "calendaruser may: $1"; }
refused 'create role other'
refused 'create database other'
refused 'alter database calendardb rename to other'
refused "copy (select 1) to '/tmp/calendar-sync-refused'"
ok "init.sql on PostgreSQL $("$postgres_bin/postgres" -V | grep -oE '[0-9]+\.[0-9]+' | head -n 1): calendaruser may no more than it needs"

# --- the product, as compose starts it -------------------------------------------------------------------------------
web_port=$(free_port)
mkdir "$work/config"
start() {
  local name=$1
  shift
  (cd "$work/config" && exec env -i PATH="$PATH" HOST=127.0.0.1 PORT="$web_port" DATA_DIR="$work/none" LOG_FILES=0 CONFIG_FILE= \
    API_KEY= API_KEY_FILE="$work/secrets/calendar-sync/api_key" DATABASE_URL= DATABASE_URL_FILE="$work/database_url" \
    ENCRYPTION_KEY= ENCRYPTION_KEY_FILE="$work/secrets/calendar-sync/encryption_key" \
    BAIKAL_PASSWORD_FILE="$work/secrets/calendar-sync/baikal_password" "$node" "$root/src/main.ts" "$@") >"$work/$name.log" 2>&1 &
  pids+=($!)
}
start web web
start worker-1 worker
start worker-2 worker
healthy() { [ "$(curl -s "http://127.0.0.1:$web_port/api/health" | grep -o '"ready":true')" ]; }
until_ok 180 healthy || fail 'the product does not get ready'
started() { grep -q service.started "$work/$1.log"; }
for name in web worker-1 worker-2; do until_ok 120 started "$name" || fail "$name does not start"; done
[ ! -e "$work/none" ] || fail 'the product needs a folder of its own although everything is given'
ok 'web and two workers start at once on an empty database, without a folder to write to'

caldav_port=$(free_port)
"$node" test/demo/caldav.ts "$work/caldav.state" "$caldav_port" >"$work/caldav.log" 2>&1 &
pids+=($!)
until_ok 60 curl -s "http://127.0.0.1:$caldav_port/" || fail 'the CalDAV server does not start'

# --- nginx: its configuration as it is, but for folders and ports -----------------------------------------------------
http_port=$(free_port)
https_port=$(free_port)
conf=$work/nginx
mkdir -p "$conf/local" "$work/certbot/.well-known/acme-challenge"
sed -e "s#/tmp/#$work/#; s#/certificates/#$work/certificates/#; s#/var/www/certbot#$work/certbot#; s#/dev/stdout#$work/access.log#" \
  -e "s/listen 8080/listen 127.0.0.1:$http_port/; s/listen 8443/listen 127.0.0.1:$https_port/" \
  nginx/nginx.conf >"$conf/nginx.conf"
sed "s/^resolver.*//; s#http://middleware:3000#http://127.0.0.1:$web_port#; s#http://baikal:80#http://127.0.0.1:$caldav_port#" \
  nginx/upstreams.conf >"$conf/upstreams.conf"
# As compose has it, the certificate readable for nobody but nginx' own user, who has no other rights.
chown www-data "$work" "$work/certificates"
nginx_as_user() { exec setpriv --reuid=www-data --regid=www-data --clear-groups /usr/sbin/nginx -c "$conf/nginx.conf" "$@"; }
(nginx_as_user -t) 2>"$work/nginx-test.log" || fail 'nginx -t'
(nginx_as_user -g 'daemon off;') >"$work/nginx.log" 2>&1 &
pids+=($!)
https=https://localhost:$https_port
until_ok 60 curl -sk "$https/nginx-health" || fail 'nginx does not start'
ok "nginx $(nginx -v 2>&1 | grep -oE '[0-9.]+$') takes the configuration and runs without root"

ca=(--cacert "$work/certificates/fullchain.pem")
status() { curl -s "${ca[@]}" -o /dev/null -w '%{http_code}' "$@"; }
expect() { # expect STATUS WHAT CURL-ARGUMENTS…
  local want=$1 what=$2 got
  shift 2
  got=$(status "$@") || true
  [ "$got" = "$want" ] || fail "$what: $got instead of $want"
}
expect 200 'health through TLS' "$https/api/health"
expect 401 'statistics without key' "$https/api/stats"
expect 200 'statistics with key' -H "X-API-Key: $(cat "$work/secrets/calendar-sync/api_key")" "$https/api/stats"
[ "$(curl -s "${ca[@]}" -o /dev/null -w '%{http_version}' "$https/api/health")" = 2 ] || fail 'no HTTP/2'
headers=$(curl -s "${ca[@]}" -D - -o /dev/null "$https/api/health" | tr 'A-Z' 'a-z')
for header in strict-transport-security x-content-type-options x-frame-options referrer-policy; do
  grep -q "^$header:" <<<"$headers" || fail "no $header"
done
! grep -q '^server: nginx/' <<<"$headers" || fail 'nginx tells its version'
[ "$(curl -s -o /dev/null -w '%{http_code} %{redirect_url}' "http://127.0.0.1:$http_port/a?b=c")" = '301 https://127.0.0.1/a?b=c' ] || fail 'redirect from HTTP'
echo challenge >"$work/certbot/.well-known/acme-challenge/token"
[ "$(curl -s "http://127.0.0.1:$http_port/.well-known/acme-challenge/token")" = challenge ] || fail 'certbot webroot'
for old in 1.0 1.1; do
  ! curl -s "${ca[@]}" --tls-max "$old" "$https/api/health" -o /dev/null || fail "TLS $old is taken"
done
expect 200 'TLS 1.2' --tls-max 1.2 "$https/api/health"
for name in caldav carddav; do
  [ "$(curl -s "${ca[@]}" -o /dev/null -w '%{http_code} %{redirect_url}' "$https/.well-known/$name")" = "301 $https/dav.php/" ] || fail "well-known $name"
done
for path in /baikal/admin /baikal/admin/ /baikal//admin/ /baikal/%61dmin/ /baikal/dav.php/../admin/; do
  expect 403 "Baikal's administration at $path" --path-as-is "$https$path"
done
for path in /metrics /consent/contoso /consent/callback; do
  expect 403 "$path, which is not for the public" "$https$path"
done
expect 200 'the description of the API' "$https/api/openapi.json"
expect 404 'administration outside /baikal/ is none of Baikal' "$https/admin/"
head -c 1200000 /dev/zero >"$work/big"
expect 413 'a body too large' --data-binary "@$work/big" "$https/api/graph/notifications/a-secret"
ok 'nginx: TLS 1.2 and 1.3 only, HTTP/2, redirects, headers, bodies, closed administration, consent pages and metrics'

# 200 notifications at once all reach the product, whatever it says of their secret, and 200 posts of flows whatever it
# says of their key; 200 others are limited.
# By one curl: 200 of them would take so long on a busy machine that nothing is left to limit.
burst() { curl -sk -Z --parallel-max "${2:-40}" -o /dev/null -w '%{http_code}\n' -X POST "$1?[1-200]" | sort | uniq -c | tr -s ' ' | tr '\n' ','; }
notified=$(burst "$https/api/graph/notifications/a-secret" 150)
! grep -q 429 <<<"$notified" || fail "notifications are limited: $notified"
posted=$(burst "$https/api/webhook/powerautomate/nobody")
! grep -q 429 <<<"$posted" || fail "what flows post is limited: $posted"
limited=$(burst "$https/api/stats")
grep -q 429 <<<"$limited" || fail "nothing is limited: $limited"
! grep -q a-secret "$work/access.log" || fail 'a secret stands in the access log'
ok "limits: notifications$notified flows$posted others$limited"

NODE_EXTRA_CA_CERTS=$work/certificates/fullchain.pem "$node" --input-type=module -e "
  import { openCalDav } from './src/dav/calendar-client.ts';
  import { systemClock } from './src/shared/clock.ts';
  const signal = AbortSignal.timeout(20000);
  for (const path of ['/dav.php/', '/caldav/', '/baikal/dav.php/', '/.well-known/caldav', '/']) {
    const account = { url: '$https' + path, username: 'demo', password: 'demo' };
    const dav = openCalDav(account, { timeoutMs: 10000, clock: systemClock });
    const name = 'trial' + path.replaceAll(/\W/g, '');
    const href = await dav.makeCalendar(name, { displayName: 'Trial', color: null }, signal);
    const body = ['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//trial', 'BEGIN:VEVENT', 'UID:' + name,
      'DTSTAMP:20260101T000000Z', 'DTSTART:20260101T100000Z', 'SUMMARY:Trial', 'END:VEVENT', 'END:VCALENDAR', ''].join('\r\n');
    const event = href.replace(/\/?$/, '/') + name + '.ics';
    const put = await dav.put(event, body, { ifNoneMatch: '*' }, signal);
    const got = await dav.get(event, signal);
    if (put.kind !== 'stored' || got === null || !got.body.includes('UID:' + name)) throw new Error('not stored below ' + path);
    const removed = await dav.remove(event, got.etag, signal);
    if (removed.kind === 'precondition-failed' || (await dav.get(event, signal)) !== null) throw new Error('still there below ' + path);
    await dav.close();
  }" 2>"$work/dav-client.log" || fail 'a CalDAV client through TLS'
ok 'a CalDAV client finds, makes, writes, reads and deletes through TLS, by each of five addresses'

# What the processes take, shared pages counted once (PSS), with one worker as compose starts it; Baikal is not among them.
pss() {
  local pid total=0 part
  for pid in "$@"; do
    part=$(awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup")
    total=$((total + part))
  done
  echo $((total / 1024))
}
nginx_master=$(cat "$work/nginx.pid")
database_master=$(head -n 1 "$work/postgres/postmaster.pid")
read -r -a nginx_pids <<<"$nginx_master $(pgrep -P "$nginx_master" | tr '\n' ' ')"
read -r -a database_pids <<<"$database_master $(pgrep -P "$database_master" | tr '\n' ' ')"
web_mb=$(pss "${pids[0]}")
worker_mb=$(pss "${pids[1]}")
nginx_mb=$(pss "${nginx_pids[@]}")
database_mb=$(pss "${database_pids[@]}")
all_mb=$((web_mb + worker_mb + nginx_mb + database_mb))
[ "$all_mb" -lt 700 ] || fail "the stack takes $all_mb MB"
ok "memory in MB: web $web_mb, worker $worker_mb, PostgreSQL for three processes $database_mb, nginx $nginx_mb, together $all_mb"

# A backup onto a disk that fills up at any of its steps keeps nothing, says why, and ends with 1.
mkdir "$work/small"
for size in 8k 16k 24k; do
  mount -t tmpfs -o "size=$size" none "$work/small" 2>/dev/null || { echo 'no right to mount: a full disk was not tried' && break; }
  code=0
  DATABASE_URL=$(cat "$work/database_url") BACKUP_DIR=$work/small ./backup.sh >"$work/full.log" 2>&1 || code=$?
  left=$(find "$work/small" -type f ! -name .lock | wc -l)
  umount "$work/small"
  [ "$code" = 0 ] || { [ "$code $left" = '1 0' ] && grep -q 'backup.sh:' "$work/full.log"; } || fail "a full disk ($size): $code, $left files left"
  [ "$size$code" != 8k0 ] || fail 'a backup fits on 8 kB'
done
ok 'a full disk during a backup: nothing is kept'

# certbot's hook replaces the certificate under a running nginx.
mkdir "$work/renewed"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 -subj '/CN=renewed' \
  -addext subjectAltName=DNS:localhost -keyout "$work/renewed/privkey.pem" -out "$work/renewed/fullchain.pem" 2>/dev/null
RENEWED_LINEAGE=$work/renewed CERTIFICATES=$work/certificates NGINX_USER=$(id -u www-data):$(id -g www-data) sh nginx/deploy-certificate.sh
kill -HUP "$(cat "$work/nginx.pid")"
until_ok 60 curl -s --cacert "$work/renewed/fullchain.pem" "$https/nginx-health" || fail 'the renewed certificate is not used'
ok 'a renewed certificate is taken over without a restart'

# --- an orderly stop, then backup and restore --------------------------------------------------------------------------
for pid in "${pids[@]:0:3}"; do kill -TERM "$pid"; done
for pid in "${pids[@]:0:3}"; do wait "$pid" || fail 'a process did not end with 0 after SIGTERM'; done
ok 'web and workers end with 0 after SIGTERM'

DEPLOYMENT_DATABASE_URL=$DATABASE_URL npm test -- test/system/deployment --maxWorkers=1 -t 'backup.sh and restore.sh' \
  >"$work/restore.log" 2>&1 || { cat "$work/restore.log" >&2 && fail 'backup and restore'; }
ok "backup and restore of a server: $(grep '^Tests:' "$work/restore.log")"
