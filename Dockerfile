# The image of the job for EMR Serverless, EMR on EKS, `docker run` and Spark clusters.
#
# In production pin the base by digest: --build-arg BASE_IMAGE=public.ecr.aws/emr-serverless/spark/emr-7.13.0@sha256:…
# What EMR relies on stays as the base has it: user, ENTRYPOINT, WORKDIR, PATH, JAVA_HOME, SPARK_HOME, Spark's jars and configuration.
ARG BASE_IMAGE=public.ecr.aws/emr-serverless/spark/emr-7.13.0:latest
# The networks of the image, by their names; a label of it.
ARG BACKBONES="mobilenet_v2"
# The fingerprint of each, to be compared with the code's: `published` where the code has none. A label of the image.
ARG WEIGHTS_FINGERPRINT=

# --- Python and the locked packages: a layer that changes when the lock file does.
FROM ${BASE_IMAGE} AS packages
USER root
RUN command -v python3.11 >/dev/null \
 || { dnf install -y --setopt=install_weak_deps=False python3.11 && dnf clean all && rm -rf /var/cache/dnf /var/log/dnf* /var/log/hawkey*; }
# A checkout's file modes vary; in the image everyone can read it, and equal sources give equal bits.
COPY --chmod=644 image/requirements.txt /opt/orchard/requirements.txt
# Compiled here, since the job cannot write there; checked by hash and not by time, so that equal sources give equal files.
# Without -B, Python would write a file or two itself while it starts, by time. TensorFlow's C++ headers are for compilers.
RUN python3.11 -m venv /opt/orchard/venv \
 && cd /opt/orchard/venv/bin \
 && ./python -m pip install --quiet --no-cache-dir --no-compile --no-input --require-hashes --only-binary :all: -r /opt/orchard/requirements.txt \
 && rm -rf ../lib/python3.11/site-packages/tensorflow/include \
 && ./python -m pip uninstall --quiet --yes pip \
 && find .. -name __pycache__ -prune -exec rm -rf {} + \
 && PYTHONHASHSEED=0 ./python -B -m compileall -q -f --invalidation-mode unchecked-hash ../lib/python3.11/site-packages

# --- The networks' weights: found, checked by fingerprint, made into run-time models by TensorFlow, and verified. Each has
# a folder with its name.
# Of the app only what it needs, so that other changes of the app keep the layer.
FROM packages AS bake
COPY app/orchard/errors.py /src/orchard/errors.py
COPY app/orchard/network /src/orchard/network
ARG BACKBONES
ARG WEIGHTS_FINGERPRINT
RUN cd /src && export PATH=/opt/orchard/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 weights=/layer/opt/orchard/weights \
 && python -m orchard.network.fingerprints "$BACKBONES" "$WEIGHTS_FINGERPRINT" \
 && python -m ensurepip >/dev/null \
 && for name in $BACKBONES; do python -m orchard.network.bake.command --backbone "$name" --output "$weights/$name" || exit 1; done \
 && rm "$weights"/.*.lock && chmod -R a=rX "$weights"

# --- The app as a package, laid out as in the image.
FROM packages AS app
COPY LICENSE pyproject.toml /src/
COPY app /src/app
COPY image /src/image
RUN export PATH=/opt/orchard/venv/bin:$PATH site=/opt/orchard/venv/lib/python3.11/site-packages \
 && python -m ensurepip >/dev/null \
 && python -m pip install --quiet --no-cache-dir --no-compile --no-deps --no-build-isolation --no-index --target /layer$site /src \
 && mv /layer$site/bin /layer/opt/orchard/venv/bin \
 && PYTHONHASHSEED=0 python -B -m compileall -q -f --invalidation-mode unchecked-hash /layer$site \
 && install -m 644 /src/image/main.py /layer/opt/orchard/main.py \
 && PYTHONPATH=/layer$site python -B /src/image/local_conf.py $site >/layer/opt/orchard/local.conf

# --- What is shipped. What changes most comes last.
FROM packages
COPY --from=bake /layer/ /
COPY --from=app /layer/ /
ENV PYSPARK_PYTHON=/opt/orchard/venv/bin/python \
    PYSPARK_DRIVER_PYTHON=/opt/orchard/venv/bin/python \
    ORCHARD_WEIGHTS=/opt/orchard/weights \
    MPLCONFIGDIR=/tmp/matplotlib
USER hadoop:hadoop
ARG BASE_IMAGE
ARG BACKBONES
ARG WEIGHTS_FINGERPRINT
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG IMAGE_TAG=untagged
ENV ORCHARD_IMAGE=${IMAGE_TAG}
LABEL org.opencontainers.image.title="orchard" \
      org.opencontainers.image.description="Fruit photos to compact CNN features on Spark" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}" \
      orchard.backbones="${BACKBONES}" \
      orchard.weights.fingerprint="${WEIGHTS_FINGERPRINT}"
