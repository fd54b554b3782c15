"""What a run found, for people: one HTML file that needs no network, and the same as JSON and Markdown."""
