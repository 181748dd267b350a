#!/bin/bash
# Asks the service in this container whether it can do its work, and prints what it answers.
# Bash opens the connection itself, so that the image needs no HTTP client.
set -eu
exec 3<>"/dev/tcp/127.0.0.1/${HTTP_ADDR##*:}"
printf 'GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r _ status _ <&3
while read -r header && [ "$header" != $'\r' ]; do :; done <&3
cat <&3
[ "$status" = 200 ]
