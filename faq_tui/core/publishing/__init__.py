"""Upload an artefact, and its calibration set, to the Hugging Face hub.

`plan.py` checks everything that can be checked without a network, and lists the files to upload. `contents.py`
chooses the files of an artefact's folder, and removes the paths of this machine from them. `repositories.py` defines
a repository as a list of files, and writes the list into a folder. `data_card.py` writes the card of the calibration
set's repository. `upload.py` talks to the hub through the package huggingface_hub, which shows the progress and
resumes an interrupted upload. `faults.py` turns the hub's errors into sentences, without the token.
"""
