"""What can be done wherever one is."""

from faq_tui.tui.actions import Action

ACTIONS = (
    Action("app.show_seeds", "1,ctrl+1", "Seeds", "Show the seeds.", footer=False),
    Action("app.show_regenerate", "2,ctrl+2", "Regenerate", "Show the candidates as they grow.", footer=False),
    Action("app.show_judge", "3,ctrl+3", "Judge", "Show candidates, scores and picks.", footer=False),
    Action("app.show_spikes", "4,ctrl+4", "Spikes", "Show how spiky the activations are.", footer=False),
    Action("app.show_quantize", "5,ctrl+5", "Quantize", "Show the recipes and the layers.", footer=False),
    Action("app.show_evidence", "6,ctrl+6", "Evidence", "Show whether it helped, beyond noise.", footer=False),
    Action("app.previous_pane", "left_square_bracket", "Previous", "Show the pane to the left.", footer=False),
    Action("app.next_pane", "right_square_bracket", "Next", "Show the pane to the right.", footer=False),
    Action("app.start", "r", "Run", "Start the pipeline, or resume it where it stopped."),
    Action("app.stop", "x", "Stop", "Stop the running job; finished work is kept."),
    Action("app.copy", "y", "Copy", "Copy the focused text to the clipboard and to a file.", footer=False),
    Action("app.theme", "T", "Colours", "Choose the colours of the screen.", footer=False),
    Action("app.command_palette", "ctrl+p", "All actions", "Find any action by its name.", footer=False),
    Action("app.help", "question_mark", "Help", "Show every key."),
    Action("app.quit", "q", "Quit", "Leave; asks what becomes of a running job."),
)
