# The image of the job, for every place it runs: EMR Serverless, EMR on EKS, `docker run`, a Spark cluster of one's own.
#
# In production pin the base by digest: --build-arg BASE_IMAGE=public.ecr.aws/emr-serverless/spark/emr-7.13.0@sha256:…
# What EMR relies on stays as the base has it: user, ENTRYPOINT, WORKDIR, PATH, JAVA_HOME, SPARK_HOME, Spark's jars and configuration.
ARG BASE_IMAGE=public.ecr.aws/emr-serverless/spark/emr-7.13.0:latest

# --- Python and the locked packages: a layer that changes when the lock file does.
FROM ${BASE_IMAGE} AS packages
USER root
RUN command -v python3.11 >/dev/null \
 || { dnf install -y --setopt=install_weak_deps=False python3.11 && dnf clean all && rm -rf /var/cache/dnf /var/log/dnf* /var/log/hawkey*; }
# The mode of a file in a checkout is its owner's affair; in the image everyone can read it, and equal sources give equal bits.
COPY --chmod=644 image/requirements.txt /opt/orchard/requirements.txt
# Compiled here, since nobody can write there later; told apart by hash and not by time, so that equal sources give equal files.
# Without -B, Python would write a file or two itself while it starts, by time.
# TensorFlow's C++ headers serve no one without a compiler.
RUN python3.11 -m venv /opt/orchard/venv \
 && cd /opt/orchard/venv/bin \
 && ./python -m pip install --quiet --no-cache-dir --no-compile --no-input --require-hashes --only-binary :all: -r /opt/orchard/requirements.txt \
 && rm -rf ../lib/python3.11/site-packages/tensorflow/include \
 && ./python -m pip uninstall --quiet --yes pip \
 && find .. -name __pycache__ -prune -exec rm -rf {} + \
 && PYTHONHASHSEED=0 ./python -B -m compileall -q -f --invalidation-mode unchecked-hash ../lib/python3.11/site-packages

# --- The app as a package, laid out as in the image.
FROM packages AS app
ENV PATH=/opt/orchard/venv/bin:${PATH}
COPY LICENSE pyproject.toml /src/
COPY app /src/app
COPY image /src/image
RUN site=/layer/opt/orchard/venv/lib/python3.11/site-packages \
 && python -m ensurepip >/dev/null \
 && python -m pip install --quiet --no-cache-dir --no-compile --no-deps --no-build-isolation --no-index --target $site /src \
 && mv $site/bin /layer/opt/orchard/venv/bin \
 && PYTHONHASHSEED=0 python -B -m compileall -q -f --invalidation-mode unchecked-hash $site \
 && install -m 644 /src/image/main.py /layer/opt/orchard/main.py

# --- The network's weights: found, checked by fingerprint, made into the run-time model by TensorFlow, and verified.
FROM app AS bake
ARG WEIGHTS_FINGERPRINT=c009b1f1262c1f55420ed4f95d0f338acb97548930c6f6c8f3383b79544088a8
RUN cd /src \
 && python -m orchard.network.bake.bake --output /work/weights \
 && python -m orchard.network.bake.verify /work/weights \
 && grep -q "\"fingerprint\": \"$WEIGHTS_FINGERPRINT\"" /work/weights/manifest.json \
 && rm -rf /layer && mkdir -p /layer/opt/orchard && mv /work/weights /layer/opt/orchard/weights && chmod -R a=rX /layer/opt/orchard/weights

# --- What Spark's JVM finds in the image.
FROM packages AS java
COPY --from=app /layer/ /
RUN /opt/orchard/venv/bin/python -m image.spark_files /opt/orchard/java

# --- With an archive of Spark's classes. Apart from the app, so that a new version of it keeps the layer.
FROM packages AS classes
COPY --from=java /opt/orchard/java /opt/orchard/java
COPY image/class_archive.py image/classes.list /src/
RUN cd /opt/orchard/java && ../venv/bin/python /src/class_archive.py /src/classes.list class-path.jar classes.jsa

# --- What is shipped. What changes most comes last.
FROM packages
COPY --from=classes /opt/orchard/java /opt/orchard/java
COPY --from=bake /layer/ /
COPY --from=app /layer/ /
ENV PYSPARK_PYTHON=/opt/orchard/venv/bin/python \
    PYSPARK_DRIVER_PYTHON=/opt/orchard/venv/bin/python \
    SPARK_SUBMIT_OPTS=-Dorg.xerial.snappy.lib.path=/opt/orchard/java/native \
    ORCHARD_WEIGHTS=/opt/orchard/weights \
    MPLCONFIGDIR=/tmp/matplotlib
USER hadoop:hadoop
ARG BASE_IMAGE
ARG WEIGHTS_FINGERPRINT=c009b1f1262c1f55420ed4f95d0f338acb97548930c6f6c8f3383b79544088a8
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
      orchard.weights.fingerprint="${WEIGHTS_FINGERPRINT}"
