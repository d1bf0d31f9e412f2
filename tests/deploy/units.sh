#!/usr/bin/env bash
# The systemd units parse without a complaint and stay below exposure 2.5; skipped (77) without systemd-analyze.
set -euo pipefail
units=${1:?the folder of the units}
command -v systemd-analyze >/dev/null || { echo "systemd-analyze is not installed (package systemd): skipped"; exit 77; }
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p "$stage/usr/bin" "$stage/etc/systemd/system" "$stage/lib/systemd"
cp "$units"/*.service "$stage/etc/systemd/system/"
cp -r /lib/systemd/system "$stage/lib/systemd/"
for program in consilium-coordinator consilium-node; do
  printf '#!/bin/sh\n' >"$stage/usr/bin/$program"
  chmod 755 "$stage/usr/bin/$program"
done
complaints=$(systemd-analyze verify --root="$stage" consilium-coordinator.service consilium-node.service 2>&1)
[[ -z $complaints ]] || { echo "$complaints"; exit 1; }
for unit in "$units"/*.service; do
  systemd-analyze security --offline=true --threshold=25 "$unit" >"$stage/out" || { cat "$stage/out"; exit 1; }
  tail -n 1 "$stage/out"
done
