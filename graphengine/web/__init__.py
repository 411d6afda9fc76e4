"""What the inspector and the HTTP service share: a listening socket, a server, bodies of requests, and answers."""
