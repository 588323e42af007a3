#!/usr/bin/env bash
# A Docker engine of one's own, for machines that have none running (CI, a bare Debian). Needs root.
#
#   tests/container/engine.sh start DIR   installs what is missing, starts dockerd with everything under DIR, prints its DOCKER_HOST
#   tests/container/engine.sh stop DIR    stops the dockerd that `start` left in DIR
#
# DOCKERD_FLAGS, where given, go to dockerd.
#
# One engine a machine: two daemons fight over the docker0 bridge.
set -euo pipefail

fail() {
    echo "engine.sh: $1" >&2
    exit 1
}

[ $# -eq 2 ] || fail "usage: engine.sh start|stop DIR"
mkdir -p "$2"
dir=$(cd "$2" && pwd)
export DOCKER_HOST=unix://$dir/sock

answers() {
    docker info >/dev/null 2>&1
}

has() {
    local program
    for program; do command -v "$program" >/dev/null || return 1; done
}

install_missing() {
    local missing=()
    # By its place, as the builds call it: a newer one that comes first on the PATH brings neither that nor runc.
    [ -x /usr/bin/docker ] && has dockerd containerd runc || missing+=(docker.io)
    has iptables || missing+=(iptables)
    has debootstrap || missing+=(debootstrap)
    has docker-registry || missing+=(docker-registry)
    [ ${#missing[@]} -eq 0 ] && return
    apt-get update -qq
    # The packages would start a daemon with settings of their own where there is an init system.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

start() {
    [ "$(id -u)" -eq 0 ] || fail "starting an engine needs root: start one yourself and set DOCKER_HOST"
    if ! answers; then
        install_missing >&2
        # setsid: the engine outlives the script and is no target of its terminal's signals.
        # shellcheck disable=SC2086
        setsid dockerd --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/pid" -H "$DOCKER_HOST" ${DOCKERD_FLAGS:-} \
            >"$dir/log" 2>&1 </dev/null &
        for _ in $(seq 120); do
            answers && break
            kill -0 $! 2>/dev/null || fail "dockerd ended at once: $(tail -n 1 "$dir/log")"
            sleep 0.5
        done
        answers || fail "dockerd does not answer after 60 s: see $dir/log"
    fi
    echo "$DOCKER_HOST"
}

stop() {
    [ -f "$dir/pid" ] || fail "no engine was started in $dir"
    local pid
    pid=$(cat "$dir/pid")
    kill "$pid"
    for _ in $(seq 120); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.5
    done
    ! kill -0 "$pid" 2>/dev/null || fail "dockerd ($pid) does not stop"
    # It leaves its network namespace mounted, and then DIR cannot be removed.
    umount "$dir"/exec/netns/* 2>/dev/null || true
}

case $1 in
    start) start ;;
    stop) stop ;;
    *) fail "usage: engine.sh start|stop DIR" ;;
esac
