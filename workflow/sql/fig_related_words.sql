-- Question:   Which words keep the same company in the text of layers?
-- Grain:      one near word of a word that was asked for; rank 0: the word is not in the text.
-- Definition: cosine similarity of word vectors learnt from unique layers.
SELECT word, rank, neighbour, cosine
FROM related_words
ORDER BY word, rank
