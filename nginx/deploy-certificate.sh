#!/bin/sh
# certbot calls this after each new certificate. nginx does not run as root, so it gets a copy of its own; it reads it at
# its next reload.
set -eu
certificates=${CERTIFICATES:-/certificates}
for name in fullchain.pem privkey.pem; do
  cp "$RENEWED_LINEAGE/$name" "$certificates/$name.new"
  chmod 0400 "$certificates/$name.new"
  chown "${NGINX_USER:-101:101}" "$certificates/$name.new"
  mv "$certificates/$name.new" "$certificates/$name"
done
