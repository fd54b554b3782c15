"""Money: what a usage event costs, by its own time."""

from streams.core.price.book import Book
from streams.core.price.cards import Cards, Exchange
from streams.core.price.priced import Priced
from streams.core.price.pricer import Pricer

__all__ = ["Book", "Cards", "Exchange", "Priced", "Pricer"]
