-- What is usual for each team, model, ... at this time of day: the median (the mean where that is zero) and the 5th to 95th
-- percentile of its minutes within half an hour of this time on the seven days before, a minute without spend counted as
-- zero. While fewer than three of those days are known: of the last hour, without its last two minutes.
WITH
    toStartOfMinute({now:DateTime64(6, 'UTC')}) AS this_minute,
    by_minute AS
    (
        SELECT
            minute,
            multiIf({by:String} = 'team', team, {by:String} = 'model', model, {by:String} = 'project', project,
                    {by:String} = 'provider', provider, {by:String} = 'environment', environment, feature) AS name,
            minute < this_minute - INTERVAL 12 HOUR AS is_earlier,
            toFloat64(sum(r.effective_cost_usd)) AS usd
        FROM spend_by_minute AS r
        WHERE meter != 'line_item' AND minute >= this_minute - INTERVAL 7 DAY - INTERVAL 30 MINUTE
            AND minute < this_minute - INTERVAL 1 MINUTE
            AND (minute >= this_minute - INTERVAL 61 MINUTE
                 OR minute < this_minute - INTERVAL 12 HOUR
                    AND abs(modulo(dateDiff('minute', minute, this_minute) + 720, 1440) - 720) <= 30)
        GROUP BY minute, name
    ),
    (SELECT (uniqExactIf(toDate(minute), is_earlier), uniqExactIf(minute, is_earlier), uniqExactIf(minute, NOT is_earlier))
     FROM by_minute) AS known
SELECT
    name,
    known.1 >= 3 AS by_days,
    arrayResize(groupArray(usd), ifNull(if(known.1 >= 3, known.2, known.3), 0), 0.) AS padded,
    arrayReduce('quantiles(0.05, 0.5, 0.95)', padded) AS band,
    if(band[2] > 0, band[2], arrayAvg(padded)) AS usual
FROM by_minute
WHERE is_earlier = (known.1 >= 3)
GROUP BY name
