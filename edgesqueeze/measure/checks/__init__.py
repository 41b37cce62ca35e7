"""Did it really work: questions answered from the files, the states and the answers."""
