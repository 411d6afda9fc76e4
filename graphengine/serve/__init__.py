"""What serves HTTP: a listening socket, a server, limits of its connections, bodies, answers, and a worker's health."""
