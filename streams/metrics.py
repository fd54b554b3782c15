"""Every metric of the service, once. Names follow Prometheus: base units, `_total` for counters.

No label takes a value that a producer can make up: stages, topics, reasons, channels and outcomes are ours and few.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
LANDED_BUCKETS = (0.1, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 5, 10, 30, 60, 300)  # fine where it is promised
BATCH_BUCKETS = (1, 10, 50, 100, 500, 1_000, 5_000, 10_000, 20_000, 50_000, 100_000)


class Metrics:
    """The metrics of one process, in a registry of its own so that several can live in one test."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        r = self.registry
        self.records = Counter("spendstream_records_total", "Kafka records read", ["stage", "topic"], registry=r)
        self.events = Counter(
            "spendstream_events_total", "Usage events by outcome", ["outcome"], registry=r
        )  # charged, dead_lettered, landed, duplicate, unstorable, late
        self.dollars = Counter(
            "spendstream_priced_usd_total", "Effective cost of charges, in USD (corrections not deducted)",
            ["meter", "price_status"], registry=r,
        )  # fmt: skip
        self.unallocated = Counter(
            "spendstream_unallocated_usd_total", "Effective cost that no rule gave an owner", ["meter"], registry=r
        )
        self.allocated = Counter(
            "spendstream_allocated_usd_total", "Effective cost by what gave it an owner: tags, directory, or a rule",
            ["meter", "allocation"], registry=r,
        )  # fmt: skip
        self.unconverted = Counter(
            "spendstream_unconverted_charges_total", "Charges whose currency no dated rate puts into USD", ["meter"],
            registry=r,
        )  # fmt: skip
        self.dead_letters = Counter("spendstream_dead_letters_total", "Dead letters", ["reason"], registry=r)
        self.lag = Gauge(
            "spendstream_consumer_lag_records", "Records behind the end", ["stage", "topic", "partition"], registry=r
        )
        self.batch = Histogram(
            "spendstream_batch_records", "Records per batch", ["stage"], buckets=BATCH_BUCKETS, registry=r
        )
        self.stage_seconds = Histogram(
            "spendstream_stage_seconds", "Time to take a batch through a stage", ["stage"],
            buckets=LATENCY_BUCKETS, registry=r,
        )  # fmt: skip
        self.landed_seconds = Histogram(
            "spendstream_event_to_landed_seconds", "From a record's arrival on Kafka to its row in ClickHouse",
            buckets=LANDED_BUCKETS, registry=r,
        )  # fmt: skip
        self.clickhouse_errors = Counter(
            "spendstream_clickhouse_errors_total", "Failed calls to ClickHouse", ["operation"], registry=r
        )
        self.open_findings = Gauge("spendstream_open_findings", "Findings under way", ["kind"], registry=r)
        self.series = Gauge("spendstream_series", "Series watched", ["state"], registry=r)  # warming, live
        self.series_windows = Counter(
            "spendstream_series_windows_total", "Windows of series with something in them: the work of detection",
            ["meter"], registry=r,
        )  # fmt: skip
        self.deliveries = Counter(
            "spendstream_alert_deliveries_total", "Alert deliveries", ["channel", "outcome"], registry=r
        )
        self.up = Gauge("spendstream_stage_up", "1 while a stage runs", ["stage"], registry=r)
