"""The ClickHouse engine over ClickHouse's HTTP protocol: `python -m streams.io.clickhouse_server --path DIR --port N`.

For tests, and for one machine: several processes reach the engine inside one (chdb takes one process per path) by the
ordinary client, `clickhouse-connect` over HTTP, so that what they run is what runs against a server in production.

What is there: queries and commands with parameters bound by the engine, inserts in any format, settings, a database per
request, result compression, errors with ClickHouse's codes, users by name and password, /ping. What isn't: sessions,
external data, streaming (a result is built in memory), TLS, more than one user.

What was acknowledged is there after a `kill -9` and a new start on the same path; insert tokens too. It is not
synced to the disk at once, so a power failure may take the last seconds.
"""
