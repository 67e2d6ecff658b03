# docker build -t mmder .
# docker run --rm -v "$PWD:/data" mmder mmder-prep ravdess --root /data/ravdess --out /data/store
# docker run --rm --gpus all -v "$PWD:/data" mmder mmder-train --store /data/store --strategy cfas
#
# Clips are read by threads of the trainer: its container needs no shared memory.
FROM python:3.12-slim AS wheel
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir build && python -m build --wheel --outdir /dist

# av, soundfile and opencv bundle their libraries. gcc is for --compile on a GPU, g++ for
# --compile on a CPU; Python's headers are part of the image.
FROM python:3.12-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc g++ libc6-dev \
 && rm -rf /var/lib/apt/lists/*
COPY --from=wheel /dist/*.whl /src/requirements.lock /tmp/
# The user of the container cannot write bytecode, so it is written here: otherwise every
# start would compile all libraries again.
RUN pip install --no-cache-dir uv \
 && uv pip install --system --no-cache --compile-bytecode -c /tmp/requirements.lock "$(ls /tmp/mmder-*.whl)[all]" \
 && rm /tmp/*
RUN useradd --create-home mmder
USER mmder
WORKDIR /data
CMD ["mmder-prep", "--help"]
