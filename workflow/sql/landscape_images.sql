-- Question:   Which images can be measured, and from which year are they?
-- Grain:      one image whose layers and config are both known.
-- Definition: images named by a tag or through a multi-platform index; signatures and other artifacts
--             are none. trend_year is null where the creation time is missing or the stamp of a
--             reproducible build (0001, 1970, 1980, …): Docker was first released in March 2013.
-- Slide:      20-24
SELECT
    image_id,
    name,
    tag,
    layer_count,
    size_bytes,
    year(created_at_utc) AS created_year,
    CASE WHEN year(created_at_utc) >= 2013 THEN year(created_at_utc) END AS trend_year
FROM images
WHERE has_manifest AND has_config AND kind IN ('image', 'index')
ORDER BY image_id
