#!/bin/sh
# Starts the binary for this machine: a bundle's manifest can name one for each
# system and not for each processor. Nothing is written to stdout here.
here=$(dirname "$0")
case $(uname -s) in
Darwin) system=darwin ;;
*) system=linux ;;
esac
case $(uname -m) in
arm64 | aarch64) processor=arm64 ;;
*) processor=amd64 ;;
esac
program=$here/bankauth-$system-$processor
[ -x "$program" ] || chmod +x "$program" # some hosts unpack without it
exec "$program" "$@"
