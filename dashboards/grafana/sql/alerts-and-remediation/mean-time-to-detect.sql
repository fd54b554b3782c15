-- From the beginning of the spend to the alert, in event time.
SELECT avgOrNull(detect_seconds) AS seconds
FROM response_times
WHERE $__timeFilter(told_at)
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
