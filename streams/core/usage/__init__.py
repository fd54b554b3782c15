"""From a usage record to its charges: decoded, checked, priced, given an owner; or a dead letter that says why not."""
