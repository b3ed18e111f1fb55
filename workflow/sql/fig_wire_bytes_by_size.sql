-- Question:   How many bytes does an image of a given size put on the wire?
-- Grain:      one crafted image whose manifest is archived.
-- Definition: wire: layers, config in compressed form; nominal: the size that the tag stands for,
--             with the allowance for the base image. Layers of zeros shrink about a thousandfold.
-- Slide:      crafting and pulling
SELECT
    study,
    image,
    layers,
    manifest_layers,
    nominal_bytes,
    compressed_bytes AS wire_bytes,
    nominal_bytes / compressed_bytes AS shrinkage,
    largest_layer_bytes,
    shared_layers
FROM pull_images
WHERE nominal_bytes IS NOT NULL AND study NOT IN (
    -- Where clusters pulled too, what one machine pulled is told of elsewhere.
    SELECT study FROM machine_pulls EXCEPT SELECT study FROM cluster_pulls
)
ORDER BY study, layers, nominal_bytes, image
