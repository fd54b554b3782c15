# The service: `docker build -t spendstream .`, then `docker run spendstream worker price`. docker-compose.yml uses it.
FROM python:3.11.14-slim-bookworm AS build

WORKDIR /build
RUN python -m venv /opt/spendstream
ENV PATH=/opt/spendstream/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements-image.lock ./
RUN pip install --require-hashes -r requirements-image.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY streams streams
COPY replay replay
# What only builds is taken out again.
RUN pip install --no-build-isolation --no-deps . \
    && pip uninstall --yes --quiet hatchling pathspec pluggy trove-classifiers pip

FROM python:3.11.14-slim-bookworm

# State is a volume: made here so that Docker gives a new one to this user.
RUN useradd --system --uid 10001 --home-dir /var/lib/spendstream --create-home spendstream
COPY --from=build /opt/spendstream /opt/spendstream
ENV PATH=/opt/spendstream/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SPENDSTREAM_STAGES__STATE_DIR=/var/lib/spendstream
USER 10001
WORKDIR /var/lib/spendstream
VOLUME /var/lib/spendstream
EXPOSE 9464
ENTRYPOINT ["spendstream"]
CMD ["worker"]
