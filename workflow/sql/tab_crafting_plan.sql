-- Question:   Which images does this study craft, and did they come out as asked?
-- Grain:      one image of a crafting study file.
-- Definition: target: compressed bytes of all layers, unless the file asks for unpacked ones;
--             planned before anything is made, crafted as the manifest says, null where nothing
--             was crafted; a layer is shared when another image of the plan has it too.
-- Slide:      crafting and pulling
SELECT
    p.study,
    p.percentile,
    p.target_bytes,
    p.layer_count,
    p.compression,
    p.content,
    p.compressed_bytes AS planned_bytes,
    p.uncompressed_bytes AS planned_unpacked_bytes,
    p.largest_layer_bytes,
    p.shared_layer_count AS shared_layers,
    c.compressed_bytes AS crafted_bytes,
    c.uncompressed_bytes AS crafted_unpacked_bytes,
    c.layer_count AS crafted_layers,
    c.digest,
    p.skipped_because
FROM planned_images AS p
LEFT JOIN crafted_images AS c USING (name)
ORDER BY p.study, p.target_bytes, p.layer_count, p.name
