"""The demo: the whole service on one machine, watching a workload that goes wrong."""
