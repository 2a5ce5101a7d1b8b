# One image for every piece: `s3gate serve`, `s3gate work`, `chunkd serve`, `s3gate admin`. Exact versions, hashes checked.
FROM python:3.11-slim-bookworm

WORKDIR /app
COPY requirements/runtime.txt requirements/
RUN python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement requirements/runtime.txt

COPY schema.sql ./
COPY s3gate s3gate
COPY chunkd chunkd
RUN python -m compileall -q s3gate chunkd \
    && useradd --uid 10001 --user-group --no-create-home s3gate \
    && mkdir /data /keys && chown s3gate:s3gate /data /keys

ENV PYTHONPATH=/app PYTHONUNBUFFERED=1
USER s3gate
# Both commands stop cleanly on SIGTERM, as process 1 too.
ENTRYPOINT ["python", "-m"]
CMD ["s3gate", "serve"]
