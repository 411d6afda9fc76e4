"""Reading texts: words, sentences, passages, terms, and the distance of a text from a topic."""
