"""Charges by column, and how they stand on Kafka."""
