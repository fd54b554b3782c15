"""The HTTP API: alerts read from ClickHouse, and actions written to Kafka. `app.make_app` puts it together."""
