-- Question:   How many bytes does a node pull that runs a container set, in a good or a bad order?
-- Grain:      one image of a set, in the best or the worst order, by what the node keeps.
-- Definition: all: nothing is removed; previous: only the layers of the image before; nothing: each
--             image is pulled whole. Best and worst over all orders.
SELECT set_name, cache, "order", position, pulled_bytes, cumulative_bytes
FROM pull_orders
ORDER BY set_name, cache, "order", position
