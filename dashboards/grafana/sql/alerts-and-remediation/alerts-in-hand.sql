SELECT count() AS alerts
FROM response_times
WHERE state IN ('acknowledged', 'snoozed')
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
