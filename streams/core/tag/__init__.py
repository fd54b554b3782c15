"""Owners: whose spend a usage event is."""

from streams.core.tag.owner import OWNED, Owner, Share, split
from streams.core.tag.tagger import Looked, Tagger

__all__ = ["OWNED", "Looked", "Owner", "Share", "Tagger", "split"]
