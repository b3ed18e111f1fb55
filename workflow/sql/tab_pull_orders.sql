-- Question:   How many bytes does a node pull to run a whole container set?
-- Grain:      one container set, by what the node keeps between images, in the best or worst order.
-- Definition: waiting_bytes: bytes pulled until an image runs, added up over the images: what the
--             best and worst orders differ in when all layers are kept.
SELECT
    set_name,
    cache,
    "order",
    count(*) AS images,
    sum(pulled_bytes)::BIGINT AS pulled_bytes,
    sum(cumulative_bytes)::BIGINT AS waiting_bytes
FROM pull_orders
GROUP BY set_name, cache, "order"
ORDER BY set_name, cache, "order"
