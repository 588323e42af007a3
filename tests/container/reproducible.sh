#!/usr/bin/env bash
# image/reproducible.sh on the stand-in base, with an engine of its own: `make reproducible`. Needs root on Debian 12, and that no other
# engine runs in the same network namespace.
#
# Debian 12's Docker cannot make images reproducible; a newer one is unpacked, not installed, from the release after it.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-$(mktemp -d)}
release=trixie

unpack_docker() {
    mkdir -p "$dir/apt/lists/partial" "$dir/debs" "$dir/root"
    local mirror packages
    apt-get -qq update # before it, apt names no mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | sort -u | head -n 1)
    [ -n "$mirror" ] || {
        echo "reproducible.sh: apt knows no mirror of Debian bookworm: call it on Debian 12" >&2
        exit 1
    }
    echo "deb $mirror $release main" >"$dir/apt/sources.list"
    packages=(docker.io docker-cli docker-buildx containerd)
    local apt=(apt-get -qq -o "Dir::Etc::SourceList=$dir/apt/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$dir/apt/lists")
    "${apt[@]}" update
    (cd "$dir/debs" && "${apt[@]}" -o APT::Sandbox::User=root download "${packages[@]}")
    for package in "$dir"/debs/*.deb; do dpkg-deb -x "$package" "$dir/root"; done
    mkdir -p "$dir/config"
    ln -sfn "$dir/root/usr/libexec/docker/cli-plugins" "$dir/config/cli-plugins"
    echo '{"features": {"containerd-snapshotter": true}}' >"$dir/daemon.json"
}

[ -x "$dir/root/usr/sbin/dockerd" ] || unpack_docker
export PATH=$dir/root/usr/bin:$dir/root/usr/sbin:$PATH DOCKER_CONFIG=$dir/config DOCKERD_FLAGS="--config-file $dir/daemon.json"
DOCKER_HOST=$("$here/engine.sh" start "$dir/engine")
trap '"$here/engine.sh" stop "$dir/engine"' EXIT
export DOCKER_HOST
docker version --format 'engine {{.Server.Version}}'
"$here/stand_in/build.sh" orchard-stand-in:emr-7.13.0
"$here/../../image/reproducible.sh" orchard-stand-in:emr-7.13.0 orchard:reproducible
