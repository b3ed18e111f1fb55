-- Question:   How many documents were compared, and what share of their pairs is not similar?
-- Grain:      one corpus by one definition; a corpus whose histogram is not archived has nulls.
-- Definition: as in cosine_pairs. texts: those the documents were made from, equal ones counted each
--             time: all layers, where the documents are the unique ones. documents_in_histogram: pairs
--             and diagonal of N documents add up to N² / 2 as published, N (N - 1) / 2 else; it is what
--             the histogram itself says.
WITH corpora AS (
    SELECT unnest(['unique_layers', 'images', 'dockerfiles']) AS corpus
),
definitions AS (
    SELECT unnest(['right', 'as_published', 'archive']) AS definition
),
documents_of AS (
    SELECT
        replace(corpus, '_as_published', '') AS corpus,
        CASE WHEN ends_with(corpus, '_as_published') THEN 'as_published' ELSE 'right' END
            AS definition,
        texts,
        documents,
        empty_documents,
        distinct_vectors
    FROM corpus_vectors
),
histograms AS (
    SELECT
        corpus,
        definition,
        sum(pairs) AS pairs,
        CASE
            WHEN definition = 'right' THEN (1 + sqrt(1 + 8 * sum(pairs))) / 2
            ELSE sqrt(2 * sum(pairs))
        END AS documents_in_histogram,
        100 * sum(share) FILTER (bin_high <= 0.001) AS percent_below_0,
        100 * sum(share) FILTER (bin_high <= 0.501) AS percent_below_0_5,
        100 * sum(share) FILTER (bin_low >= 0.899) AS percent_from_0_9
    FROM cosine_pairs
    GROUP BY corpus, definition
)
SELECT
    c.corpus,
    d.definition,
    n.texts,
    n.documents,
    n.empty_documents,
    n.distinct_vectors,
    h.* EXCLUDE (corpus, definition)
FROM corpora AS c
CROSS JOIN definitions AS d
LEFT JOIN documents_of AS n ON n.corpus = c.corpus AND n.definition = d.definition
LEFT JOIN histograms AS h ON h.corpus = c.corpus AND h.definition = d.definition
ORDER BY c.corpus, d.definition
