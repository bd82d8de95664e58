#!/bin/sh
# Runs inside the Baikal image before Baikal starts. Does nothing once there is a configuration, whoever made it.
set -eu
php /provision/provision.php /var/www/baikal /run/secrets
