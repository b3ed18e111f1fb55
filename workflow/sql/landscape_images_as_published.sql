-- Question:   Which images did the paper measure?
-- Grain:      one tag with a manifest of its own and a config.
-- Definition: every image behind a multi-platform index is left out; artifacts with a config count
--             as images. Years are those of the creation time; stamps of reproducible builds (0001,
--             1970, 1980) are left out of trends here, as they are not on the slides.
-- Slide:      20-24
SELECT
    image_id,
    name,
    tag,
    layer_count,
    size_bytes,
    CASE WHEN year(created_at_utc) >= 2013 THEN year(created_at_utc) END AS trend_year
FROM images
WHERE has_manifest AND has_config AND kind IN ('image', 'artifact')
ORDER BY image_id
