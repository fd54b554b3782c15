-- What was spent on model calls and GPUs in each of the last 60 minutes, the running one included. Bills come by the hour or
-- the day and are no part of a rate per minute.
SELECT minute, sum(r.effective_cost_usd) AS usd
FROM spend_by_minute AS r
WHERE meter != 'line_item'
    AND minute > toStartOfMinute({now:DateTime64(6, 'UTC')}) - INTERVAL 60 MINUTE AND minute <= {now:DateTime64(6, 'UTC')}
GROUP BY minute
ORDER BY minute
