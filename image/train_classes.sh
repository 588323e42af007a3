#!/bin/sh
# Prints the classes that a local run loads, for image/classes.list: `make classes` runs this inside the image.
set -eu
cd /tmp
/opt/orchard/venv/bin/orchard sample --output photos 2>/dev/null
# With a progress bar (FORCE_COLOR): how long the run takes must not decide what it loads.
FORCE_COLOR=1 spark-submit --master 'local[2]' --properties-file /opt/orchard/java/local.conf \
    --driver-java-options '-Xshare:off -XX:DumpLoadedClassList=/tmp/loaded' \
    /opt/orchard/main.py --input photos --output out >log 2>&1 || { cat log >&2; exit 1; }
# Without comments, lambda forms and the proxies made at run time.
grep -v -e '^[#@]' -e '\$Proxy[0-9]' loaded | LC_ALL=C sort -u
