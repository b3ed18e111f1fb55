-- Question:   Which image stands for its repository?
-- Grain:      one layer of one image per repository.
-- Definition: `latest`, else the first listed, of the images whose layers and config are known: the
--             choice of the paper, which published its own as a file.
-- Slide:      Table I
WITH representatives AS (
    SELECT image_id, name, tag
    FROM images
    WHERE has_manifest AND has_config AND kind IN ('image', 'index')
    QUALIFY row_number() OVER (PARTITION BY name ORDER BY tag <> 'latest', image_id) = 1
)
SELECT r.name, r.tag, l.layer_number, l.digest, l.size_bytes
FROM representatives AS r
JOIN layers AS l USING (image_id)
ORDER BY r.image_id, l.layer_number
