SELECT $__timeInterval(received_at) AS time, reason, uniqExact(dead_letter_id) AS events
FROM dead_letters
WHERE $__timeFilter(received_at)
GROUP BY time, reason
ORDER BY time, reason
