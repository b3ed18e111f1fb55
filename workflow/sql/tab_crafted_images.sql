-- Question:   Which images were crafted?
-- Grain:      one repository of crafted images.
-- Definition: layer counts and sizes as the tags say; a layer is shared when another image of the
--             repository has it too: only the base's should be.
-- Slide:      crafting and pulling
SELECT
    study,
    regexp_replace(image, ':[^:/]+$', '') AS repository,
    count(*) AS images,
    count(DISTINCT nominal_bytes) AS sizes,
    count(DISTINCT layers) AS layer_counts,
    min(nominal_bytes) AS smallest_bytes,
    max(nominal_bytes) AS largest_bytes,
    min(layers) AS fewest_layers,
    max(layers) AS most_layers,
    max(nominal_bytes / layers) AS largest_nominal_layer_bytes,
    max(shared_layers) AS shared_layers,
    max(compressed_bytes) AS largest_wire_bytes,
    max(nominal_bytes / compressed_bytes) AS largest_shrinkage
FROM pull_images
WHERE nominal_bytes IS NOT NULL
GROUP BY ALL
ORDER BY ALL
