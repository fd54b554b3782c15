-- What was corrected afterwards, by whom and why.
SELECT begun_at AS time, asked_by, reason, period_start, period_end, events, corrected, finished_at
FROM reprices FINAL
WHERE $__timeFilter(begun_at)
ORDER BY time DESC
LIMIT 50
