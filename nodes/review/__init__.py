"""The review loop: researchers, a writer and a reviewer."""
