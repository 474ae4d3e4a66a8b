# A server for one saved model, without the course:
#   docker build -t m6rec-serving .
#   docker run --read-only --tmpfs /tmp -p 127.0.0.1:8000:8000 -v "$PWD/model:/model:ro" \
#     -v events:/events -e M6REC_API_KEYS m6rec-serving
FROM python:3.11-slim

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY m6rec_lite m6rec_lite
RUN pip install --no-cache-dir -c constraints.txt ".[serving]" \
  && useradd --uid 10001 server \
  && install --directory --owner server /events
USER server

# One process: the model, the batches and the cache belong to it. `docker stop` sends SIGTERM.
ENV OMP_NUM_THREADS=1
EXPOSE 8000
HEALTHCHECK CMD python -c "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz')"
ENTRYPOINT ["python", "-m", "m6rec_lite.serving", "/model", "--host", "0.0.0.0"]
CMD ["--store", "/events/events.db"]
