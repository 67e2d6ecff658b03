# docker build -t mmder .
# docker run --rm -v "$PWD:/data" mmder mmder-prep ravdess --root /data/ravdess --out /data/store
# docker run --rm --gpus all -v "$PWD:/data" mmder mmder-train --store /data/store --strategy cfas
FROM python:3.12-slim AS wheel
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir build && python -m build --wheel --outdir /dist

# No system packages are needed: av, soundfile and opencv bundle their libraries.
FROM python:3.12-slim
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
