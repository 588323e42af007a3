#!/usr/bin/env bash
# Builds the stand-in for Amazon's base image, for machines that cannot pull the real one.
#
#   tests/container/stand_in/build.sh TAG
#
# Debian bookworm comes from the mirror this machine's apt uses, Spark from the pyspark package of $PYTHON (default: python), and the
# certificates this machine itself trusts are added so that package managers work inside: never push the result.
set -euo pipefail

tag=${1:?usage: build.sh TAG}
here=$(cd "$(dirname "$0")" && pwd)
debian=orchard-stand-in-debian:bookworm
spark=$("${PYTHON:-python}" -c 'import os, pyspark; print(os.path.dirname(pyspark.__file__))')
# Of what it is made of: a stand-in of the same content is not made again.
content=$(cd "$here" && find . -type f ! -name '*~' -exec sha256sum {} + | sort | cat - "$spark/version.py" | sha256sum | cut -c1-64)
[ "$(/usr/bin/docker image inspect --format '{{index .Config.Labels "orchard.content"}}' "$tag" 2>/dev/null)" != "$content" ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

import_debian() {
    local mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | sort -u | head -n 1)
    [ -n "$mirror" ] || {
        echo "build.sh: apt knows no mirror of Debian bookworm: run apt-get update on a Debian 12 machine" >&2
        exit 1
    }
    debootstrap --variant=minbase --include=ca-certificates bookworm "$work/root" "$mirror" >"$work/log" || {
        tail -n 20 "$work/log" >&2
        exit 1
    }
    rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
    tar -C "$work/root" --numeric-owner --sort=name -c . | /usr/bin/docker import - "$debian" >&2
    rm -rf "$work/root"
}

/usr/bin/docker image inspect "$debian" >/dev/null 2>&1 || import_debian
cp -R "$here/context" "$work/context"
# With their times, and without what Python leaves between them: the same stand-in every time.
cp -RLp "$spark" "$work/context/spark"
find "$work/context/spark" -name __pycache__ -prune -exec rm -rf {} +
mkdir "$work/context/ca"
cp /usr/local/share/ca-certificates/*.crt "$work/context/ca/" 2>/dev/null || true
DOCKER_BUILDKIT=1 /usr/bin/docker build --quiet --build-arg DEBIAN="$debian" --label orchard.content="$content" --tag "$tag" "$work/context"
