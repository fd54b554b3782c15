-- What is usual at each of the last 60 minutes: the median and the 5th to 95th percentile of the minutes of the same quarter
-- of an hour on the seven days before. `days` says on how many of them something was spent; the page takes the last hour
-- itself while they are fewer than three.
SELECT
    intDiv(toHour(minute) * 60 + toMinute(minute), 15) AS quarter,
    uniqExact(toDate(minute)) AS days,
    quantiles(0.05, 0.5, 0.95)(usd) AS band
FROM
(
    SELECT minute, toFloat64(sum(r.effective_cost_usd)) AS usd
    FROM spend_by_minute AS r
    WHERE meter != 'line_item'
        AND minute >= toStartOfMinute({now:DateTime64(6, 'UTC')}) - INTERVAL 7 DAY - INTERVAL 75 MINUTE
        AND minute < toStartOfMinute({now:DateTime64(6, 'UTC')}) - INTERVAL 22 HOUR
        AND modulo(dateDiff('minute', minute, {now:DateTime64(6, 'UTC')}), 1440) <= 75
    GROUP BY minute
)
GROUP BY quarter
