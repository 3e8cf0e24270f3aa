# The server on a CPU: docker build -t sqe-fast . && docker run --rm -p 8000:8000 -e SQE_TOKEN=some-long-token sqe-fast
FROM python:3.11-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends build-essential cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN python -m venv /opt/sqe && /opt/sqe/bin/pip install --no-cache-dir -c constraints.txt ".[cpu,media,serve]"

FROM python:3.11-slim-bookworm
COPY --from=build /opt/sqe /opt/sqe
RUN useradd --system --no-create-home sqe
USER sqe
EXPOSE 8000
HEALTHCHECK --interval=10s --start-period=10s CMD ["/opt/sqe/bin/python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=5)"]
# Others than this machine reach it: it does not start without SQE_TOKEN.
ENTRYPOINT ["/opt/sqe/bin/sqe", "serve", "--host", "0.0.0.0"]
