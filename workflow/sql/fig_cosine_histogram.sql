-- Question:   How similar are unique layers, images and Dockerfiles by their text?
-- Grain:      one bin of 0.1, per corpus and definition.
-- Definition: as in cosine_pairs.
SELECT corpus, definition, bin_low, bin_high, 100 * share AS percent
FROM cosine_pairs
ORDER BY corpus, definition, bin_low
