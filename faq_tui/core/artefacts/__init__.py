"""What a person can do with a finished artefact: look at its card, serve it, copy it and delete it.

`card.py` collects the facts about one artefact.
`server_control.py` starts and stops the server of an artefact. The server continues when the app ends.
`server_child.py` is the program of the server's process.
`copying.py` copies an artefact's folder to another place.
`deletion.py` deletes an artefact's folder, and says beforehand what the deletion changes.
"""
