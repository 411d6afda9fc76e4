"""Reading texts: words, sentences, passages, terms, and how near a text is to a topic."""
