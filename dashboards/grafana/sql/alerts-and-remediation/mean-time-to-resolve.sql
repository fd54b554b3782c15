-- From the alert to its end, by the clock.
SELECT avgOrNull(resolve_seconds) AS seconds
FROM response_times
WHERE $__timeFilter(told_at)
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
