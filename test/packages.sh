#!/bin/sh
# Installs the Debian packages that the tests use. Without root or apt it says what will be skipped and goes on.
need=
command -v iptables >/dev/null 2>&1 || need="$need iptables"
command -v nft >/dev/null 2>&1 || need="$need nftables"
command -v ip >/dev/null 2>&1 || need="$need iproute2"
[ -n "$need" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >/dev/null && apt-get install -y -qq --no-install-recommends $need >/dev/null && exit 0
fi
echo "not installed:$need; the tests that use them are skipped"
