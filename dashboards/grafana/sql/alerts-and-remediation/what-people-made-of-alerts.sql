-- How noisy it is: of the alerts that are closed, which were wrong or expected.
SELECT kind, countIf(state = 'resolved') AS resolved, countIf(state = 'expected') AS expected,
    countIf(state = 'false_positive') AS false_positive,
    if(resolved + expected + false_positive = 0, NULL, false_positive / (resolved + expected + false_positive)) AS false_share
FROM response_times
WHERE $__timeFilter(told_at)
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
GROUP BY kind
HAVING resolved + expected + false_positive > 0
ORDER BY kind
