SELECT uniqExact(dead_letter_id) AS events
FROM dead_letters
WHERE $__timeFilter(received_at)
