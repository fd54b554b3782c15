-- As usual_by.sql for clusters, from the charges of GPUs.
WITH
    toStartOfMinute({now:DateTime64(6, 'UTC')}) AS this_minute,
    by_minute AS
    (
        SELECT
            toStartOfMinute(time) AS minute, cluster AS name,
            minute < this_minute - INTERVAL 12 HOUR AS is_earlier,
            toFloat64(sum(c.effective_cost_usd)) AS usd
        FROM charges AS c
        WHERE type = 'spendstream.gpu_usage.v1' AND cluster != ''
            AND time >= this_minute - INTERVAL 7 DAY - INTERVAL 30 MINUTE AND time < this_minute - INTERVAL 1 MINUTE
            AND (time >= this_minute - INTERVAL 61 MINUTE
                 OR time < this_minute - INTERVAL 12 HOUR
                    AND abs(modulo(dateDiff('minute', time, this_minute) + 720, 1440) - 720) <= 30)
        GROUP BY minute, name
    ),
    (SELECT (uniqExactIf(toDate(minute), is_earlier), uniqExactIf(minute, is_earlier), uniqExactIf(minute, NOT is_earlier))
     FROM by_minute) AS known
SELECT
    name,
    known.1 >= 3 AS by_days,
    arrayResize(groupArray(ifNull(usd, 0.)), ifNull(if(known.1 >= 3, known.2, known.3), 0), 0.) AS padded,
    arrayReduce('quantiles(0.05, 0.5, 0.95)', padded) AS band,
    if(band[2] > 0, band[2], arrayAvg(padded)) AS usual
FROM by_minute
WHERE is_earlier = (known.1 >= 3)
GROUP BY name
