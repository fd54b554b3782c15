"""Our detection beside what else is to be had, on the same labelled incidents, by one command.

    python -m replay.compare --generator ../shared/incidents/generate.py --seeds 10 --out docs

Everybody gets the same windows, the same grouping into alerts, the same minimum impact and the same scorer; what
differs is who says that a window is unusual. The events are priced once per benchmark.
"""
