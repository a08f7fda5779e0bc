"""To and from other tools. Each module needs the tool that it is named after; nothing here imports one before it is used.

An experiment to be exported is given as the path of what `retrial export EXP -o FILE.json` has written, as its content, or
as a `retrial.Experiment`.
"""
