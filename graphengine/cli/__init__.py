"""The command line. `main.py` names the commands; each has a file of its own, which loads when it is used."""
