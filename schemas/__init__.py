"""The contracts: what travels on each topic, what is stored, and examples of both."""
