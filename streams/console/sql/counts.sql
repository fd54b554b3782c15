-- How many alerts stand where, and what those that go on have cost beyond what was expected.
SELECT state, count() AS alerts, sumIf(excess_usd, status = 'firing') AS excess_usd
FROM alerts_now
GROUP BY state
