-- Question:   Which pulls were measured by nodes on one machine?
-- Grain:      one pull of `measured_pulls`.
-- Definition: nodes that a backend made or found on the machine that measured.
-- Slide:      crafting and pulling
SELECT * FROM measured_pulls WHERE starts_with(platform, 'local/')
