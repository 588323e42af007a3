#!/usr/bin/env bash
# Builds the image of this commit twice from nothing and compares: the same commit gives the same image, to the last bit.
#
#   image/reproducible.sh BASE_IMAGE NAME [BACKBONES]
#
# NAME is repository:tag, and is left in the engine; BACKBONES are separated by spaces, by default mobilenet_v2.
#
# Needs a docker with buildx and a BuildKit that can rewrite timestamps (0.13 or newer).
set -euo pipefail

base=${1:?usage: reproducible.sh BASE_IMAGE NAME [BACKBONES]}
name=${2:?usage: reproducible.sh BASE_IMAGE NAME [BACKBONES]}
backbones=${3:-mobilenet_v2}
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Of the last commit that changed what is baked, as `orchard-deploy build` has it.
baked=(Dockerfile .dockerignore LICENSE pyproject.toml app image)
read -r revision epoch < <(git log -1 --format='%H %ct' -- "${baked[@]}")
[ -z "$(git status --porcelain -- "${baked[@]}")" ] || revision+=-dirty
fingerprints=$(PYTHONPATH=app "${PYTHON:-python3}" -m orchard.network.fingerprints "$backbones")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
export SOURCE_DATE_EPOCH=$epoch

build() {
    docker buildx build --no-cache --provenance=false --progress=plain \
        --build-arg BASE_IMAGE="$base" --build-arg IMAGE_TAG="${name##*:}" --build-arg REVISION="$revision" --build-arg VERSION="$version" \
        --build-arg BACKBONES="$backbones" --build-arg WEIGHTS_FINGERPRINT="$fingerprints" \
        --build-arg SOURCE_DATE_EPOCH="$epoch" --metadata-file "$work/$1.json" \
        --output "type=docker,name=$name,rewrite-timestamp=true,dest=$work/$1.tar" . >"$work/log" 2>&1 || {
        tail -n 40 "$work/log" >&2
        exit 1
    }
    sed -n 's/.*"containerimage.config.digest": "\(.*\)".*/\1/p' "$work/$1.json"
}

first=$(build first)
echo "first build:  $first"
second=$(build second)
echo "second build: $second"
if [ -z "$first" ] || [ "$first" != "$second" ]; then
    echo "reproducible.sh: the two builds differ, in these layers:" >&2
    for number in first second; do tar -xOf "$work/$number.tar" manifest.json | tr ',' '\n' | grep -o 'sha256/[0-9a-f]*' >"$work/$number.layers"; done
    diff "$work/first.layers" "$work/second.layers" >&2
    exit 1
fi
docker load --quiet --input "$work/second.tar" >&2
echo "the same image twice: $name"
