"""One table of what runs a network how fast: engines, precisions, and other packages' networks.

contenders.py makes what is measured ready, table.py measures it in turns and prints.
"""
