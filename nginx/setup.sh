#!/bin/sh
# Makes what an installation needs before its first start and must not share with any other: passwords, keys and a
# self-signed certificate. What exists is left as it is; only API_KEY and ENCRYPTION_KEY, where they are set, win.
# SECRETS and CERTIFICATES name the folders.
set -eu
umask 022
secrets=${SECRETS:-/secrets}
certificates=${CERTIFICATES:-/certificates}

# The outer folder is closed, so that the files within may be readable for the users of the containers, into which the
# inner folders are mounted singly.
mkdir -p "$secrets/postgres" "$secrets/baikal" "$secrets/calendar-sync"
chmod 0700 "$secrets"

# keep FILE TEXT: a new file, whole or not at all.
keep() {
  [ -s "$1" ] && return
  printf '%s\n' "$2" >"$1.new"
  chmod 0444 "$1.new"
  mv "$1.new" "$1"
}
# put FILE TEXT: replaces the file where the text is not empty.
put() {
  if [ -n "$2" ] && [ "$2" != "$(cat "$1" 2>/dev/null)" ]; then
    rm -f "$1"
    keep "$1" "$2"
  fi
}

keep "$secrets/postgres/postgres_password" "$(openssl rand -hex 24)"
keep "$secrets/postgres/calendaruser_password" "$(openssl rand -hex 24)"
keep "$secrets/calendar-sync/database_url" \
  "postgresql://calendaruser:$(cat "$secrets/postgres/calendaruser_password")@postgres:5432/calendardb"
put "$secrets/calendar-sync/api_key" "${API_KEY:-}"
keep "$secrets/calendar-sync/api_key" "$(openssl rand -hex 24)"
put "$secrets/calendar-sync/encryption_key" "${ENCRYPTION_KEY:-}"
keep "$secrets/calendar-sync/encryption_key" "$(openssl rand -hex 32)"
keep "$secrets/baikal/admin_password" "$(openssl rand -hex 24)"
keep "$secrets/baikal/baikal_password" "$(openssl rand -hex 12)"
keep "$secrets/calendar-sync/baikal_password" "$(cat "$secrets/baikal/baikal_password")"

# nginx cannot start without a certificate, and certbot cannot get one without nginx.
if [ ! -s "$certificates/fullchain.pem" ] || [ ! -s "$certificates/privkey.pem" ]; then
  host=${PUBLIC_URL:-https://localhost}
  host=${host#*://}
  host=${host%%/*}
  host=${host%%:*}
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=$host" \
    -addext "subjectAltName=DNS:$host" -keyout "$certificates/privkey.pem" -out "$certificates/fullchain.pem" 2>/dev/null
  echo "Made a self-signed certificate for $host."
fi
# nginx runs as this user, and only it may read the key.
chmod 0400 "$certificates/privkey.pem"
chown "${NGINX_USER:-101:101}" "$certificates/privkey.pem" "$certificates/fullchain.pem"
