"""An HTTP service that starts runs of graphs, answers and follows them: `graphengine serve`."""
