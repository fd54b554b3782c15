-- From the alert to the first act of a person, by the clock. Empty while nobody has acted.
SELECT avgOrNull(ack_seconds) AS seconds
FROM response_times
WHERE $__timeFilter(told_at)
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
